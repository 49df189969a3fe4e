"""Rows of a table, or of a text, that are judged: their texts and dates, and the table with more columns."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from engine.documents import check_bytes
from engine.documents.kinds import kind_of
from engine.documents.rewriting import Options, objects
from engine.documents.rewriting.delimited import Grid
from engine.documents.rewriting.plain import Letters
from engine.errors import InputError, UnsupportedError

ENDINGS = (".csv", ".tsv", ".txt", *objects.ENDINGS)
"""Of the files whose rows can be judged."""


class Rows:
    """The rows of a file that hold text."""

    def __init__(self, content: bytes, name: str, options: Options) -> None:
        check_bytes(len(content))
        ending = PurePosixPath(name).suffix.lower()
        if ending not in ENDINGS:
            raise UnsupportedError("is of no known kind. Bring one of {kinds}.", kinds=list(ENDINGS))
        if kind := kind_of(content):
            raise UnsupportedError("is {kind}, whatever its name says. Save its rows as CSV.", kind=kind)
        self.letters = Letters(content)
        self.grid = _lines(self.letters.text) if ending == ".txt" else grid_of(self.letters.text, name)
        if not self.grid.rows:
            raise InputError("holds no text to work on.")
        self.has_names = self.grid.head.has_names if options.has_names is None else options.has_names
        self.numbers = self._filled(options.column)
        self.texts = [self._cell(number, self.place) for number in self.numbers]
        self.dates = self._dates(options.date)
        if not self.texts:
            raise InputError("holds no text to work on.")

    def _filled(self, column: str) -> list[int]:
        """Rows with a text in the column."""
        self.place = self.grid.place_of(column)
        numbers = range(int(self.has_names), len(self.grid.rows))
        return [number for number in numbers if self._cell(number, self.place).strip()]

    def _dates(self, column: str) -> list[str]:
        if not column:
            return []
        place = self.grid.place_of(column)
        return [self._cell(number, place).strip() for number in self.numbers]

    def _cell(self, number: int, place: int) -> str:
        row = self.grid.rows[number]
        return self.grid.value(row[place]) if place < len(row) else ""

    def written(self, names: Sequence[str], cells: Sequence[Sequence[str]]) -> bytes:
        """The table with more columns, whose cells are those of the rows with text."""
        rows = dict(zip(self.numbers, cells, strict=True))
        return self.letters.encoded(with_columns(self.grid, rows, names, self.has_names))


def grid_of(text: str, name: str, *, is_head: bool = False) -> Grid:
    """A table, or rows of objects as one. Raises InputError or TooLargeError."""
    if PurePosixPath(name).suffix.lower() in objects.ENDINGS:
        return Grid(objects.as_csv(text, is_head=is_head), has_names=True)
    return Grid(text, name, is_head=is_head)


def _lines(text: str) -> Grid:
    """A text as a table of one column: a row is a paragraph, or a line where there are no empty lines."""
    has_gaps = re.search(r"\n[^\S\n]*\n\s*\S", text.strip())
    parts = re.split(r"\n[^\S\n]*\n\s*", text) if has_gaps else text.split("\n")
    rows = [" ".join(part.split()).replace('"', '""') for part in parts if part.strip()]
    return Grid("text\n" + "".join(f'"{row}"\n' for row in rows))


def with_columns(grid: Grid, rows: Mapping[int, Sequence[str]], names: Sequence[str], has_names: bool) -> str:
    """The table with more columns at its end; `rows` are their cells by the number of the row."""
    width, mark = len(grid.head.columns), grid.mark or ","
    out, place = [], 0
    if not has_names:  # the new columns have names, so that all get some
        out.append(mark.join(_safe(name, mark) for name in (*grid.head.columns, *names)) + "\n")
    for number, row in enumerate(grid.rows):
        values = names if has_names and not number else rows.get(number, [""] * len(names))
        own = grid.text[place : row[-1].end]
        if not grid.mark:  # what parts the columns now may stand in the only one's texts
            own = grid.text[place : row[0].start] + _safe(grid.value(row[0]), mark)
        out += [own, mark * (width - len(row)), *(mark + _safe(value, mark) for value in values)]
        place = row[-1].end
    return "".join([*out, grid.text[place:]])


def _safe(value: str, mark: str) -> str:
    return '"' + value.replace('"', '""') + '"' if mark in value or '"' in value or "\n" in value else value
