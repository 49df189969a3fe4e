"""What is kept: by name and with an end, within its room, readable only for who knows the key."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.storage.files import MAX_VALUE_BYTES, SWEEP_SECONDS, Files
from engine.storage.visits import MAX_LISTED, Visits

DAY = 86_400.0


class Clock:
    """Seconds since 1970, as a test sets them."""

    def __init__(self) -> None:
        self.seconds = 1_000_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def files(tmp_path: Path, clock: Clock) -> Files:
    return Files(tmp_path / "kept", 10 * 2**20, clock)


@pytest.mark.parametrize("name", ["plain", "../../etc/passwd", "a/b\\c\0d", "名前 " * 500, "\ud800"])
def test_any_name_is_kept_in_the_folder_alone(files: Files, tmp_path: Path, name: str) -> None:
    assert files.read(name) is None
    assert files.write(name, {"text": "雪 " * 3}, DAY) and files.read(name) == {"text": "雪 雪 雪 "}
    assert [path.parent for path in tmp_path.rglob("*.json")] == [files.folder]
    assert files.folder.stat().st_mode & 0o077 == 0, "for nobody else on the machine"
    files.delete(name)
    files.delete(name)
    assert files.read(name) is None


def test_what_has_ended_is_not_read_and_goes(files: Files, clock: Clock) -> None:
    files.write("short", {"a": 1}, DAY)
    files.write("long", {"a": 2}, 9 * DAY)
    clock.seconds += 2 * DAY
    assert files.read("short") is None and files.read("long") == {"a": 2}
    files.write("another", {"a": 3}, DAY)
    assert len(list(files.folder.iterdir())) == 2


def test_the_room_is_kept_and_the_soonest_end_makes_it(tmp_path: Path, clock: Clock) -> None:
    files = Files(tmp_path, 10_000, clock)
    for number in range(30):
        files.write(str(number), {"text": "x" * 1_000}, DAY + number)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 10_000
    assert files.read("0") is None and files.read("29")
    assert not files.write("large", {"text": "x" * 10_000}, DAY)
    assert not Files(tmp_path / "off", 0).write("a", {}, DAY) and not (tmp_path / "off").exists()
    assert not Files(tmp_path, 2**30).write("a", {"text": "x" * MAX_VALUE_BYTES}, DAY)
    assert SWEEP_SECONDS < DAY


def test_a_folder_that_cannot_be_written_keeps_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    files = Files(tmp_path / "file" / "below", 10_000)
    assert not files.write("a", {"b": 1}, DAY) and files.read("a") is None


def test_visits_are_their_visitors_alone(files: Files) -> None:
    files.now = lambda: 0.0
    visits = Visits(files, DAY)
    key = visits.keep("ann", "write", "a poem " * 50, {"text": "a poem"})
    assert len(key) >= 22 and visits.find(key, "write") == {"text": "a poem"}
    assert visits.find(key, "translate") is None and visits.find("", "write") is None
    assert visits.find("x" * 10_000, "write") is None
    (listed,) = visits.of("ann", "write")
    assert listed.key == key and len(listed.title) == 80
    assert visits.of("bob", "write") == [] and visits.of("ann", "translate") == []
    visits.forget("bob", "write", key)
    assert visits.find(key, "write")
    visits.forget("ann", "write", key)
    assert visits.find(key, "write") is None and visits.of("ann", "write") == []


def test_a_visitors_list_has_an_end(files: Files) -> None:
    files.now = lambda: 0.0
    visits = Visits(files, DAY)
    keys = [visits.keep("ann", "write", str(number), {"n": number}) for number in range(MAX_LISTED + 2)]
    assert [visit.key for visit in visits.of("ann", "write")] == keys[:1:-1]
    assert visits.find(keys[1], "write") is None and visits.find(keys[2], "write")
    visits.forget("ann", "write")
    assert visits.of("ann", "write") == [] and visits.find(keys[-1], "write") is None
    assert not list(files.folder.iterdir())


def test_what_cannot_be_kept_has_no_key(tmp_path: Path) -> None:
    visits = Visits(Files(tmp_path, 0), DAY)
    assert visits.keep("ann", "write", "a", {"b": 1}) == "" and visits.of("ann", "write") == []
