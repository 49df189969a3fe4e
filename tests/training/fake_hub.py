"""A local fake of the Hub's protocol: token, repository, upload modes, files, commit."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

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
            for line in map(json.loads, body.strip().split(b"\n")):
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


@contextmanager
def serve_hub() -> Iterator[Hub]:
    """The fake on a free port; `HF_ENDPOINT` must be its address."""
    fake = Hub()
    threading.Thread(target=fake.serve_forever, daemon=True).start()
    yield fake
    fake.shutdown()
    fake.server_close()
