"""Firefox Translations' models from a server that speaks the protocol of Mozilla's registry: good, cut, wrong, slow,
gone."""

import gzip
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from engine.catalogue import __main__ as command_line
from engine.catalogue.models import Catalogue, Model, read_catalogue
from engine.catalogue.sources.registry import Registry
from engine.catalogue.store import Store
from engine.errors import NotReadyError, PeopleError
from engine.requests import Generate, Sampling
from engine.serving.compose import open_house
from engine.serving.protocol import Caller
from engine.settings import Settings
from tests.backends.marian_files import publish

ROLES = {"model": "model", "vocab": "vocab", "lex": "lexicalShortlist"}


class RegistryServer(ThreadingHTTPServer):
    """Serves `db/models.json` and packed files; what it does wrong is set from outside."""

    daemon_threads = True

    def __init__(self, files: dict[str, bytes], digests: dict[str, str]) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.contents = {f"/models/xx-yy/{name}.gz": gzip.compress(content) for name, content in files.items()}
        self.asked: list[tuple[str, str]] = []
        self.cut: dict[str, int] = {}
        """Path -> bytes after which the connection breaks, once."""
        self.is_slow = False
        listed = {}
        for name, content in files.items():
            listed[ROLES[name.split(".")[0]]] = {"path": f"models/xx-yy/{name}.gz"}
            if name.startswith("model"):
                listed["model"] |= {"uncompressedHash": digests[name], "uncompressedSize": len(content)}
        entry = {"architecture": "tiny", "sourceLanguage": "xx", "targetLanguage": "yy", "files": listed}
        self.document = {"generated": "today", "baseUrl": self.address, "models": {"xx-yy": [entry]}}
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def list_address(self) -> str:
        return f"{self.address}/db/models.json"


class Answer(BaseHTTPRequestHandler):
    server: RegistryServer

    def do_GET(self) -> None:
        wanted = self.headers.get("Range", "")
        self.server.asked.append((self.path, wanted))
        if self.server.is_slow:
            time.sleep(1.5)
        content = self.server.contents.get(self.path)
        if self.path == "/db/models.json":
            content = json.dumps(self.server.document).encode()
        if content is None:
            self.send_error(404)
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        end = self.server.cut.pop(self.path, len(content))
        self.wfile.write(content[start:end])
        self.close_connection = True

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RegistryServer]:
    digests = publish(tmp_path / "published")
    files = {name: (tmp_path / "published" / name).read_bytes() for name in digests}
    server = RegistryServer(files, digests)
    yield server
    server.shutdown()
    server.server_close()


MODEL = Model(
    "mozilla-xx-yy", "Firefox xx yy", "Marian", "seq2seq", "marian", 1, ("xx", "yy"), "MPL 2.0", 80_000, 400_000,
    ("translate",), Registry("xx-yy", "tiny", 60_000), pair=("xx", "yy"),
)  # fmt: skip


def settings_for(server: RegistryServer, folder: Path, timeout_seconds: float = 5.0) -> Settings:
    return Settings(
        cache_folder=folder / "cache", runs_folder=folder / "runs", translators_url=server.list_address,
        network_timeout_seconds=timeout_seconds, prefetch=False, memory_bytes=2**30,
    )  # fmt: skip


def fetched(store: Store, model: Model = MODEL) -> str:
    """Fetch and wait; the sentence of what went wrong."""
    store.fetch(model.id)
    try:
        store.wait(model.id, 20)
    except PeopleError as error:
        return str(error)
    return ""


@pytest.fixture
def store(server: RegistryServer, tmp_path: Path) -> Iterator[Store]:
    store = Store(settings_for(server, tmp_path), Catalogue([MODEL]))
    yield store
    store.close()


def test_every_direction_of_the_table_is_in_the_catalogue() -> None:
    family = [model for model in read_catalogue().models.values() if isinstance(model.source, Registry)]
    assert len(family) > 90
    assert all(model.licence == "MPL 2.0" and model.pair and not model.is_embedded for model in family)
    french = read_catalogue().find("mozilla-en-fr")
    assert (french.bleu, french.comet, french.source.download_bytes(french)) == (49.6, 0.8697, 25_752_472)


