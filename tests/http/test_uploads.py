"""Files come in only where they may, and only so many are kept: what is refused is refused before it is read."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from benches import Bench

from engine.http import Uploads
from tests.http.test_sockets import run

MB = 2**20
PATH = "/_stcore/upload_file/{session}/file"


class Site:
    """Streamlit's place for files, which keeps what it gets, behind the class under test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, memory: int = 100 * MB, **settings: Any) -> None:
        monkeypatch.setattr("engine.http.uploads.available_memory_bytes", lambda: memory)
        self.files: dict[str, int] = {}
        self.bench = Bench(**settings)
        self.around = Uploads(self.keep, 4 * MB, lambda: self.files, lambda: self.bench.house)
        self.is_open = asyncio.Event()
        self.is_open.set()
        self.reads = 0

    async def keep(self, scope: Any, receive: Any, send: Any) -> None:
        await self.is_open.wait()
        while (await receive()).get("more_body"):
            pass
        session = scope["path"].split("/")[3]
        self.files[session] = self.files.get(session, 0) + int(dict(scope["headers"])[b"content-length"])
        await send({"type": "http.response.start", "status": 204, "headers": []})

    async def receive(self) -> dict[str, Any]:
        self.reads += 1
        return {"type": "http.request", "body": b"", "more_body": False}

    async def put(self, size: int | str | None = MB, session: str = "a", method: str = "PUT") -> int:
        told = [] if size is None else [(b"content-length", str(size).encode())]
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "method": method, "path": PATH.format(session=session), "headers": told}
        await self.around(scope, self.receive, send)
        return int(sent[0]["status"])


@pytest.mark.parametrize(
    ("settings", "status"),
    [({}, 204), ({"is_public": True}, 403), ({"is_public": True, "can_visitors_upload": True}, 204)],
)
def test_a_public_site_takes_files_only_where_its_host_allows_it(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, bool], status: int
) -> None:
    site = Site(monkeypatch, **settings)
    assert run(site.put()) == status
    assert bool(site.files) is (status == 204) and site.reads == len(site.files)


def test_a_session_keeps_three_files_of_the_largest_size(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(monkeypatch, memory=200 * MB)

    async def many() -> list[int]:
        return [await site.put(4 * MB) for _ in range(20)] + [await site.put(MB, "b")]

    assert run(many()) == [204] * 3 + [413] * 17 + [204]
    assert site.files == {"a": 12 * MB, "b": MB} and site.reads == 4


def test_many_files_at_once_do_not_slip_through(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(monkeypatch)

    async def many() -> list[int]:
        site.is_open.clear()
        coming = [asyncio.create_task(site.put(4 * MB)) for _ in range(20)]
        await asyncio.sleep(0)
        site.is_open.set()
        return await asyncio.gather(*coming)

    assert sorted(run(many())) == [204] * 3 + [413] * 17
    assert not site.around.coming


def test_all_sessions_share_a_part_of_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(monkeypatch, memory=8 * 16 * MB)

    async def many() -> list[int]:
        return [await site.put(4 * MB, session) for session in "abcdef"]

    assert run(many()) == [204] * 4 + [503] * 2


@pytest.mark.parametrize("size", [None, "", "-1", "x", "²", "9" * 30])
def test_a_file_tells_its_size(monkeypatch: pytest.MonkeyPatch, size: str | None) -> None:
    site = Site(monkeypatch)
    assert run(site.put(size)) == 411 and not site.reads


def test_what_is_no_file_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(monkeypatch, is_public=True)
    assert run(site.put(method="DELETE")) == 204


def test_a_visitor_brings_so_many_files_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(monkeypatch, is_public=True, can_visitors_upload=True, uploads_a_day=2)
    assert [run(site.put(session=name)) for name in "abc"] == [204, 204, 429]
