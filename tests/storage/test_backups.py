"""What is kept leaves as one file and comes back whole, or not at all, also into the other database."""

from __future__ import annotations

import gzip
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from engine.errors import ConflictError, InputError, NotFoundError, PeopleError
from engine.settings import Settings
from engine.storage import __main__ as command
from engine.storage import backups
from engine.storage.database import Database

DAY = 86_400


@pytest.fixture
def settings(database: Database) -> Settings:
    """Those of the test's database, in which something is kept."""
    database.write("a", {"text": "höher\u2028\x00 ", "list": [1, None]}, DAY, kind="visit", owner="ann")
    database.write("b", {"b": 1}, DAY, kind="key")
    database.count("asked", 3, DAY)
    return replace(Settings(), database=database.url, storage_folder=database.folder)


def test_what_is_kept_comes_back(settings: Settings, database: Database, tmp_path: Path) -> None:
    file, pieces = tmp_path / "kept.gz", backups.PIECE_ROWS
    try:
        backups.PIECE_ROWS = 2
        assert backups.backup(settings, file) == 3
        assert stat.S_IMODE(file.stat().st_mode) == 0o600 and not list(tmp_path.glob("*.part"))
        database.delete("a")
        database.write("c", {"c": 1}, DAY)
        with pytest.raises(ConflictError, match="--replace"):
            backups.restore(settings, file)
        assert database.read("c"), "nothing was changed"
        assert backups.restore(settings, file, is_replacing=True) == 3
    finally:
        backups.PIECE_ROWS = pieces
    assert database.read("a") == {"text": "höher\u2028\x00 ", "list": [1, None]} and database.read("b")
    assert database.read("c") is None and database.count("asked", 1, DAY)[0] == 4
    assert [entry.value for entry in database.listed("visit", "ann")] == [database.read("a")]


def test_it_comes_back_into_another_database(settings: Settings, clock: Callable[[], float], tmp_path: Path) -> None:
    backups.backup(settings, tmp_path / "kept.gz")
    other = replace(settings, database="", storage_folder=tmp_path / "other")
    assert backups.restore(other, tmp_path / "kept.gz") == 3
    assert Database("", tmp_path / "other", 10**6, clock).read("b") == {"b": 1}


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (lambda whole: whole[:-9], InputError),
        (lambda whole: b"", InputError),
        (lambda whole: b"not packed", InputError),
        (lambda whole: gzip.compress(gzip.decompress(whole).rpartition(b'{"rows"')[0]), InputError),
        (lambda whole: gzip.compress(gzip.decompress(whole).replace(b'"rows": 3', b'"rows": 4')), InputError),
        (lambda whole: gzip.compress(gzip.decompress(whole).replace(b'"entries"', b'"users"')), InputError),
        (lambda whole: gzip.compress(gzip.decompress(whole).replace(b'"kind"', b'"sort"')), InputError),
        (lambda whole: gzip.compress(gzip.decompress(whole).replace(b'"schema": "', b'"schema": "9')), InputError),
        (None, NotFoundError),
    ],
)
def test_what_is_not_whole_changes_nothing(
    tmp_path: Path, spoil: Callable[[bytes], bytes] | None, error: type[PeopleError]
) -> None:
    settings, file = replace(Settings(), database="", storage_folder=tmp_path / "kept"), tmp_path / "kept.gz"
    database = Database("", tmp_path / "kept", 10**6)
    for name in ("a", "b", "c"):
        database.write(name, {name: 1}, DAY)
    backups.backup(settings, file)
    if spoil is None:
        file.unlink()
    else:
        file.write_bytes(spoil(file.read_bytes()))
    with pytest.raises(error):
        backups.restore(settings, file, is_replacing=True)
    assert all(database.read(name) for name in ("a", "b", "c"))


def test_the_command(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: object) -> None:
    monkeypatch.setattr(command, "current", lambda: settings)
    file = str(tmp_path / "kept.gz")
    assert [command.main(["backup", file]), command.main(["backup", file])] == [0, 1], "never over a file that is there"
    assert command.main(["restore", file]) == 1 and command.main(["restore", file, "--replace"]) == 0
    said = capsys.readouterr()  # type: ignore[attr-defined]
    assert "3 rows written" in said.out and "3 rows restored" in said.out and "is there already" in said.err
