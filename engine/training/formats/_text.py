"""Plain text as rows, and tables and JSON that go under a text's ending."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import Any

from engine.errors import InputError
from engine.training.formats._base import Table, check_rows
from engine.training.formats._delimited import read_tsv
from engine.training.formats._objects import read_json


def read_text(text: str) -> Table:
    """Paragraphs, which empty lines part; lines where there is no empty line; JSON or cells where it is that."""
    lines = [line.rstrip() for line in re.split(r"\r\n|\n|\r", text)]
    if text.lstrip()[:1] in ("{", "["):
        try:
            return read_json(text)
        except InputError:
            if _is_object(next(filter(None, lines), "")):
                raise
    tabs = {line.count("\t") for line in re.split(r"\r\n|\n|\r", text) if line.strip()}
    if len(tabs) == 1 and tabs != {0} and len(lines) > 1:  # as Excel saves "Unicode text"
        with suppress(InputError):
            return read_tsv(text)
    return _paragraphs(lines)


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _paragraphs(lines: list[str]) -> Table:
    first = next((number for number, line in enumerate(lines) if line), len(lines))
    last = len(lines) - next((number for number, line in enumerate(reversed(lines)) if line), len(lines))
    has_paragraphs = "" in lines[first:last]
    rows: list[list[str]] = []
    numbers: list[int] = []
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        if has_paragraphs and number > 1 and lines[number - 2]:
            rows[-1].append(line)
        else:
            rows.append([line])
            numbers.append(number)
            check_rows(len(rows))
    table: list[dict[str, Any]] = [{"text": "\n".join(row)} for row in rows]
    return Table(("text",), table, numbers)
