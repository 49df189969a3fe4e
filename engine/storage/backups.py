"""What is kept as one file, for another day or another database: packed lines of JSON, a row each, and how many."""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, delete, func, select

from engine import __version__
from engine.errors import ConflictError, InputError, NotFoundError
from engine.settings import Settings
from engine.storage.connections import connect
from engine.storage.tables import HEAD, METADATA, upgrade

PIECE_ROWS = 500
"""Rows that are read and written together."""


def backup(settings: Settings, path: Path) -> int:
    """Write all that is kept into a new file, while a server may run; the number of rows. Raises PeopleError."""
    with _connected(settings) as connection, _new(path) as file:
        file.write(_line({"parlance": __version__, "schema": HEAD}))
        count = 0
        for table in METADATA.sorted_tables:
            for row in connection.execution_options(yield_per=PIECE_ROWS).execute(select(table)):
                file.write(_line({"table": table.name, "row": dict(row._mapping)}))
                count += 1
        file.write(_line({"rows": count}))
    return count


def restore(settings: Settings, path: Path, is_replacing: bool = False) -> int:
    """Put the rows of such a file into the database, all or none. Raises PeopleError, also where it holds something.

    `is_replacing` deletes what is there.
    """
    with _connected(settings) as connection:
        for table in METADATA.sorted_tables:
            if is_replacing:
                connection.execute(delete(table))
            elif connection.execute(select(func.count()).select_from(table)).scalar():
                raise ConflictError("The database holds something. Say --replace to put the backup in its place.")
        return sum(_put(connection, piece) for piece in _pieces(path))


def _put(connection: Connection, lines: list[dict[str, Any]]) -> int:
    """Write rows, which the file has table by table."""
    for name in dict.fromkeys(line["table"] for line in lines):
        rows = [line["row"] for line in lines if line["table"] == name]
        connection.execute(METADATA.tables[name].insert(), rows)
    return len(lines)


def _pieces(path: Path) -> Iterator[list[dict[str, Any]]]:
    """The rows of a file, some at a time. Raises InputError at its end where it was not whole."""
    piece: list[dict[str, Any]] = []
    count, told = 0, None
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            _check(json.loads(file.readline() or "{}"))
            for text in file:
                line = json.loads(text)
                if "rows" in line:
                    told = line["rows"]
                    continue
                if set(line["row"]) != set(METADATA.tables[line["table"]].columns.keys()):
                    raise KeyError(line["table"])
                piece.append(line)
                count += 1
                if len(piece) == PIECE_ROWS:
                    yield piece
                    piece = []
    except FileNotFoundError:
        raise NotFoundError("There is no file {file}.", file=str(path)) from None
    except (OSError, EOFError, ValueError, KeyError, TypeError, zlib.error) as error:
        raise _damaged(path) from error
    if told != count:
        raise _damaged(path)
    if piece:
        yield piece


def _check(head: dict[str, Any]) -> None:
    if head.get("schema", HEAD) != HEAD:
        raise InputError(
            "The backup was made by Parlance {version}, which kept things in another form. Restore it with that "
            "version, then upgrade.",
            version=str(head.get("parlance"))[:20],
        )  # fmt: skip
    if "parlance" not in head:
        raise ValueError("no backup")


def _damaged(path: Path) -> InputError:
    return InputError("{file} is no backup, or not a whole one. Nothing was changed.", file=str(path))


@contextmanager
def _connected(settings: Settings) -> Iterator[Connection]:
    """One transaction on the database of these settings, with its tables in their present form."""
    engine, lock = connect(settings.database, settings.storage_folder)
    try:
        with lock, engine.begin() as connection:
            upgrade(connection)
            yield connection
    finally:
        engine.dispose()


@contextmanager
def _new(path: Path) -> Iterator[gzip.GzipFile]:
    """A file for nobody else's eyes, which has its name when it is whole and on the disk. Raises ConflictError."""
    if path.exists():
        raise ConflictError("{file} is there already. Name a new file.", file=str(path))
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as raw:
            with gzip.GzipFile(fileobj=raw, mode="wb") as file:
                yield file
            raw.flush()
            os.fsync(raw.fileno())
        temporary.rename(path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"
