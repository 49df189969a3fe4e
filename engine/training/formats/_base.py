"""What every reader of a file shares: the table that it makes, the limits, and text as UTF-8."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from engine.errors import InputError, PeopleError, TooLargeError
from engine.messages import Text

MAX_BYTES = 200 * 2**20
"""Of a file, and of all its texts unpacked."""
MAX_ROWS = 1_000_000
MAX_COLUMNS = 200
MAX_CELLS = 5_000_000
"""Rows times columns."""
OTHER_ENCODINGS: dict[bytes, str] = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


@dataclass(frozen=True)
class Table:
    """What a file holds. Cells are text, numbers, truth values, None, or lists of them."""

    columns: tuple[str, ...]
    rows: Sequence[dict[str, Any]]
    numbers: Sequence[int] = ()
    """Where each row stands in its file, as a spreadsheet or an editor counts; by default 1, 2, 3 …"""
    note: Text | None = None
    """Where a Hub data set came from, and how much of it was taken."""

    def __post_init__(self) -> None:
        if not self.numbers:
            object.__setattr__(self, "numbers", range(1, len(self.rows) + 1))


@contextmanager
def about(name: str) -> Iterator[None]:
    """Begin what is wrong with a file, which its readers say without a subject, with its name."""
    try:
        yield
    except PeopleError as error:
        raise type(error)("{file} {problem}", "file", file=_shown(name), problem=error.text) from None


def _shown(name: str) -> str:
    """A file's name as it stands in sentences: without folders, of sensible length."""
    short = "".join(c for c in re.split(r"[/\\]", name)[-1] if c.isprintable())
    return short if len(short) <= 60 else f"{short[:40]}…{short[-15:]}"


def decoded(content: bytes) -> str:
    """Decoded UTF-8, with or without its mark. Raises InputError with the line that is something else."""
    for mark, encoding in OTHER_ENCODINGS.items():
        if content.startswith(mark):
            raise InputError("is {encoding} text. Save it as UTF-8.", encoding=encoding)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            "at row {number}: this is not UTF-8 text (byte {byte}), perhaps Windows-1252 or another old encoding. "
            "Save the file as UTF-8.",
            number=content.count(b"\n", 0, error.start) + 1, byte=f"0x{content[error.start]:02x}",
        ) from None  # fmt: skip
    if "\0" in text:
        raise InputError(
            "at row {number}: this holds zero bytes, so it is no text file.",
            number=text.count("\n", 0, text.index("\0")) + 1,
        )  # fmt: skip
    return text


def check_bytes(size: int) -> None:
    """Raise TooLargeError for a file of so many bytes."""
    if size > MAX_BYTES:
        raise TooLargeError(
            "has {size:,.0f} MB; the limit is {limit:,.0f} MB. Bring a part of it.",
            size=size / 2**20, limit=MAX_BYTES / 2**20,
        )  # fmt: skip


def check_rows(number: int) -> None:
    """Raise TooLargeError for so many rows."""
    if number > MAX_ROWS:
        raise TooLargeError("has more than {limit:,} rows. Bring a part of it.", limit=MAX_ROWS)


def check_cells(rows: int, columns: int) -> None:
    """Raise TooLargeError for a table of that form, before it is built."""
    if rows * columns > MAX_CELLS:
        raise TooLargeError(
            "has more than {limit:,} cells, which are rows times columns. Bring fewer rows or columns.", limit=MAX_CELLS
        )


def counted_rows(rows: Iterable[Any]) -> Iterator[Any]:
    """The rows, up to the limit. Raises TooLargeError."""
    for number, row in enumerate(rows, 1):
        check_rows(number)
        yield row


def table_of_objects(rows: Iterable[Mapping[str, Any]], numbers: Sequence[int]) -> Table:
    """A table of named values; what is nested becomes columns of its own."""
    flat = [_flat(row) for row in rows]
    columns: dict[str, None] = {}
    for row, number in zip(flat, numbers, strict=True):
        columns.update(dict.fromkeys(row))
        if len(columns) > MAX_COLUMNS:
            raise TooLargeError(
                "at row {number}: this makes more than {limit} columns. Give all rows the same few names.",
                number=number, limit=MAX_COLUMNS,
            )  # fmt: skip
    if flat and not columns:
        raise InputError("has rows without a single named value.")
    check_cells(len(flat), len(columns))
    return Table(tuple(columns), [{column: row.get(column) for column in columns} for row in flat], numbers)


def _flat(row: Mapping[str, Any], depth: int = 0) -> dict[str, Any]:
    """Objects become dotted columns, two levels deep; chats their last exchange; what else is nested is left out."""
    flat: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, Mapping) and depth < 2:
            flat.update({f"{key}.{inner}": cell for inner, cell in _flat(value, depth + 1).items()})
        elif exchange := _exchange(value):
            flat.update({f"{key}.{role}": text for role, text in exchange.items()})
        elif _is_cell(value) or (isinstance(value, list) and all(map(_is_cell, value))):
            flat[str(key)] = value
    return flat


def _is_cell(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float)


def _exchange(value: Any) -> dict[str, str] | None:
    """The first question of a chat's messages and its answer."""
    if not (isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value)):
        return None
    said = [(item.get("role", item.get("from")), item.get("content", item.get("value"))) for item in value]
    names = {"human": "user", "gpt": "assistant"}
    found: dict[str, str] = {}
    for role, text in said:
        if isinstance(role, str) and isinstance(text, str):
            found.setdefault(names.get(role, role), text)
    return found if {"user", "assistant"} <= set(found) else None
