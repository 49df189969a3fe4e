"""What every reader of a file shares: the table that it makes, the limits, and rows from nested objects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.errors import InputError, TooLargeError
from engine.jobs.apart import MAX_BYTES
from engine.messages import Text, counted
from engine.training.findings import Finding
from engine.training.formats import _chats

MAX_ROWS = 1_000_000
MAX_COLUMNS = 200
MAX_CELLS = 5_000_000
"""Rows times columns."""
PARTS_OF_A_CHAT = ("completion", "chosen")
"""Keys under which an answer stands whose chat is under `prompt`."""


@dataclass(frozen=True)
class Table:
    """What a file holds. Cells are text, numbers, truth values, None, or lists of them."""

    columns: tuple[str, ...]
    rows: Sequence[dict[str, Any]]
    numbers: Sequence[int] = ()
    """Where each row stands in its file, as a spreadsheet or an editor counts; by default 1, 2, 3 …"""
    note: Text | None = None
    """Where a Hub data set came from, and how much of it was taken."""
    findings: tuple[Finding, ...] = ()
    """What the reader guessed or mended."""

    def __post_init__(self) -> None:
        if not self.numbers:
            object.__setattr__(self, "numbers", range(1, len(self.rows) + 1))


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


def unpacks_to_too_much() -> TooLargeError:
    """The error on what is larger than the limit once it is unpacked."""
    return TooLargeError("unpacks to more than {limit:,.0f} MB. Bring a part of it.", limit=MAX_BYTES / 2**20)


def table_of_objects(rows: Iterable[Mapping[str, Any]], numbers: Sequence[int]) -> Table:
    """A table of named values; what is nested becomes columns of its own, a chat as many rows as it has answers."""
    flat: list[dict[str, Any]] = []
    places: list[int] = []
    columns: dict[str, None] = {}
    chats = 0
    for row, number in zip(rows, numbers, strict=True):
        cells, found = _flat(_with_whole_chat(row))
        made = _rows_of(cells, found) if found else [cells]
        chats += bool(found)
        flat += made
        places += [number] * len(made)
        check_rows(len(flat))
        columns.update(dict.fromkeys(key for cells in made for key in cells))
        if len(columns) > MAX_COLUMNS:
            raise TooLargeError(
                "at row {number}: this makes more than {limit} columns. Give all rows the same few names.",
                number=number, limit=MAX_COLUMNS,
            )  # fmt: skip
    if flat and not columns:
        raise InputError("has rows without a single named value.")
    check_cells(len(flat), len(columns))
    table = [{column: row.get(column) for column in columns} for row in flat]
    return Table(tuple(columns), table, places, findings=_on_chats(chats, len(flat) - len(numbers)))


def _on_chats(chats: int, more: int) -> tuple[Finding, ...]:
    """A chat of several answers is worth a word."""
    if not more:
        return ()
    words = counted(
        "{count} chat has more than one answer: each is a row, with everything said before it.",
        "{count:,} chats have {rows:,} answers: each is a row, with everything said before it.",
        chats, rows=chats + more,
    )  # fmt: skip
    return (Finding("note", "file", words),)


def _with_whole_chat(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """A prompt and its completion, both chats, are one."""
    before = _chats.turns(row.get("prompt"))
    for key in PARTS_OF_A_CHAT:
        answer = _chats.turns(row.get(key)) if before else None
        if answer and answer[0][0] == "assistant":
            others = {name: value for name, value in row.items() if name not in ("prompt", key)}
            return {"messages": [*row["prompt"], *row[key]]} | others
    return row


def _flat(row: Mapping[str, Any], depth: int = 0) -> tuple[dict[str, Any], dict[str, list[dict[str, str | None]]]]:
    """Cells, and chats by their column. Objects become dotted columns, two levels deep; what else is nested is left."""
    cells: dict[str, Any] = {}
    found: dict[str, list[dict[str, str | None]]] = {}
    for key, value in row.items():
        if isinstance(value, Mapping) and depth < 2:
            inner, chats = _flat(value, depth + 1)
            cells |= {f"{key}.{name}": cell for name, cell in inner.items()}
            found |= {f"{key}.{name}": chat for name, chat in chats.items()}
        elif said := _chats.turns(value):
            found[key] = _chats.exchanges(said)
        elif said := _chats.pairs(value):
            cells[key] = _chats.as_history(said)
        elif _is_cell(value) or (isinstance(value, list) and all(map(_is_cell, value))):
            cells[str(key)] = value
        elif isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
            cells |= {
                f"{key}.{name}": [item.get(name) for item in value] for name in value[0] if _is_cells(value, name)
            }
    return cells, found


def _is_cell(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float)


def _is_cells(items: Sequence[Mapping[str, Any]], name: str) -> bool:
    return all(_is_cell(item.get(name)) for item in items)


def _rows_of(cells: dict[str, Any], found: Mapping[str, list[dict[str, str | None]]]) -> list[dict[str, Any]]:
    """A row for each answer of a row's chats."""
    count = max(map(len, found.values()))
    return [
        cells | {
            f"{key}.{role}": text
            for key, rows in found.items()
            for role, text in (rows[place] if place < len(rows) else dict.fromkeys(rows[0])).items()
        }
        for place in range(count)
    ]  # fmt: skip
