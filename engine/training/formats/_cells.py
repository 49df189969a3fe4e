"""JSON and Python literals in the cells of a table become what they mean: chats, answers, lists."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from engine.training.formats._base import Table, table_of_objects

MAX_LITERAL_CHARACTERS = 100_000
ARRAY = re.compile(r"\barray\((\[[^\[\]]*\])(?:,\s*dtype=\w+)?\)")
"""As pandas writes an array of numpy into a cell."""
TWO_STRINGS = re.compile(r"""['"]\s+['"]""")
"""As numpy writes lists of strings, which Python would take for one string."""


def unfolded(table: Table) -> Table:
    """The table with columns in which every cell is a JSON object or list read as such; others stay text."""
    read = {column: values for column in table.columns if (values := _values(table, column)) is not None}
    if not read:
        return table
    rows = [row | {column: values[place] for column, values in read.items()} for place, row in enumerate(table.rows)]
    made = table_of_objects(rows, table.numbers)
    return replace(made, note=table.note, findings=table.findings + made.findings)


def _values(table: Table, column: str) -> list[Any] | None:
    cells = [row[column] for row in table.rows]
    filled = [cell for cell in cells if cell is not None and cell != ""]
    if not filled or not all(type(cell) is str and cell.lstrip()[:1] in ("{", "[") for cell in filled):
        return None
    return _read(cells)


def _read(cells: Sequence[Any]) -> list[Any] | None:
    read: list[Any] = []
    for cell in cells:
        value = _value(cell) if cell else None
        if cell and not isinstance(value, dict | list):
            return None
        read.append(value)
    return read


def _value(cell: str) -> Any:
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        pass
    words = ARRAY.sub(r"\1", cell)
    if len(cell) > MAX_LITERAL_CHARACTERS or TWO_STRINGS.search(words):
        return None
    try:
        return ast.literal_eval(words.strip())
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return None
