"""The door for data that a person brings: CSV, TSV, JSONL, JSON, SQuAD, Parquet, text and Hub data sets become tables.

Nothing that arrives is trusted: every reader has a limit, and what is wrong is said with the row's number as its
owner finds it in the file. Which column means what is for `columns`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.documents.encoding import decoded
from engine.errors import InputError, UnsupportedError
from engine.jobs.apart import MAX_BYTES, about
from engine.messages import Text
from engine.serving.access import check
from engine.training.findings import Finding
from engine.training.formats._apart import read_apart
from engine.training.formats._base import MAX_ROWS, Table, check_bytes, check_cells
from engine.training.formats._cells import unfolded
from engine.training.formats._delimited import read_csv, read_tsv
from engine.training.formats._objects import read_json, read_jsonl, squad, squad_articles
from engine.training.formats._packed import refuse, unpacked
from engine.training.formats._parquet import read_parquet
from engine.training.formats._text import read_text

if TYPE_CHECKING:
    from engine.serving.protocol import Caller
    from engine.settings import Settings

__all__ = ["ENDINGS", "Table", "fetch_dataset", "read_apart", "read_content", "read_squad", "read_table"]

READERS: dict[str, Callable[[str], Table]] = {
    ".csv": read_csv,
    ".tsv": read_tsv,
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".json": read_json,
    ".txt": read_text,
    ".md": read_text,
}
"""Reader of each ending's text."""
PARQUET = ".parquet"
ENDINGS = (*READERS, PARQUET, ".gz", ".zip")
"""Of the files that can be brought."""


def read_table(data: bytes | Path, name: str, is_own: bool = False) -> Table:
    """The rows of a file; its form follows from the ending of `name`, and from what is in it where that says otherwise.

    A text file has one column `text`: a row is a paragraph, or a line where there are no empty lines. Objects in a cell
    become columns of their own (`answers.text`), a chat's messages `messages.user` and `messages.assistant` with
    `messages.history` before them, also where they are written as JSON in text; but not in a run's own file (`is_own`).
    Raises InputError, TooLargeError or UnsupportedError with the row's number.
    """
    with about(name):
        return read_content(_content(data), name, is_own)


def read_content(content: bytes, name: str, is_own: bool = False) -> Table:
    """As `read_table`, whose errors have no subject yet."""
    if Path(name).suffix.lower() not in ENDINGS:
        raise _of_no_known_kind()
    content, name, found = unpacked(content, name, (*READERS, PARQUET))
    ending = Path(name).suffix.lower()
    refuse(content, is_text=READERS.get(ending) is read_text)
    if ending == PARQUET or content.startswith(b"PAR1"):
        table = read_parquet(content)
    else:
        text, guessed = _text(content)
        table = _reader(ending, text)(text)
        found += guessed
    if not table.rows:
        raise InputError("has no rows below its column names.")
    table = table if is_own else unfolded(table)
    return replace(table, findings=(*found, *table.findings))


def _text(content: bytes) -> tuple[str, list[Finding]]:
    if not content.strip():
        raise InputError("is empty.")
    text, guessed = decoded(content)
    if not text.strip():
        raise InputError("is empty.")
    return text, [] if guessed is None else [Finding("warning", "file", guessed)]


def _reader(ending: str, text: str) -> Callable[[str], Table]:
    if ending not in READERS:
        raise _of_no_known_kind()
    if ending in (".csv", ".tsv") and re.match(r'\s*(\[\s*)?\{\s*"', text):
        return read_json
    return READERS[ending]


def _of_no_known_kind() -> UnsupportedError:
    return UnsupportedError("is of no known kind. Bring one of {kinds}.", kinds=sorted(ENDINGS))


def read_squad(path: Path, name: str) -> Iterator[tuple[str, str, list[Mapping[str, Any]]]]:
    """Questions of a SQuAD file with all their answers: question, passage, answers. Raises InputError."""
    with about(name):
        yield from squad(squad_articles(decoded(_content(path))[0]))


def fetch_dataset(dataset_id: str, split: str, settings: Settings, caller: Caller) -> Table:
    """One split of a data set on the Hub: its Parquet conversion, or its own CSV, TSV, JSONL, JSON, Parquet or text.

    `dataset_id` is "owner/name", or "owner/name:configuration" where it has several. Of a large one the first files
    that fit into the limits are taken, as the table's note says. Raises PeopleError, offline within seconds.
    """
    from engine.training import hub_files

    check(caller, "fetch data")
    seconds, is_owners = settings.network_timeout_seconds, caller.role == "host"
    found = hub_files.find(dataset_id, split, seconds, is_owners=is_owners)
    tables: list[Table] = []
    left = MAX_BYTES
    for file in found.files:
        if tables and file.size_bytes > left:
            break
        content = hub_files.fetch(found, file, left, seconds, is_owners=is_owners)
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
    found = tuple(dict.fromkeys(finding for table in tables for finding in table.findings))
    return Table(columns, rows, note=note, findings=found)


def _content(data: bytes | Path) -> bytes:
    if isinstance(data, Path) and not data.is_file():
        raise InputError("cannot be found. Check its path.")
    check_bytes(len(data) if isinstance(data, bytes) else data.stat().st_size)
    return data if isinstance(data, bytes) else data.read_bytes()
