"""The door for data that a person brings: CSV, TSV, JSONL, JSON, SQuAD, Parquet, text and Hub data sets become tables.

Nothing that arrives is trusted: every reader has a limit, and what is wrong is said with the row's number as its
owner finds it in the file. Which column means what is for `columns`.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import InputError, UnsupportedError
from engine.messages import Text
from engine.serving.access import caller_of, check
from engine.training.formats._apart import read_apart
from engine.training.formats._base import (
    MAX_BYTES,
    MAX_ROWS,
    Table,
    about,
    check_bytes,
    check_cells,
    check_rows,
    decoded,
)
from engine.training.formats._delimited import read_csv, read_tsv
from engine.training.formats._objects import read_json, read_jsonl, squad, squad_articles
from engine.training.formats._parquet import read_parquet

if TYPE_CHECKING:
    from engine.settings import Settings

__all__ = ["READERS", "Table", "fetch_dataset", "read_apart", "read_content", "read_squad", "read_table"]

_EMPTY_LINE = re.compile(r"\n[^\S\n]*\n")
PACKED: dict[bytes, Text] = {
    b"PK\x03\x04": Text("a zip archive or an Office workbook"),
    b"PK\x05\x06": Text("an empty zip archive"),
    b"\x1f\x8b": Text("packed with gzip"),
    b"BZh": Text("packed with bzip2"),
    b"\xfd7zXZ\x00": Text("packed with xz"),
    b"(\xb5/\xfd": Text("packed with zstandard"),
    b"7z\xbc\xaf\x27\x1c": Text("a 7-Zip archive"),
    b"Rar!": Text("a RAR archive"),
}


def read_table(data: bytes | Path, name: str) -> Table:
    """The rows of a file; its form follows from the ending of `name`.

    A text file has one column `text`: a row is a paragraph, or a line where there are no empty lines. Objects in a cell
    become columns of their own (`answers.text`), a chat's messages `messages.user` and `messages.assistant`.
    Raises InputError, TooLargeError or UnsupportedError with the row's number.
    """
    with about(name):
        return read_content(_content(data), name)


def read_content(content: bytes, name: str) -> Table:
    """As `read_table`, whose errors have no subject yet."""
    _refuse_packed(content)
    reader = READERS.get(Path(name).suffix.lower())
    if reader is None:
        raise UnsupportedError("is of no known kind. Bring one of {kinds}.", kinds=sorted(READERS))
    if not content.strip():
        raise InputError("is empty.")
    table = reader(content)
    if not table.rows:
        raise InputError("has no rows below its column names.")
    return table


def read_squad(path: Path, name: str) -> Iterator[tuple[str, str, list[Mapping[str, Any]]]]:
    """Questions of a SQuAD file with all their answers: question, passage, answers. Raises InputError."""
    with about(name):
        yield from squad(squad_articles(_content(path)))


def fetch_dataset(dataset_id: str, split: str, settings: Settings) -> Table:
    """One split of a data set on the Hub: its Parquet conversion, or its own CSV, TSV, JSONL, JSON, Parquet or text.

    `dataset_id` is "owner/name", or "owner/name:configuration" where it has several. Of a large one the first files
    that fit into the limits are taken, as the table's note says. Raises PeopleError, offline within seconds.
    """
    from engine.training import hub_files

    check(caller_of(settings), "fetch data")
    found = hub_files.find(dataset_id, split, settings.network_timeout_seconds)
    tables: list[Table] = []
    left = MAX_BYTES
    for file in found.files:
        if tables and file.size_bytes > left:
            break
        content = hub_files.fetch(found, file, left, settings.network_timeout_seconds)
        left -= len(content)
        tables.append(read_apart(content, file.name))
    note = Text(
        "{dataset}, {split}, commit {commit}, licence {licence}",
        dataset=found.id, split=split, commit=found.commit[:12], licence=found.licence,
    )  # fmt: skip
    if len(tables) < len(found.files):
        note = Text("{note}; the first {some} of {all} files", note=note, some=len(tables), all=len(found.files))
    return _joined(tables, note)


def _joined(tables: Sequence[Table], note: Text) -> Table:
    columns = tuple(dict.fromkeys(column for table in tables for column in table.columns))
    if len(tables) == 1:
        return replace(tables[0], note=note)
    rows = [row for table in tables for row in table.rows]
    check_cells(len(rows), len(columns))
    if len(rows) > MAX_ROWS:
        rows, note = rows[:MAX_ROWS], Text("{note}; the first {some:,} rows", note=note, some=MAX_ROWS)
    return Table(columns, rows, note=note)


def _content(data: bytes | Path) -> bytes:
    if isinstance(data, Path) and not data.is_file():
        raise InputError("cannot be found. Check its path.")
    check_bytes(len(data) if isinstance(data, bytes) else data.stat().st_size)
    return data if isinstance(data, bytes) else data.read_bytes()


def _refuse_packed(content: bytes) -> None:
    for magic, what in PACKED.items():
        if content.startswith(magic):
            raise UnsupportedError(
                "is {kind}. Unpack it, or save the sheet as CSV (UTF-8), and bring the file inside.", kind=what
            )


def _read_text(content: bytes) -> Table:
    """Paragraphs, which empty lines part; lines where there is no empty line."""
    text = decoded(content).replace("\r\n", "\n").replace("\r", "\n")
    has_paragraphs = _EMPTY_LINE.search(text.strip()) is not None
    rows: list[list[str]] = []
    numbers: list[int] = []
    is_within = False
    for number, line in enumerate(map(str.rstrip, io.StringIO(text)), 1):
        if line and is_within and has_paragraphs:
            rows[-1].append(line)
        elif line:
            rows.append([line])
            numbers.append(number)
            check_rows(len(rows))
        is_within = bool(line)
    return Table(("text",), [{"text": "\n".join(lines)} for lines in rows], numbers)


READERS: dict[str, Callable[[bytes], Table]] = {
    ".csv": read_csv,
    ".tsv": read_tsv,
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".json": read_json,
    ".parquet": read_parquet,
    ".txt": _read_text,
    ".md": _read_text,
}
"""Reader of each ending; a page takes the kinds it accepts from here."""
