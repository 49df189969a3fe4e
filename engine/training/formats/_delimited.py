"""CSV and TSV, with row numbers as a spreadsheet counts them."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from engine.errors import InputError, TooLargeError
from engine.messages import Text
from engine.training.formats._base import MAX_COLUMNS, Table, check_cells, counted_rows, decoded

MAX_CELL_CHARACTERS = 10_000_000


def read_csv(content: bytes) -> Table:
    """Cells parted by whatever the first line is parted by."""
    text = decoded(content)
    return _table_of_cells(_parse(text, _delimiter(text)))


def read_tsv(content: bytes) -> Table:
    """Quotes are plain characters in some programs' TSV, and wrap cells in others'; what gives even rows is meant."""
    text = decoded(content)
    plain = [line.split("\t") if line else [] for line in text.replace("\r\n", "\n").split("\n")]
    if len({len(cells) for cells in plain if cells}) == 1:
        return _table_of_cells(_unquoted(plain))
    try:
        return _table_of_cells(_parse(text, "\t"))
    except InputError:
        return _table_of_cells(plain)


def _unquoted(lines: list[list[str]]) -> list[list[str]]:
    """Without the quotes around cells, if every quote in the file can be read as such."""
    wrapped = re.compile(r'"(?:[^"]|"")*"')
    if not all(wrapped.fullmatch(cell) for cells in lines for cell in cells if '"' in cell):
        return lines
    return [[cell[1:-1].replace('""', '"') if '"' in cell else cell for cell in cells] for cells in lines]


def _delimiter(text: str) -> str:
    """Of the usual ones that which makes most columns of the first line."""
    first = text.lstrip("\r\n").partition("\n")[0]
    return max(",;\t|", key=lambda mark: len(next(csv.reader([first], delimiter=mark), [])))


def _parse(text: str, delimiter: str) -> Iterator[list[str]]:
    csv.field_size_limit(MAX_CELL_CHARACTERS)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    number = 0
    try:
        for number, cells in enumerate(reader, 1):  # noqa: B007
            yield cells
    except csv.Error as error:
        raise InputError("at row {number}: {problem}", number=number + 1, problem=_problem(str(error))) from None


def _problem(words: str) -> Text:
    if "unexpected end" in words:
        return Text("a quote is opened and never closed; the file may be cut off. Close it, or bring the whole file.")
    if "expected after" in words:
        return Text('text follows a closing quote. Write a quote inside a cell twice ("").')
    if "field larger" in words:
        return Text(
            "a cell has more than {limit:,} characters; a quote may be left open above.", limit=MAX_CELL_CHARACTERS
        )
    return Text("this cannot be read ({reason}).", reason=words)


def _table_of_cells(lines: Iterable[list[str]]) -> Table:
    """A table of cells whose first line names the columns."""
    header: tuple[str, ...] = ()
    rows: list[dict[str, str]] = []
    numbers: list[int] = []
    for number, cells in enumerate(counted_rows(lines), 1):
        if not cells:
            continue
        if not header:
            header = tuple(cell.strip() for cell in cells)
            _check_header(header)
        elif len(cells) != len(header):
            raise InputError(
                "at row {number}: it has {cells} cells, the column names are {columns}. "
                "Put text that holds the separator in quotes, or fill the row up.",
                number=number, cells=len(cells), columns=len(header),
            )  # fmt: skip
        else:
            check_cells(len(rows) + 1, len(header))
            rows.append(dict(zip(header, cells, strict=True)))
            numbers.append(number)
    _check_names(header, rows)
    return Table(header, rows, numbers)


def _check_header(header: Sequence[str]) -> None:
    if len(header) > MAX_COLUMNS:
        raise TooLargeError("has {number:,} columns; the limit is {limit}.", number=len(header), limit=MAX_COLUMNS)
    for number, cell in enumerate(header, 1):
        if not cell:
            raise InputError("in the first row: column {number} has no name. Name it.", number=number)
        if len(cell) > 80 or re.fullmatch(r"[-+]?[\d.,]+|.* .*[.!]", cell):
            raise _no_header(cell)
    if len(set(header)) < len(header):
        twice = next(cell for cell in header if list(header).count(cell) > 1)
        raise InputError("in the first row: two columns are named {column}. Rename one.", column=repr(twice[:40]))


def _check_names(header: Sequence[str], rows: Sequence[Mapping[str, str]]) -> None:
    """A first row with a phrase in it, of which a cell comes again below, is no header."""
    if any(" " in column for column in header):
        for column in header:
            if any(row[column].strip() == column for row in rows):
                raise _no_header(column)


def _no_header(cell: str) -> InputError:
    return InputError(
        "has no column names: its first row holds {cell}, which looks like data. Add a first row such as text,label.",
        cell=repr(cell[:40]),
    )
