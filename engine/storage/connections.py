"""How the two databases are reached: pools, time limits, and what is done with a file that is broken."""

from __future__ import annotations

import logging
import time
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from filelock import FileLock
from sqlalchemy import Engine, create_engine, event, make_url

from engine.errors import InputError

log = logging.getLogger(__name__)

FILE = "parlance.db"
PRAGMAS = (
    "PRAGMA auto_vacuum = FULL",  # so that the file shrinks with what it holds; counts only in a new file
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",  # whole after a kill; after a power cut the last moment may be missing
    "PRAGMA busy_timeout = 5000",
    "PRAGMA secure_delete = ON",  # what a visitor deletes is not left in free pages
)
CONNECT_SECONDS, STATEMENT_SECONDS = 3, 5
BROKEN = ("not a database", "malformed")


def connect(url: str, folder: Path) -> tuple[Engine, AbstractContextManager[Any]]:
    """A pool of connections, and the lock under which one process alone changes tables. Raises InputError."""
    if not url:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)  # texts are for nobody else on the machine
        engine = create_engine(f"sqlite:///{folder / FILE}")
        event.listen(engine, "connect", _set_up)
        return engine, FileLock(folder / f"{FILE}.lock", timeout=60)
    if find_spec("psycopg") is None:
        raise InputError("PARLANCE_DATABASE needs psycopg: install requirements-host.txt.")
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() not in ("postgres", "postgresql"):
            raise ValueError(parsed.get_backend_name())
    except Exception:
        raise InputError("PARLANCE_DATABASE is no address of PostgreSQL, as postgresql://name@host/database.") from None
    arguments = {"connect_timeout": CONNECT_SECONDS, "options": f"-c statement_timeout={STATEMENT_SECONDS * 1000}"}
    engine = create_engine(
        parsed.set(drivername="postgresql+psycopg"), connect_args=arguments, pool_pre_ping=True,
        pool_timeout=STATEMENT_SECONDS, pool_size=5, max_overflow=10,
    )  # fmt: skip
    return engine, nullcontext()


def _set_up(connection: Any, record: Any) -> None:
    cursor = connection.cursor()
    for pragma in PRAGMAS:
        cursor.execute(pragma)
    cursor.close()


def is_broken(error: Exception) -> bool:
    """Whether a file turned out to be no database, or not a whole one."""
    return any(words in str(error) for words in BROKEN)


def set_aside(folder: Path) -> None:
    """Give a broken file another name, beside which a new one is begun."""
    name = f"broken-{time.strftime('%Y%m%d-%H%M%S')}"
    log.error("%s is broken; it is kept as %s.%s, and a new one is begun", folder / FILE, FILE, name)
    for ending in ("", "-wal", "-shm"):
        path = folder / f"{FILE}{ending}"
        if path.exists():
            path.rename(folder / f"{FILE}{ending}.{name}")
