"""Publishing, against a local fake that speaks the Hub's protocol: token, repository, upload modes, files, commit."""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from engine.errors import ConflictError, InputError, NotFoundError, NotReadyError
from engine.settings import Settings
from engine.training import publish
from engine.training.publish import push
from tests.training.runs_on_the_spot import make_run

TOKEN = "hf_a-secret-of-the-test"


class Hub(ThreadingHTTPServer):
    """Repositories in memory; `broken` is the part of a path that is answered with an error."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories: dict[str, dict[str, Any]] = {}
        self.files: dict[str, dict[str, bytes]] = {}
        self.objects: dict[str, bytes] = {}
        self.seen: list[str] = []
        self.broken: dict[str, int] = {}
        self.address = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self._body())

    do_PUT = do_DELETE = do_POST

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        whole = b""
        while size := int(self.rfile.readline(), 16):
            whole += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return whole

    def _answer(self, body: bytes) -> None:
        hub, path = self.server, self.path.partition("?")[0]
        hub.seen.append(f"{self.command} {path}")
        for part, status in hub.broken.items():
            if part in path:
                return self._send(status, {"error": "as the test wants it"})
        if "/objects/put/" not in path and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._send(401, {"error": "Invalid username or password."})
        if path == "/api/whoami-v2":
            return self._send(200, {"name": "ada", "type": "user", "orgs": []})
        if path == "/api/repos/create":
            return self._create(json.loads(body))
        if path == "/api/validate-yaml":
            assert json.loads(body)["content"].startswith("---\npipeline_tag: text-classification")
            return self._send(200, {"errors": [], "warnings": []})
        if path == "/api/repos/delete":
            wanted = json.loads(body)
            hub.repositories.pop(f"{wanted['organization']}/{wanted['name']}")
            return self._send(200, {})
        if "/objects/put/" in path:
            digest = hashlib.sha256(body).hexdigest()
            assert path.endswith(digest)
            hub.objects[digest] = body
            return self._send(200, {})
        if path.endswith(".git/info/lfs/objects/batch"):
            wanted = json.loads(body)["objects"]
            put = {each["oid"]: {"upload": {"href": f"{hub.address}/objects/put/{each['oid']}"}} for each in wanted}
            return self._send(200, {"transfer": "basic", "objects": [e | {"actions": put[e["oid"]]} for e in wanted]})
        return self._repository(path, body)

    def _create(self, wanted: dict[str, Any]) -> None:
        name = f"{wanted.get('organization') or 'ada'}/{wanted['name']}"
        if wanted.get("organization") not in (None, "ada"):
            return self._send(403, {"error": "You don't have the rights to create a model under this namespace"})
        if name in self.server.repositories:
            return self._send(409, {"error": "You already created this model repo"})
        self.server.repositories[name] = wanted
        return self._send(200, {"url": f"{self.server.address}/{name}", "name": name})

    def _repository(self, path: str, body: bytes) -> None:
        name = "/".join(path.removeprefix("/api/models/").split("/")[:2])
        if name not in self.server.repositories:
            return self._send(404, {"error": "Repository not found"})
        if "/preupload/" in path:
            modes = [
                {
                    "path": each["path"],
                    "uploadMode": "lfs" if each["path"].endswith((".safetensors", ".gguf")) else "regular",
                    "shouldIgnore": False,
                }
                for each in json.loads(body)["files"]
            ]
            return self._send(200, {"files": modes})
        if "/commit/" in path:
            for line in map(json.loads, body.splitlines()):
                kept = self.server.files.setdefault(name, {})
                if line["key"] == "file":
                    kept[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
                elif line["key"] == "lfsFile":
                    kept[line["value"]["path"]] = self.server.objects[line["value"]["oid"]]
            return self._send(200, {"commitUrl": f"{self.server.address}/{name}/commit/1", "commitOid": "1" * 40})
        return self._send(200, {"id": name, "sha": "0" * 40, "siblings": [], "tags": [], "downloads": 0})

    def _send(self, status: int, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    fake = Hub()
    threading.Thread(target=fake.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", fake.address)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("HF_TOKEN", "hf_another-one-of-the-machine")
    yield fake
    fake.shutdown()
    fake.server_close()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("publish")
    make_run(folder, "classification")
    return folder


@pytest.fixture
def settings(runs: Path) -> Settings:
    return Settings(runs_folder=runs, network_timeout_seconds=3.0)


def test_a_model_and_its_card_arrive_whole(hub: Hub, settings: Settings, runs: Path) -> None:
    assert push(settings, "run", "my-model", TOKEN) == f"{hub.address}/ada/my-model"
    assert hub.repositories["ada/my-model"]["visibility"] == "private"
    files = hub.files["ada/my-model"]
    assert files["model.safetensors"] == (runs / "run" / "model" / "model.safetensors").read_bytes()
    assert {"README.md", "config.json", "tokenizer.json"} <= set(files)
    assert "# My run" in files["README.md"].decode()
    everything = b"".join(files.values())
    assert TOKEN.encode() not in everything and str(runs).encode() not in everything
    for path in (runs / "run").rglob("*"):
        assert not path.is_file() or TOKEN.encode() not in path.read_bytes()
    push(settings, "run", "https://huggingface.co/ada/another", TOKEN, is_private=False)
    assert hub.repositories["ada/another"]["visibility"] == "public"


def test_a_wrong_token_is_told_before_anything_is_made(hub: Hub, settings: Settings) -> None:
    with pytest.raises(InputError, match="does not know this token") as caught:
        push(settings, "run", "ada/my-model", "hf_wrong-token")
    assert caught.value.param == "token" and "hf_wrong-token" not in str(caught.value)
    assert hub.seen == ["GET /api/whoami-v2"]


def test_names_that_are_taken_or_not_ones_own(hub: Hub, settings: Settings) -> None:
    hub.repositories["ada/taken"] = {}
    with pytest.raises(ConflictError, match="has a repository ada/taken already") as taken:
        push(settings, "run", "ada/taken", TOKEN)
    assert taken.value.param == "repository" and "ada/taken" in hub.repositories and not hub.files
    with pytest.raises(InputError, match="may not write to eve/model"):
        push(settings, "run", "eve/model", TOKEN)


def test_an_upload_that_fails_leaves_no_repository(hub: Hub, settings: Settings) -> None:
    hub.broken["/commit/"] = 400
    with pytest.raises(NotReadyError, match="error 400"):
        push(settings, "run", "my-model", TOKEN)
    assert hub.repositories == {} and "DELETE /api/repos/delete" in hub.seen


def test_an_unreachable_hub_is_told_in_seconds(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{free.getsockname()[1]}")
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    with pytest.raises(NotReadyError, match="cannot be reached"):
        push(settings, "run", "my-model", TOKEN)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(NotReadyError, match="HF_HUB_OFFLINE is set"):
        push(settings, "run", "my-model", TOKEN)


def test_what_is_wrong_is_said_without_a_child(settings: Settings, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish.subprocess, "run", lambda *_, **__: pytest.fail("a child was started"))
    for name in ("", "a/b/c", "../x", "a b", "ada/x--y", "x;rm"):
        with pytest.raises(InputError, match="repository must be"):
            push(settings, "run", name, TOKEN)
    for token in ("", "short", "with space in it", "line\nbreak-in-the-token"):
        with pytest.raises(InputError, match="token must be"):
            push(settings, "run", "ada/x", token)
    with pytest.raises(InputError, match="kind is"):
        push(settings, "run", "ada/x", TOKEN, kind="pickle")  # type: ignore[arg-type]
    with pytest.raises(NotFoundError):
        push(settings, "../run", "ada/x", TOKEN)
    with pytest.raises(ConflictError, match="public site"):
        push(Settings(runs_folder=runs, is_public=True), "run", "ada/x", TOKEN)
