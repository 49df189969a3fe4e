"""The child that reads or writes one file: `python -m engine.documents.rewriting BYTES`, which it may take of memory.

Its standard input is an order in JSON, a line; the file; and, to write it, a line for what was made of each unit. It
answers with the units, or with the bytes of the new file in pieces.
"""

from __future__ import annotations

import json
import sys
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import astuple
from typing import IO

from engine.documents.rewriting import Made, Options, Unit
from engine.documents.rewriting.delimited import Delimited
from engine.documents.rewriting.reading import read_content
from engine.documents.rewriting.rows import Rows
from engine.jobs.apart import line, serve
from engine.messages import Text

PIECE_BYTES = 3 * 2**16


def work(given: IO[bytes]) -> Iterator[bytes]:
    """What an order asks for. Raises PeopleError."""
    order = json.loads(given.readline())
    content, name, options = given.read(order["bytes"]), order["name"], Options(**order["options"])
    if order["order"] in ("rows", "columns"):
        rows = Rows(content, name, options)
        notes: Sequence[Text] = rows.letters.notes
        if order["order"] == "rows":
            yield line({"ending": ".csv", "dates": rows.dates, "numbers": rows.numbers})
            yield from (line([*astuple(Unit(text))]) for text in rows.texts)
        else:
            names, *cells = map(json.loads, given)
            yield from _pieces(rows.written(names, cells))
    else:
        found = read_content(content, name, options)
        notes = found.notes
        if order["order"] == "read":
            numbers = found.numbers if isinstance(found, Delimited) else []
            yield line({"ending": found.ending, "numbers": numbers})
            yield from (line([*astuple(unit)]) for unit in found.units)
        else:
            yield from _pieces(found.written([Made(*json.loads(each)) for each in given]))
    yield line({"notes": [note.as_json() for note in notes]})


def _pieces(written: bytes) -> Iterator[bytes]:
    pieces = (written[start : start + PIECE_BYTES] for start in range(0, len(written), PIECE_BYTES))
    return (line([b64encode(piece).decode()]) for piece in pieces)


if __name__ == "__main__":
    sys.exit(serve(work))
