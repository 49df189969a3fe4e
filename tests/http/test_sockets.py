"""Connections send small pieces at once."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
import uvicorn

from engine.http import sockets
from engine.http.sockets import send_at_once


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Its result, from a loop in a thread of its own: the browser's tests leave one in this thread."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


async def connect(prepare: Callable[[], Any]) -> int:
    """The option of a connection to a listener that was bound by hand, as Streamlit does it."""
    prepare()
    options: list[int] = []

    def accepted(reader: Any, writer: asyncio.StreamWriter) -> None:
        one = writer.get_extra_info("socket")
        options.append(one.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        async with await asyncio.start_server(accepted, sock=listener):
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            await reader.read()
            writer.close()
    return options[0]


def test_connections_of_a_listener_bound_by_hand() -> None:
    assert run(connect(send_at_once)), "sent at once"
    if run(connect(lambda: None)):
        pytest.skip("this Python does it by itself: engine/http/sockets.py can go")


def test_other_servers_are_left_alone() -> None:
    async def open_both() -> None:
        send_at_once()
        async with await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0) as server:
            assert server.sockets

    run(open_both())


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Half: "])
def test_a_request_that_stops_in_its_head_is_closed(monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    assert run(ended(monkeypatch, sent)) == b""


def test_half_a_second_request_is_closed_and_an_answer_under_way_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
    answer = run(ended(monkeypatch, whole + b"GET /"))
    assert answer.startswith(b"HTTP/1.1 200") and b"at last" in answer


async def ended(monkeypatch: pytest.MonkeyPatch, sent: bytes) -> bytes:
    """What a server whose answers take several looks says to those bytes until it closes the connection."""
    monkeypatch.setattr(sockets, "HEAD_SECONDS", 0.05)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0.3)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"at last"})

    sockets.prepare_sockets()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        config = uvicorn.Config(app, log_level="error", lifespan="off", timeout_keep_alive=600)
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve([listener]))
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        try:
            writer.write(sent)
            return await asyncio.wait_for(_whole(reader), 30)
        finally:
            writer.close()
            server.should_exit = True
            await serving


async def _whole(reader: asyncio.StreamReader) -> bytes:
    pieces = []
    with suppress(ConnectionResetError):
        while piece := await reader.read(2**16):
            pieces.append(piece)
    return b"".join(pieces)
