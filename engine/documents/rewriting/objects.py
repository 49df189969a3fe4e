"""Rows in JSON, a list of objects or texts or one after another, as a table in text."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from typing import Any

from engine.errors import InputError, TooLargeError

ENDINGS = (".json", ".jsonl", ".ndjson")
TEXT = "text"
"""The column of texts that are no objects."""
MAX_COLUMNS = 500
_GAP = re.compile(r"[\s,]*")
_LIST, _WRAPPED = re.compile(r"\s*\["), re.compile(r'\s*\{\s*"[^"\\]*"\s*:\s*\[(?=\s*\{)')
"""What begins a list of rows: where it is all there is, and where an object has it under its first name."""


def as_csv(text: str, *, is_head: bool = False) -> str:
    """The rows with their names above them; of a head the last one may be cut off.

    Raises InputError for what is no JSON or no row, TooLargeError.
    """
    values = list(_values(text, _LIST.match(text), is_head=is_head))
    if is_head and not values and (wrapped := _WRAPPED.match(text)):
        values = list(_values(text, wrapped, is_head=True))
    if len(values) == 1 and isinstance(values[0], dict):
        values = next(filter(_are_rows, values[0].values()), values)
    rows = [_row(value, number) for number, value in enumerate(values, 1)]
    names = list(dict.fromkeys(name for row in rows for name in row))
    if len(names) > MAX_COLUMNS:
        raise TooLargeError("has over {limit:,} columns. Bring fewer.", limit=MAX_COLUMNS)
    file = io.StringIO()
    writer = csv.DictWriter(file, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def _are_rows(value: Any) -> bool:
    """Whether an object holds rows under a name of its own."""
    return isinstance(value, list) and bool(value) and all(isinstance(one, dict) for one in value)


def _values(text: str, begun: re.Match[str] | None, *, is_head: bool) -> Iterator[Any]:
    """Those of a list that has begun, or one after another."""
    decoder, at = json.JSONDecoder(), begun.end() if begun else 0
    while True:
        at = _end_of(_GAP.match(text, at))
        if at >= len(text) and (not begun or is_head):
            return
        if begun and text[at : at + 1] == "]":
            return
        try:
            value, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            if is_head:
                return
            reason = getattr(error, "msg", "it is nested too deeply")
            number = text.count("\n", 0, getattr(error, "pos", at)) + 1
            raise InputError("at line {number}: this is not JSON ({reason}).", number=number, reason=reason) from None
        yield value


def _end_of(match: re.Match[str] | None) -> int:
    assert match  # it may be empty
    return match.end()


def _row(value: Any, number: int) -> dict[str, str]:
    if isinstance(value, str):
        return {TEXT: value}
    if not isinstance(value, dict):
        raise InputError(
            "at row {number}: each row must be an object like {example}.", number=number, example='{"text": "…"}'
        )
    return {name: _cell(one) for name, one in value.items()}


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