def test_a_direction_comes_and_translates(server: RegistryServer, tmp_path: Path) -> None:
    house = open_house(settings_for(server, tmp_path), more=(MODEL,))
    try:
        assert fetched(house.store) == ""
        assert not list((tmp_path / "cache" / "models" / "mozilla-xx-yy").glob("*.whole"))
        request = Generate("Some words.", sampling=Sampling(max_new_tokens=4, temperature=0.0))
        (result,) = house.engine.run(MODEL.id, [request], Caller())
        assert result.new_tokens == 4
        assert (tmp_path / "cache" / "models" / "mozilla-xx-yy" / "student" / "model.safetensors").is_file()
    finally:
        house.close()


def test_a_broken_download_goes_on_where_it_stopped(store: Store, server: RegistryServer) -> None:
    path = next(path for path in server.contents if "/model." in path)
    server.cut[path] = 5_000
    assert fetched(store) == ""
    assert ("bytes=5000-") in [wanted for asked, wanted in server.asked if asked == path]


def test_what_arrived_is_kept_for_the_next_try(store: Store, server: RegistryServer) -> None:
    path = next(path for path in server.contents if "/lex." in path)
    whole = server.contents.pop(path)
    assert "127.0.0.1 has no /models/xx-yy/lex" in fetched(store)
    server.contents[path] = whole
    before = len(server.asked)
    assert fetched(store) == ""
    assert not [asked for asked, _ in server.asked[before:] if "/model." in asked]


@pytest.mark.parametrize("kind", ["wrong hash", "wrong size", "not packed", "cut at the source"])
def test_files_that_are_not_the_listed_ones_are_refused(store: Store, server: RegistryServer, kind: str) -> None:
    files = server.document["models"]["xx-yy"][0]["files"]  # type: ignore[index]
    path = next(path for path in server.contents if "/model." in path)
    good = server.contents[path]
    if kind == "wrong hash":
        files["model"]["uncompressedHash"] = "0" * 64
    elif kind == "wrong size":
        files["model"]["uncompressedSize"] += 1
    else:
        server.contents[path] = b"<html>" * 99 if kind == "not packed" else good[: len(good) // 2]
    assert "arrived damaged" in fetched(store)
    assert store.availability(MODEL.id).state == "failed"
    server.contents[path] = good
    files["model"] = {"path": path, "uncompressedHash": None}
    assert fetched(store) == ""


@pytest.mark.parametrize("content", [[], {"models": {"xx-yy": [{}]}}, {"models": []}, "[" * 9999])
def test_a_list_that_is_none_is_a_sentence(store: Store, server: RegistryServer, content: object) -> None:
    server.document = content  # type: ignore[assignment]
    assert "is not a list of translators" in fetched(store)


def test_a_direction_that_is_gone_is_a_sentence(store: Store, server: RegistryServer) -> None:
    server.document["models"] = {}
    assert "has no xx-yy (tiny) any more" in fetched(store)


def test_a_server_that_is_silent_or_not_there_is_told_soon(server: RegistryServer, tmp_path: Path) -> None:
    server.is_slow = True
    slow = Store(settings_for(server, tmp_path, timeout_seconds=0.3), Catalogue([MODEL]))
    assert "has sent nothing" in fetched(slow)
    slow.close()
    gone = Settings(cache_folder=tmp_path / "cache", translators_url="http://no-such-host.invalid/models.json")
    store = Store(gone, Catalogue([MODEL]))
    assert "no-such-host.invalid cannot be reached" in fetched(store)
    store.close()


def test_the_store_stops_a_download(store: Store, server: RegistryServer) -> None:
    server.is_slow = True
    store.fetch(MODEL.id)
    store.close()
    with pytest.raises(NotReadyError, match="stopped"):
        store.path(MODEL.id)


def test_a_copy_of_the_registry_serves_others(
    server: RegistryServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command_line, "current", lambda: settings_for(server, tmp_path))
    copy = tmp_path / "copy"
    assert command_line.main(["mirror", str(copy), "xx-yy"]) == 0
    assert "xx-yy tiny" in capsys.readouterr().out
    files = json.loads((copy / "models.json").read_text())["models"]["xx-yy"][0]["files"]
    assert all(len(file["uncompressedHash"]) == 64 for file in files.values())
    server.document = json.loads((copy / "models.json").read_text())
    server.contents = {f"/db/{file['path']}": (copy / file["path"]).read_bytes() for file in files.values()}
    store = Store(settings_for(server, tmp_path / "other"), Catalogue([MODEL]))
    assert fetched(store) == ""
    store.close()
    assert command_line.main(["mirror", str(copy), "xx-zz"]) == 1
