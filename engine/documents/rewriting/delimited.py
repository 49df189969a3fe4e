"""Tables in text (csv, tsv): one column is text; other cells, quotes, separator and encoding stay as they are."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

from engine.documents.dates import is_date
from engine.documents.rewriting import MAX_UNIT_CHARACTERS, Made, Options, Unit
from engine.documents.rewriting.plain import LETTER, Letters
from engine.errors import InputError, TooLargeError
from engine.messages import Text, counted

MARKS = ",;\t|"
LOOKED_AT = 50
"""Rows by which separator, names and the column of text are told."""
_QUOTE, _OPENED = re.compile(r' *"'), re.compile(r' *"(?:[^"]|"")*+')
MAX_COLUMNS, MAX_CELL_CHARACTERS = 500, 10_000_000
LIKELY = ("text", "review", "comment", "content", "message", "sentence", "tweet", "body", "description")
"""Names of columns that hold what people want read."""


@dataclass(frozen=True)
class Cell:
    """Where a cell stands in the file, quotes and spaces around it included."""

    start: int
    end: int


@dataclass(frozen=True)
class Head:
    """What a table's first rows tell: its columns and which of them is likeliest text."""

    columns: tuple[str, ...]
    likely: str
    has_names: bool
    dates: tuple[str, ...]
    """Columns that look like dates."""


class Grid:
    """A table's cells, each where it stands; `has_names` says that the first row names the columns, None that nobody
    knows. Raises InputError where a quote is never closed."""

    def __init__(self, text: str, name: str = "", *, is_head: bool = False, has_names: bool | None = None) -> None:
        self.has_names = has_names
        said = re.match(r'"?sep=(.)"?[ ,;\t]*\n', text, re.IGNORECASE)
        self.text, self.first = text, said.end() if said else 0
        self.mark = said[1] if said else "\t" if name.lower().endswith(".tsv") else separator(text[self.first :])
        self.numbers: list[int] = []
        """Of each row in the file, empty ones counted, from 1."""
        self.rows = self._rows(is_head)

    def _rows(self, is_head: bool) -> list[list[Cell]]:
        """Rows of cells; empty lines are none. Of a file's head the last row may be cut off."""
        text, mark = self.text, re.escape(self.mark) if self.mark else r"(?!)"
        plain = re.compile(rf"(?:(?!{mark})[^\n])*")
        quoted = re.compile(rf' *"(?:[^"]|"")*+" *(?={mark}|\n|\Z)')
        rows: list[list[Cell]] = []
        row: list[Cell] = []
        place, number = self.first, 1
        while place < len(text):
            found = quoted.match(text, place)
            if found is None and _QUOTE.match(text, place) and not is_head:
                self._check_quote(place, number)
            found = found or plain.match(text, place)
            assert found
            row.append(Cell(place, found.end()))
            place = found.end()
            if place < len(text) and text[place] != "\n":
                place += 1
                if place == len(text) or text[place] == "\n":  # an empty last cell
                    row.append(Cell(place, place))
            if place >= len(text) or text[place] == "\n":
                if len(row) > MAX_COLUMNS:
                    raise TooLargeError("has over {limit:,} columns. Bring fewer.", limit=MAX_COLUMNS)
                if any(self.value(cell).strip() for cell in row):
                    rows.append(row)
                    self.numbers.append(number)
                row, place, number = [], place + 1, number + 1
        return rows

    def _check_quote(self, place: int, number: int) -> None:
        rest = _OPENED.match(self.text, place)
        if rest and rest.end() >= len(self.text) and '"' in self.text[place : rest.end()]:
            raise InputError(
                "at row {number}: a quote is opened and never closed; the file may be cut off. Close it, or bring the "
                "whole file.", number=number,
            )  # fmt: skip

    def value(self, cell: Cell) -> str:
        """What a cell says."""
        raw = self.text[cell.start : cell.end]
        bare = raw.strip(" ")
        return bare[1:-1].replace('""', '"') if len(bare) > 1 and bare[0] == bare[-1] == '"' else raw

    def quoted(self, value: str, like: str) -> str:
        """A value as the file writes it: in quotes where the cell before had them, or where it must."""
        bare = like.strip(" ")
        must = bool(self.mark and self.mark in value) or '"' in value or "\n" in value
        if not (bare.startswith('"') or must):
            return value
        lead, tail = like[: len(like) - len(like.lstrip(" "))], like[len(like.rstrip(" ")) :]
        return lead + '"' + value.replace('"', '""') + '"' + tail

    @cached_property
    def head(self) -> Head:
        """What its first rows tell."""
        rows = [[self.value(cell).strip() for cell in row] for row in self.rows[: LOOKED_AT + 1]]
        if not rows:
            raise InputError("is empty.")
        width = max(map(len, rows))
        first, below = rows[0], rows[1:]
        has_names = looks_like_names(first, below) if self.has_names is None else self.has_names
        names = [*first, *[""] * (width - len(first))] if has_names else [""] * width
        columns = unique(names)
        body = below if has_names else rows
        likely = max(range(width), key=lambda place: _likelihood(columns[place], _column(body, place)))
        dates = tuple(columns[place] for place in range(width) if _are_dates(_column(body, place)))
        return Head(columns, columns[likely], has_names, dates)

    def body(self, has_names: bool | None) -> list[tuple[int, list[Cell]]]:
        """The rows below the names, each with its number below them."""
        has_names = self.head.has_names if has_names is None else has_names
        first = self.numbers[0] if has_names else 0
        return [(number - first, row) for number, row in zip(self.numbers, self.rows, strict=True)][has_names:]

    def place_of(self, column: str) -> int:
        """Where a column stands. Raises InputError, which names all."""
        columns = self.head.columns
        wanted = column or self.head.likely
        if wanted in columns:
            return columns.index(wanted)
        if wanted.isdigit() and 1 <= int(wanted) <= len(columns):
            return int(wanted) - 1
        raise InputError(
            "has no column {column}. Choose one of {columns}.", "column", column=repr(wanted[:60]),
            columns=[name[:40] for name in columns[:20]],
        )  # fmt: skip


