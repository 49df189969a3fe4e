"""CSV and TSV as spreadsheets write them, with row numbers as a spreadsheet counts them."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from engine.errors import InputError, TooLargeError
from engine.messages import Text, counted
from engine.training.findings import Finding, on_numbers
from engine.training.formats._base import MAX_COLUMNS, Table, check_cells, counted_rows

MAX_CELL_CHARACTERS = 10_000_000
MARKS = ",;\t|"
NO_MARK = "\x1f"
"""Parts nothing: of a file of one column, whose texts may hold any of the marks."""
LOOKED_AT = 20
"""Rows by which the mark is chosen."""


def read_csv(text: str) -> Table:
    """Cells parted by what the first line says (`sep=;`), or by what parts most rows alike."""
    said = re.match(r'"?sep=(.)"?[ ,;\t]*(?=\r|\n|$)', text, re.IGNORECASE)
    if said:
        text = text[said.end() :]
    return _table_of_cells(_parse(text, said[1] if said else _delimiter(text)))


def read_tsv(text: str) -> Table:
    """Quotes are plain characters in some programs' TSV, and wrap cells in others'; what gives even rows is meant."""
    plain = [line.split("\t") if line else [] for line in re.split(r"\r\n|\n|\r", text)]
    widths = {len(cells) for cells in plain if cells}
    if widths == {1}:
        return read_csv(text)
    if len(widths) == 1:
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
    """Of the usual ones that which parts most of the first rows into as many cells as the first row has."""

    def parted(mark: str) -> tuple[int, int]:
        try:
            rows = csv.reader(io.StringIO(text[:200_000], newline=""), delimiter=mark, skipinitialspace=True)
            widths = [len(row) for row in islice(filter(None, rows), LOOKED_AT)]
        except csv.Error:
            widths = []
        return (widths.count(widths[0]), widths[0]) if widths and widths[0] > 1 else (0, 0)

    best = max(MARKS, key=parted)
    return best if parted(best) > (0, 0) else NO_MARK


def _parse(text: str, delimiter: str) -> list[list[str]]:
    """Rows of cells, with spaces around quotes or a backslash in front of one where the file has them so."""
    mark = re.escape(delimiter)
    has_spaces = re.search(rf'(?:^|{mark}) +"', text, re.MULTILINE)
    usual: dict[str, Any] = {"skipinitialspace": True} if has_spaces else {}
    ways: list[tuple[str, dict[str, Any]]] = [(text, usual)]
    is_escaped, after = '\\"' in text, rf'" +(?={mark}|[\r\n]|$)'
    if not is_escaped and re.search(after, text):
        ways.append((re.sub(after, '"', text), usual))
    if usual:
        ways.append((text, {}))
    if is_escaped:
        ways.append((text, {"escapechar": "\\"}))
    problem: InputError | None = None
    for written, way in ways:
        try:
            return list(counted_rows(_cells(written, delimiter, way)))
        except InputError as error:
            problem = problem or error
    assert problem
    raise problem


def _cells(text: str, delimiter: str, way: Mapping[str, Any]) -> Iterator[list[str]]:
    csv.field_size_limit(MAX_CELL_CHARACTERS)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True, **way)
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
    """A table of cells whose first line names the columns; lines without any text are passed over."""
    filled = [(n, cells) for n, cells in enumerate(counted_rows(lines), 1) if any(cell.strip() for cell in cells)]
    if not filled:
        return Table((), [])
    found = []
    if _is_title(filled):
        words = Text("Row {number} is taken for a title, and left out.", number=filled[0][0])
        found.append(Finding("note", "file", words, (filled.pop(0)[0],)))
    first = filled.pop(0)[1]
    header, named = tuple(cell.strip().lstrip("\ufeff") for cell in first), len(_trimmed(first))
    rows: list[Sequence[str | None]] = []
    numbers: list[int] = []
    short: list[int] = []
    check_cells(len(filled), len(header))
    for number, line in filled:
        cells = _trimmed(line) if len(line) > len(header) else line
        if len(cells) > len(header):
            raise _too_wide(number, len(cells), named)
        if len(cells) < named:
            short.append(number)
        rows.append(cells if len(cells) == len(header) else [*cells, *[None] * (len(header) - len(cells))])
        numbers.append(number)
    names = _names(header, rows)
    _check_header(header, names)
    table = [{name: row[place] for place, name in names.items()} for row in rows]
    _check_names(tuple(names.values()), table)
    found += [*_on_short(short), *_on_nameless(header, names)]
    return Table(tuple(names.values()), table, numbers, findings=tuple(found)) if names else Table((), [])


def _trimmed(cells: list[str]) -> list[str]:
    """Without the empty cells at the end, which some spreadsheets write and some leave out."""
    last = max((place for place, cell in enumerate(cells) if cell.strip()), default=-1)
    return cells[: last + 1]


def _is_title(filled: Sequence[tuple[int, list[str]]]) -> bool:
    """A first row of one phrase that others of several cells follow."""
    if len(filled) < 3:
        return False
    first, second = (sum(bool(cell.strip()) for cell in cells) for _, cells in filled[:2])
    return first == 1 and second > 1 and " " in filled[0][1][0].strip()


def _too_wide(number: int, cells: int, columns: int) -> InputError:
    return InputError(
        "at row {number}: it has {cells} cells, the column names are {columns}. "
        "Put text that holds the separator in quotes, or fill the row up.",
        number=number, cells=cells, columns=columns,
    )  # fmt: skip


def _names(header: Sequence[str], rows: Sequence[Sequence[str | None]]) -> dict[int, str]:
    """Names of the columns that hold something. One without a name that counts the rows, as pandas has it, is left."""
    names: dict[int, str] = {}
    for place, name in enumerate(header):
        cells = [row[place] for row in rows]
        if not name and (not any(cells) or _is_count(cells)):
            continue
        names[place] = name or f"column {place + 1}"
    return names


def _is_count(cells: Sequence[str | None]) -> bool:
    first = cells[0] if cells else None
    if first not in ("0", "1"):
        return False
    return all(cell == str(number) for number, cell in enumerate(cells, int(first)))


def _on_short(short: Sequence[int]) -> Iterator[Finding]:
    if short:
        words = counted(
            "{rows} has fewer cells than there are columns; the rest counts as missing.",
            "{rows} have fewer cells than there are columns; the rest counts as missing.",
            len(short),
        )
        yield on_numbers("warning", "file", short, len(short), words)


def _on_nameless(header: Sequence[str], names: Mapping[int, str]) -> Iterator[Finding]:
    if nameless := [name for place, name in names.items() if not header[place]]:
        yield Finding("note", "file", Text("Columns without a name are called {names}.", names=nameless))


def _check_header(header: Sequence[str], names: Mapping[int, str]) -> None:
    if len(names) > MAX_COLUMNS:
        raise TooLargeError("has {number:,} columns; the limit is {limit}.", number=len(names), limit=MAX_COLUMNS)
    said = [cell for cell in header if cell]
    if said != [str(number) for number in range(len(said))]:  # as pandas names columns without a name
        for cell in said:
            is_asked = cell.endswith(("?", ":")) and len(cell) <= 300  # as forms name theirs
            if not is_asked and (len(cell) > 80 or re.fullmatch(r"[-+]?[\d.,]+|.* .*[.!]", cell)):
                raise _no_header(cell)
    if len(set(names.values())) < len(names):
        twice = next(name for name in names.values() if list(names.values()).count(name) > 1)
        raise InputError("in the first row: two columns are named {column}. Rename one.", column=repr(twice[:40]))


def _check_names(header: Sequence[str], rows: Sequence[Mapping[str, str | None]]) -> None:
    """A first row with a phrase in it, of which a cell comes again below, is no header."""
    if any(" " in column for column in header):
        for column in header:
            if any((row[column] or "").strip() == column for row in rows):
                raise _no_header(column)


def _no_header(cell: str) -> InputError:
    return InputError(
        "has no column names: its first row holds {cell}, which looks like data. Add a first row such as text,label.",
        cell=repr(cell[:40]),
    )
