"""What is kept, in both databases: by name and with an end, within its room, readable only for who knows the key."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from engine.errors import InputError, NotFoundError
from engine.settings import Settings
from engine.storage import FOR_EVER, StorageError, at_hand, open_storage
from engine.storage.connections import FILE
from engine.storage.database import MAX_VALUE_BYTES, SWEEP_SECONDS, Database
from engine.storage.feedback import Feedback
from engine.storage.hosting import Hosting
from engine.storage.links import Links
from engine.storage.tables import METADATA
from engine.storage.visits import MAX_LISTED, Visits
from tests.storage.conftest import Clock, Postgres

DAY = 86_400.0
Open = Callable[..., Database]


@pytest.mark.parametrize("name", ["plain", "../../etc/passwd", "a/b\\c\0d", "名前 " * 500, "\ud800"])
def test_any_name_and_any_text_is_kept(database: Database, name: str) -> None:
    assert database.read(name) is None
    assert database.write(name, {"text": "雪 \0 " * 3 + "'; DROP TABLE entries; --"}, DAY)
    assert database.read(name) == {"text": "雪 \0 " * 3 + "'; DROP TABLE entries; --"}
    assert database.write(name, {"text": "\ud800"}, DAY) and database.read(name) == {"text": "?"}
    database.delete(name)
    database.delete(name)
    assert database.read(name) is None


def test_what_has_ended_is_not_read_and_goes(database: Database, clock: Clock) -> None:
    database.write("short", {"a": 1}, DAY)
    database.write("long", {"a": 2}, 9 * DAY)
    database.write("pinned", {"a": 4}, FOR_EVER)
    clock.seconds += 2 * DAY
    assert database.read("short") is None and database.read("long") == {"a": 2}
    assert database.usage() == {"": (2, 14)}
    clock.seconds -= DAY
    database.write("another", {"a": 3}, DAY)
    clock.seconds += 900 * DAY
    database.prepare()
    assert database.read("pinned") == {"a": 4} and database.usage() == {"": (1, 7)}
    clock.seconds -= 900 * DAY
    assert database.read("short") is None and SWEEP_SECONDS < DAY


def test_the_room_is_kept_and_the_soonest_end_makes_it(open_database: Open) -> None:
    database = open_database(10_000)
    assert database.write("api", {"secret": "x" * 200}, 1.0, kind="key")
    for number in range(30):
        database.write(str(number), {"text": "x" * 1_000}, DAY + number, kind="visit")
    assert database.usage()["visit"][1] <= 10_000 and database.read("api"), "the host's own makes no way"
    assert database.read("0") is None and database.read("29")
    assert not database.write("large", {"text": "x" * 10_000}, DAY)
    assert not open_database(2**30).write("a", {"text": "x" * MAX_VALUE_BYTES}, DAY)
    assert not open_database(0).write("a", {}, DAY)


def test_an_owner_has_a_list_and_is_forgotten(database: Database, clock: Clock) -> None:
    for owner, number in (("ann", 1), ("ann", 2), ("bob", 3)):
        clock.seconds += 1
        database.write(f"{owner} {number}", {"number": number}, DAY, kind="share", owner=owner)
    database.write("other kind", {}, DAY, kind="visit", owner="ann")
    assert [entry.value["number"] for entry in database.listed("share", "ann")] == [2, 1]
    assert [entry.value["number"] for entry in database.listed("share", most=2)] == [3, 2]
    newest = database.listed("share")[0]
    assert (newest.made, newest.ends, newest.bytes) == (clock.seconds, clock.seconds + DAY, 12)
    database.remove(newest.id)
    assert database.listed("share", "bob") == [] and database.read("bob 3") is None
    assert database.forget("ann") == 3 and database.usage() == {}


def test_counts_begin_anew_and_add_up_over_threads_and_servers(open_database: Open, clock: Clock) -> None:
    database, other = open_database(), open_database()
    end = clock.seconds + 60
    assert database.count("ann", 2, 60) == (2, end) and other.count("bob", 1, 60) == (1, end)
    clock.seconds += 30
    threads = [threading.Thread(target=one.count, args=("ann", 1, 60)) for one in (database, other) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert other.count("ann", 0, 60) == (22, end)
    clock.seconds += 30
    assert database.count("ann", 5, 60) == (5, clock.seconds + 60)


def test_a_clock_set_back_locks_nobody_out_and_keeps_nothing_for_longer(database: Database, clock: Clock) -> None:
    clock.seconds += 400 * DAY
    database.count("ann", 50, DAY)
    database.write("a", {"b": 1}, DAY)
    clock.seconds -= 400 * DAY
    assert database.count("ann", 1, DAY) == (1, clock.seconds + DAY)
    assert database.read("a") == {"b": 1} and database.write("another", {}, 3 * DAY)
    clock.seconds += 2 * DAY
    assert database.read("a") is None and database.read("another") == {}


def test_it_outlives_its_server_and_its_tables_are_those_of_the_migrations(open_database: Open) -> None:
    open_database().write("a", {"b": 1}, DAY)
    again = open_database()
    assert again.read("a") == {"b": 1}
    with again._opened().connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []


def test_what_earlier_versions_kept_in_files_is_taken_over(open_database: Open, tmp_path: Path, clock: Clock) -> None:
    """Files as `engine.storage.files` of version 0.2 wrote them: named by hash, with their end as time of change."""
    folder, clock.seconds = tmp_path / "kept", time.time()
    folder.mkdir()
    visits = {"visits": [{"key": "k", "title": "a poem", "at": 5.0}]}
    kept = {"visit k": {"page": "write", "content": {"text": "雪"}}, "visits of ann on write": visits, "old": {"a": 1}}
    for name, value in kept.items():
        path = folder / f"{hashlib.sha256(name.encode()).hexdigest()}.json"
        path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
        os.utime(path, (clock.seconds + (-DAY if name == "old" else DAY),) * 2)
    (folder / f"{'0' * 64}.json").write_text("half a val")
    (folder / "notes.json").write_text("{}")
    database = open_database()
    (visit,) = Visits(database, DAY).of("ann", "write")
    assert (visit.key, visit.title) == ("k", "a poem") and database.read("old") is None
    assert Visits(database, DAY).find("k", "write") == {"text": "雪"}
    assert [path.name for path in folder.glob("*.json")] == ["notes.json"], "what is not ours stays"
    clock.seconds += 2 * DAY
    assert database.read("visit k") is None


def test_a_database_that_is_gone_for_a_minute(postgres: Postgres, tmp_path: Path) -> None:
    database = Database(postgres.url, tmp_path, 10**6)
    database.write("a", {"b": 1}, DAY)
    postgres.stop()
    try:
        for call in (lambda: database.read("a"), lambda: database.count("ann", 1, 60), lambda: database.listed("")):
            with pytest.raises(StorageError, match="for the moment") as gone:
                call()
        assert gone.value.status == 503 and gone.value.retry_seconds
        assert not database.write("a", {"b": 2}, DAY) and at_hand(database, "a") is None
        visits = Visits(database, DAY)
        assert visits.keep("ann", "write", "a", {}) == ""
    finally:
        postgres.start()
    database._quiet_until = 0.0
    assert database.read("a") == {"b": 1}, "nothing half-written, and back by itself"
    database.close()


def test_a_full_disk_keeps_what_is_there(tmp_path: Path) -> None:
    database = Database("", tmp_path, 2**30)
    assert database.write("a", {"b": 1}, DAY)
    with database._opened().connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 20")
    assert not database.write("a", {"b": "x" * 2**20}, DAY)
    assert database.read("a") == {"b": 1} and database.write("a", {"b": 2}, DAY)


def test_a_file_that_is_broken_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"no database " * 1_000)
    database = Database("", tmp_path, 2**30)
    assert database.write("a", {"b": 1}, DAY) and database.read("a") == {"b": 1}
    (aside,) = tmp_path.glob(f"{FILE}.broken-*")
    assert aside.read_bytes().startswith(b"no database")


def test_the_file_is_its_servers_alone_and_forgets_what_is_deleted(tmp_path: Path) -> None:
    database = Database("", tmp_path / "kept", 2**30)
    database.write("a", {"text": "nobody else's " * 100}, DAY)
    assert (tmp_path / "kept").stat().st_mode & 0o077 == 0
    database.delete("a")
    database.close()
    with sqlite3.connect(tmp_path / "kept" / FILE) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert b"nobody else's" not in (tmp_path / "kept" / FILE).read_bytes()


def test_a_folder_that_cannot_be_written_keeps_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    database = Database("", tmp_path / "file" / "below", 10_000)
    assert not database.write("a", {"b": 1}, DAY)
    with pytest.raises(StorageError):
        database.read("a")


@pytest.mark.parametrize("url", ["mysql://a@b/c", "a file", "postgresql://a:b@[::1/c"])
def test_a_setting_that_names_no_postgresql_is_told(tmp_path: Path, url: str) -> None:
    with pytest.raises(InputError, match="PARLANCE_DATABASE"):
        open_storage(Settings(storage_folder=tmp_path, database=url)).read("a")


def test_visits_are_their_visitors_alone(database: Database) -> None:
    visits = Visits(database, DAY)
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


def test_a_visitors_list_has_an_end(database: Database) -> None:
    visits = Visits(database, DAY)
    keys = [visits.keep("ann", "write", str(number), {"n": number}) for number in range(MAX_LISTED + 2)]
    assert [visit.key for visit in visits.of("ann", "write")] == keys[:1:-1]
    assert visits.find(keys[1], "write") is None and visits.find(keys[2], "write")
    visits.forget("ann", "write")
    assert visits.of("ann", "write") == [] and visits.find(keys[-1], "write") is None
    assert database.usage() == {}


def test_all_of_a_visitor_is_given_out_and_deleted(database: Database) -> None:
    visits = Visits(database, DAY)
    mine = [visits.keep("ann", page, f"on {page}", {"text": page}) for page in ("write", "answer")]
    other = visits.keep("bob", "write", "his", {"text": "his"})
    database.write("share", {"text": "shared"}, DAY, kind="share", owner="ann")
    given = visits.all_of("ann", ["write", "answer"])
    assert [visit["content"]["text"] for visit in given["visits"]] == ["write", "answer"]
    assert [entry["text"] for entry in given["share"]] == ["shared"] and "his" not in json.dumps(given)
    visits.forget_all("ann", ["write", "answer"])
    assert visits.all_of("ann", ["write", "answer"]) == {"visits": []}
    assert not any(visits.find(key, page) for key, page in zip(mine, ("write", "answer"), strict=True))
    assert database.read("share") is None and visits.find(other, "write")


def test_what_cannot_be_kept_has_no_key(tmp_path: Path) -> None:
    visits = Visits(Database("", tmp_path, 0), DAY)
    assert visits.keep("ann", "write", "a", {"b": 1}) == "" and visits.of("ann", "write") == []


def test_links_end_are_pinned_and_go_with_what_was_reported(database: Database, clock: Clock) -> None:
    links = Links(database, 7 * DAY)
    link = links.make("ann", "share", "A poem " * 50, "write", {"text": "雪"})
    assert links.find(link.key) == link and link.is_by("ann") and not link.is_by("") and len(link.title) == 120
    assert links.find("x" * 5000) is None and links.of("bob") == [] and links.of(None) == [link]
    assert link.ends == clock.seconds + 7 * DAY and "ann" not in str(link)
    links.report(link.key, "bob", "rude")
    links.report(link.key, "bob", "very rude")
    assert [report["reason"] for report in links.reports().values()] == ["very rude"]
    links.pin(link.key, True)
    clock.seconds += 8 * DAY
    assert links.find(link.key).is_pinned  # type: ignore[union-attr]
    links.pin(link.key, False)
    links.delete(link.key)
    assert links.find(link.key) is None and links.reports() == {} and links.of("ann") == []
    with pytest.raises(NotFoundError, match="has ended"):
        links.report(link.key, "bob", "too late")


def test_keys_sign_ins_switches_and_thumbs(open_database: Open) -> None:
    database, hosting = open_database(), Hosting(open_database())
    secret, cookie = hosting.make_key("a class"), hosting.sign_in(hosting.token)
    hosting.switch("paused", True)
    other = Hosting(database)
    assert other.key(secret) and other.is_host(str(cookie)) and other.is_on("paused") and not other.is_on("else")
    other.revoke(other.keys()[0].id)
    other.switch("paused", False)
    assert other.key(secret) is None and not other.is_on("paused")
    feedback = Feedback(database)
    for visitor, is_good in (("ann", True), ("ann", False), ("bob", True)):
        feedback.take(visitor, "write", "a", "answer", is_good=is_good)
    assert feedback.summed() == [{"page": "write", "model": "a", "up": 1, "down": 1}]
    assert database.counted("thumbs")[0] == 3 and database.counted("nothing") == (0, 0.0)
