"""One PostgreSQL for the session, in a folder that goes with it; and each database as a test wants it, empty."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from engine.storage.database import Database

OFF = ("-c", "fsync=off", "-c", "listen_addresses=", "-c", "max_connections=30")


class Clock:
    """Seconds since 1970, as a test sets them."""

    def __init__(self) -> None:
        self.seconds = 1_000_000.0

    def __call__(self) -> float:
        return self.seconds


class Postgres:
    """A server that listens on a socket in its own folder. It refuses to be root's, who runs it as another user."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self.folder, self.programs, self.user = folder, programs, {}
        if os.getuid() == 0:
            known = {entry.pw_name: entry for entry in pwd.getpwall()}
            entry = known.get("postgres") or known["nobody"]
            os.chown(folder, entry.pw_uid, entry.pw_gid)
            self.user = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        made = [programs / "initdb", "-D", folder / "data", "-U", "tester", "-A", "trust", "--no-sync", "-E", "UTF8"]
        subprocess.run(made, check=True, capture_output=True, cwd=folder, **self.user)
        self.start()

    @property
    def url(self) -> str:
        return f"postgresql://tester@/postgres?host={self.folder}"

    def start(self) -> None:
        """Returns when it answers."""
        command = [self.programs / "postgres", "-D", self.folder / "data", "-k", self.folder, *OFF]
        log = (self.folder / "log").open("ab")
        self.process = subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log, **self.user)
        ready = [self.programs / "pg_isready", "-h", self.folder, "-U", "tester", "-q"]
        end = time.monotonic() + 30
        while subprocess.run(ready).returncode:
            assert time.monotonic() < end and self.process.poll() is None, (self.folder / "log").read_text()
            time.sleep(0.02)

    def stop(self) -> None:
        """At once, as by a crash."""
        self.process.send_signal(3)
        self.process.wait(20)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    found = [
        *sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")),
        *map(Path, filter(None, [shutil.which("initdb")])),
    ]
    if not found:
        pytest.skip("there is no PostgreSQL on this machine (apt-get install postgresql)")
    with tempfile.TemporaryDirectory(prefix="pg") as folder:
        server = Postgres(Path(folder), found[0].resolve().parent)
        yield server
        with suppress(subprocess.TimeoutExpired):
            server.stop()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["sqlite", "postgresql"])
def open_database(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Callable[..., Database]]:
    """Opens the database of this test, as often as it likes: `limit_bytes` of it."""
    url, opened = "", []
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").url
        fresh = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
        with fresh.begin() as connection:
            connection.execute(text("DROP SCHEMA public CASCADE; CREATE SCHEMA public"))
        fresh.dispose()

    def opening(limit_bytes: int = 10 * 2**20) -> Database:
        opened.append(Database(url, tmp_path / "kept", limit_bytes, clock))
        return opened[-1]

    yield opening
    for database in opened:
        database.close()


@pytest.fixture
def database(open_database: Callable[..., Database]) -> Database:
    return open_database()
