"""Tables to and from the child that reads a file (`__main__`): columns, numbers and rows in small pieces, last how
many rows there are. `splitting` asks one of its own in such lines."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

from engine.jobs import apart
from engine.jobs.apart import about, line
from engine.messages import read
from engine.training.findings import read_finding
from engine.training.formats._base import Table, check_bytes

PIECE_CELLS = 4_000
"""Cells that are packed together: few, since unpacking them holds the interpreter."""
CELLS_OF_A_ROW = 4
"""Of one without columns, about."""


class Packed(Sequence[dict[str, Any]]):
    """Rows as the child sent them, each piece unpacked when it is asked for: they take no more memory than the file.

    Where there are no columns a piece holds whole rows, else their cells.
    """

    def __init__(self, columns: Sequence[str], pieces: Sequence[bytes], length: int) -> None:
        self.columns, self.pieces, self.length = columns, pieces, length
        self.rows_a_piece = piece_rows(columns)
        self._last: tuple[int, list[dict[str, Any]]] = (-1, [])

    def __len__(self) -> int:
        return self.length

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> list[dict[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        places = range(self.length)[index]
        if isinstance(places, range):
            return [self[place] for place in places]
        number, place = divmod(places, self.rows_a_piece)
        if (last := self._last)[0] != number:
            self._last = last = (number, self._rows(self.pieces[number]))
        return last[1][place]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for piece in self.pieces:
            yield from self._rows(piece)

    def _rows(self, piece: bytes) -> list[dict[str, Any]]:
        found: list[Any] = json.loads(piece)
        return [dict(zip(self.columns, cells, strict=True)) for cells in found] if self.columns else found


def piece_rows(columns: Sequence[str]) -> int:
    """Rows of one piece."""
    return max(1, PIECE_CELLS // (len(columns) or CELLS_OF_A_ROW))


def read_apart(content: bytes, name: str) -> Table:
    """`read_table` in a child of its own. Raises as that does; TooLargeError for a file that costs too much to read."""
    with about(name):
        check_bytes(len(content))
    return apart.ask_about("engine.training.formats", content, name, Answer()).tables[0]


@dataclass
class Answer(apart.Answer):
    """Tables, as they come."""

    tables: list[Table] = field(default_factory=list)
    _numbers: array[int] = field(default_factory=lambda: array("q"))

    def note(self, values: dict[str, Any]) -> None:
        """A count of rows closes a table."""
        self._numbers.extend(values.pop("numbers", ()))
        super().note(values)
        if "rows" in values:
            self._close(values["rows"])

    def _close(self, count: int) -> None:
        """The table whose last line came."""
        columns = tuple(self.told["columns"])
        note = read(self.told["note"]) if self.told["note"] else None
        numbers, found = self._numbers or range(1, count + 1), tuple(map(read_finding, self.told["findings"]))
        self.tables.append(Table(columns, Packed(columns, self.pieces, count), numbers, note, found))
        self.pieces, self._numbers = [], array("q")


def lines_of(table: Table) -> Iterator[bytes]:
    """A table as a child says it; without columns its rows may be any objects."""
    note, found = table.note.as_json() if table.note else None, [finding.as_json() for finding in table.findings]
    yield line({"columns": table.columns, "note": note, "findings": found})
    size = piece_rows(table.columns)
    for place, start in enumerate(range(0, len(table.rows), size)):
        if not isinstance(table.numbers, range):
            yield line({"numbers": list(table.numbers[start : start + size])})
        yield table.rows.pieces[place] if isinstance(table.rows, Packed) else line(_piece(table, start, size))
    yield line({"rows": len(table.rows)})


def _piece(table: Table, start: int, size: int) -> list[Any]:
    rows = table.rows[start : start + size]
    return [[row[column] for column in table.columns] for row in rows] if table.columns else list(rows)
