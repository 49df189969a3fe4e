"""The child that reads one file: `python -m engine.training.formats BYTES`, which it may take of memory.

Its standard input is the file's name in JSON, a line, and the file. What it answers: `_apart`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import IO

from engine.jobs.apart import serve
from engine.training.formats import read_content
from engine.training.formats._apart import lines_of


def read(given: IO[bytes]) -> Iterator[bytes]:
    """What the file holds. Raises PeopleError."""
    name = json.loads(given.readline())
    return lines_of(read_content(given.read(), name))


if __name__ == "__main__":
    sys.exit(serve(read))
