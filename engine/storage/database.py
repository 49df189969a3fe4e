"""What is kept, in a database: SQLite in a file of its own, or PostgreSQL. Each call is one transaction."""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, case, delete, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoConnectionError

from engine.storage import HOSTS_OWN, Entry, StorageError, earlier
from engine.storage.connections import connect, is_broken, set_aside
from engine.storage.tables import COUNTS, ENTRIES, upgrade

log = logging.getLogger(__name__)

MAX_VALUE_BYTES = 2 * 2**20
SWEEP_SECONDS = 600.0
"""Between two looks for what has ended."""
QUIET_SECONDS = 2.0
"""How long nobody tries to reach a database that was just gone: each try may take its seconds."""
AHEAD_SECONDS = 60.0
"""What was made later than now by more than this shows that the clock was set back."""
GONE = "What is kept here cannot be reached for the moment. Try again in a minute."


class Database:
    """At most `limit_bytes` of visitors' values; what ends soonest makes room. `now` in seconds since 1970.

    `url` is SQLAlchemy's; empty, it is a file in `folder`, where an earlier version kept files.
    """

    def __init__(self, url: str, folder: Path, limit_bytes: int, now: Callable[[], float] = time.time) -> None:
        self.url, self.folder, self.limit_bytes, self.now = url, folder, limit_bytes, now
        self._engine: Engine | None = None
        self._swept = self._quiet_until = 0.0
        self._used_bytes = 0
        self._lock = threading.Lock()

    def read(self, name: str) -> dict[str, Any] | None:
        """The value under that name; None when there is none, or none any more."""
        found = self.entry(name)
        return found.value if found else None

    def entry(self, name: str) -> Entry | None:
        """The value under that name with what is known of it."""
        return next(iter(self._found(ENTRIES.c.name == _hash(name))), None)

    def extend(self, name: str, seconds: float) -> None:
        """Have what is there end so long from now, instead of when it was to."""
        with self._transaction() as connection:
            wanted = update(ENTRIES).where(ENTRIES.c.name == _hash(name))
            connection.execute(wanted.values(ends=self.now() + seconds))

    def write(self, name: str, value: Mapping[str, Any], seconds: float, *, kind: str = "", owner: str = "") -> bool:
        """Keep a value for so long, in place of an earlier one; False where it is too large, or cannot be kept."""
        content = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        if len(content) > (MAX_VALUE_BYTES if kind in HOSTS_OWN else min(MAX_VALUE_BYTES, self.limit_bytes)):
            return False
        now = self.now()
        row = {"kind": kind, "owner": _hash(owner) if owner else "", "made": now, "ends": now + seconds}
        row |= {"bytes": len(content), "value": content.decode()}
        try:
            with self._transaction() as connection:
                self._put(connection, {"name": _hash(name), **row})
                self._used_bytes += len(content)
                if self._used_bytes > self.limit_bytes or now - self._swept > SWEEP_SECONDS or now < self._swept:
                    self._sweep(connection)
        except StorageError:
            return False
        return True

    def delete(self, name: str) -> None:
        """Let go of it; nothing happens where there is none."""
        self.remove(_hash(name))

    def listed(self, kind: str, owner: str | None = None, most: int = 100) -> list[Entry]:
        """What is kept of a kind, of all owners or of one, the latest first."""
        whose = [] if owner is None else [ENTRIES.c.owner == _hash(owner)]
        return self._found(ENTRIES.c.kind == kind, *whose, most=most)

    def remove(self, id: str) -> None:
        """Let go of what `listed` showed."""
        with self._transaction() as connection:
            connection.execute(delete(ENTRIES).where(ENTRIES.c.name == id))

    def forget(self, owner: str) -> int:
        """Let go of all that an owner has, and tell how much it was."""
        with self._transaction() as connection:
            return connection.execute(delete(ENTRIES).where(ENTRIES.c.owner == _hash(owner))).rowcount

    def usage(self) -> dict[str, tuple[int, int]]:
        """Values and bytes by kind."""
        wanted = select(ENTRIES.c.kind, func.count(), func.sum(ENTRIES.c.bytes)).group_by(ENTRIES.c.kind)
        with self._transaction() as connection:
            rows = connection.execute(wanted.where(ENTRIES.c.ends > self.now())).all()
        return {kind: (count, int(size)) for kind, count, size in rows}

    def count(self, name: str, amount: int, seconds: float) -> tuple[int, float]:
        """Add to a count that begins anew so long after its first; the sum, and when it ends.

        One that would end later than it can, since the clock was set back meanwhile, begins anew as well.
        """
        now = self.now()
        insert = self._insert(COUNTS).values(name=_hash(name), amount=amount, ends=now + seconds)
        is_over = or_(COUNTS.c.ends <= now, COUNTS.c.ends > now + seconds)
        added = insert.on_conflict_do_update(
            index_elements=["name"],
            set_={
                "amount": case((is_over, amount), else_=COUNTS.c.amount + amount),
                "ends": case((is_over, now + seconds), else_=COUNTS.c.ends),
            },
        ).returning(COUNTS.c.amount, COUNTS.c.ends)
        with self._transaction() as connection:
            total, ends = connection.execute(added).one()
        return int(total), float(ends)

    def counted(self, name: str) -> tuple[int, float]:
        """The sum and the end of a count; (0, 0) of one that is not there."""
        wanted = select(COUNTS.c.amount, COUNTS.c.ends).where(COUNTS.c.name == _hash(name), COUNTS.c.ends > self.now())
        with self._transaction() as connection:
            found = connection.execute(wanted).one_or_none()
        return (int(found.amount), float(found.ends)) if found else (0, 0.0)

    def prepare(self) -> None:
        """Open it before anybody waits for that, and take over what an earlier version kept in files."""
        with self._transaction() as connection:
            self._sweep(connection)

    def close(self) -> None:
        """Let go of all connections; the next call opens it again."""
        with self._lock:
            if self._engine is not None:
                self._engine.dispose()
            self._engine = None

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        """Whole or not at all. What the database has against it is logged, and a StorageError for people."""
        if time.monotonic() < self._quiet_until:
            raise StorageError(GONE, retry_seconds=QUIET_SECONDS)
        try:
            with self._opened().begin() as connection:
                yield connection
        except (DBAPIError, NoConnectionError, OSError) as error:
            log.warning("what is kept cannot be reached: %s", getattr(error, "orig", None) or error)
            if self.url:  # a file that is full answers at once, and can be read
                self._quiet_until = time.monotonic() + QUIET_SECONDS
            raise StorageError(GONE, retry_seconds=60) from error

    def _found(self, *conditions: Any, most: int = 1) -> list[Entry]:
        """The latest of what has not ended."""
        columns = ENTRIES.c
        wanted = select(
            columns.name.label("id"), columns.kind, columns.made, columns.ends, columns.bytes, columns.value
        )
        wanted = wanted.where(*conditions, columns.ends > self.now()).order_by(columns.made.desc()).limit(most)
        with self._transaction() as connection:
            rows = connection.execute(wanted).all()
        return [Entry(**{**row._mapping, "value": json.loads(row.value)}) for row in rows]

    def _opened(self) -> Engine:
        with self._lock:
            if self._engine is None:
                self._engine = self._open()
            return self._engine

    def _open(self) -> Engine:
        """Connect, and bring the tables to their present form. A file that is no database any more is set aside."""
        for is_last in (False, True):
            engine, lock = connect(self.url, self.folder)
            try:
                with lock, engine.begin() as connection:
                    upgrade(connection)
                    old = earlier.take_over(self.folder, partial(self._put, connection))
                for path in old:
                    path.unlink(missing_ok=True)
                return engine
            except SQLAlchemyError as error:
                engine.dispose()
                if self.url or is_last or not is_broken(error):
                    raise
                set_aside(self.folder)
        raise AssertionError

    def _put(self, connection: Connection, row: Mapping[str, Any]) -> None:
        insert = self._insert(ENTRIES).values(**row)
        connection.execute(insert.on_conflict_do_update(index_elements=["name"], set_=dict(row)))

    def _insert(self, table: Any) -> Any:
        return postgresql.insert(table) if self.url and not self.url.startswith("sqlite") else sqlite.insert(table)

    def _sweep(self, connection: Connection) -> None:
        """Delete what has ended, then of visitors' values what ends soonest until a tenth of the room is free."""
        now, columns = self.now(), ENTRIES.c
        self._swept = now
        late = columns.made > now + AHEAD_SECONDS  # the clock was set back: a value lives as long as was said, from now
        connection.execute(update(ENTRIES).where(late).values(made=now, ends=now + columns.ends - columns.made))
        connection.execute(delete(ENTRIES).where(columns.ends <= now))
        connection.execute(delete(COUNTS).where(COUNTS.c.ends <= now))
        theirs = columns.kind.not_in(HOSTS_OWN)
        used = int(connection.execute(select(func.sum(columns.bytes)).where(theirs)).scalar() or 0)
        if used > self.limit_bytes:
            names = []
            for name, size in connection.execute(select(columns.name, columns.bytes).where(theirs).order_by("ends")):
                if used <= 0.9 * self.limit_bytes:
                    break
                names.append(name)
                used -= size
            connection.execute(delete(ENTRIES).where(columns.name.in_(names)))
        self._used_bytes = used


def _hash(name: str) -> str:
    """A name may hold anything, also what a visitor typed."""
    return hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()