def separator(text: str) -> str:
    """What parts most of the first rows into as many cells as the first one has; "" for a single column."""

    lines = [f"{line}\n" for line in text[:200_000].split("\n")]

    def parted(mark: str) -> tuple[int, int]:
        try:
            widths = [len(row) for row in islice(filter(None, csv.reader(lines, delimiter=mark)), LOOKED_AT)]
        except csv.Error:
            return 0, 0
        return (widths.count(widths[0]), widths[0]) if widths and widths[0] > 1 else (0, 0)

    best = max(MARKS, key=parted)
    rows, _ = parted(best)
    return best if rows * 2 >= min(LOOKED_AT, sum(map(bool, map(str.strip, lines)))) > 0 else ""


def unique(names: Sequence[str]) -> tuple[str, ...]:
    """A name for each column, none twice."""
    found: list[str] = []
    for number, name in enumerate(names, 1):
        shown = " ".join(name.lstrip("\ufeff").split())[:80] or f"column {number}"
        found.append(shown if shown not in found else f"{shown} ({number})")
    return tuple(found)


def looks_like_names(first: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    """Whether a first row names columns: short words, no numbers, none twice, no sentences, and not as below."""
    cells = [cell for cell in first if cell]
    if not cells or len(set(cells)) < len(cells) or any(len(cell) > 60 for cell in cells):
        return False
    if any(re.fullmatch(r"[-+]?[\d.,]+%?", cell) or re.search(r"\w{2}[.!?]$", cell) for cell in cells):
        return False
    if len(first) == 1:
        return len(cells[0].split()) <= 2 and cells[0].lower() in (*LIKELY, cells[0].lower().replace(" ", "_"))
    return not any(cell in row for row in below for cell in cells if len(cell) > 3)


def _column(rows: Sequence[Sequence[str]], place: int) -> list[str]:
    return [row[place] for row in rows if place < len(row) and row[place]]


def _likelihood(name: str, cells: Sequence[str]) -> tuple[bool, float]:
    """By its name, else by how much text it has."""
    words = sum(len(cell.split()) for cell in cells if LETTER.search(cell))
    return name.lower() in LIKELY, words / max(1, len(cells))


def _are_dates(cells: Sequence[str]) -> bool:
    return sum(map(is_date, cells)) * 2 > len(cells)


class Delimited:
    """A table of which one column is text."""

    def __init__(self, content: bytes, options: Options, name: str = "") -> None:
        self.letters = Letters(content)
        self.notes = self.letters.notes
        self.ending = ".tsv" if name.lower().endswith(".tsv") else ".csv"
        self.grid = Grid(self.letters.text, name)
        self.head, place = self.grid.head, self.grid.place_of(options.column)
        self.body = self.grid.body(options.has_names)
        cells = [(number, row[place]) for number, row in self.body if place < len(row)]
        if short_rows := len(self.body) - len(cells):
            words = counted("{count} row lacks this column and stays as it is.",
                            "{count} rows lack this column and stay as they are.", short_rows)  # fmt: skip
            self.notes.append(words)
        cells = [(number, cell) for number, cell in cells if LETTER.search(self.grid.value(cell))]
        self.numbers = [number for number, _ in cells]
        self.cells = [cell for _, cell in cells]
        self.units = [Unit(self.grid.value(cell)) for cell in self.cells]
        if long := sum(len(unit.text) > MAX_UNIT_CHARACTERS * 5 for unit in self.units):
            self.notes.append(Text("Cells of very long texts: {count:,}.", count=long))

    def written(self, made: Sequence[Made]) -> bytes:
        """The file with what was made of each cell."""
        text, out, place = self.letters.text, [], 0
        for cell, one in zip(self.cells, made, strict=True):
            out += [text[place : cell.start], self.grid.quoted(one.text, text[cell.start : cell.end])]
            place = cell.end
        return self.letters.encoded("".join([*out, text[place:]]))
