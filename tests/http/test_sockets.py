"""Connections send small pieces at once."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import uvicorn
import websockets

from engine.http import sockets
from engine.http.sockets import send_at_once

WHOLE = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


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
    answer = run(ended(monkeypatch, WHOLE + b"GET /"))
    assert answer.startswith(b"HTTP/1.1 200") and b"at last" in answer


async def ended(monkeypatch: pytest.MonkeyPatch, sent: bytes) -> bytes:
    """What a server whose answers take several looks says to those bytes until it closes the connection."""
    monkeypatch.setattr(sockets, "HEAD_SECONDS", 0.05)
    async with served() as connect:
        reader, writer = await connect()
        writer.write(sent)
        return await asyncio.wait_for(_whole(reader), 30)


@pytest.mark.parametrize("pieces", [1, 400])
@pytest.mark.parametrize("is_taken", [False, True])
def test_an_answer_that_nobody_takes_is_given_up(monkeypatch: pytest.MonkeyPatch, pieces: int, is_taken: bool) -> None:
    monkeypatch.setattr(sockets, "HEAD_SECONDS", 0.1)
    size = 24_000_000

    async def ask() -> int:
        async with served([b"x" * (size // pieces)] * pieces) as connect:
            reader, writer = await connect()
            writer.write(WHOLE)
            if not is_taken:
                writer.transport.pause_reading()
                await asyncio.sleep(1.5)  # seven looks
                writer.transport.resume_reading()
            return len(await asyncio.wait_for(_whole(reader, 0.002 if is_taken else 0), 30))

    assert (run(ask()) > size) is is_taken


@asynccontextmanager
async def served(pieces: Sequence[bytes] = (b"at last",)) -> AsyncIterator[Callable[[], Coroutine[Any, Any, Any]]]:
    """Connects to a server whose answers take 0.3 seconds, and whose WebSocket hears all."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            while (await receive())["type"] != "websocket.disconnect":
                await send({"type": "websocket.send", "text": "heard"})
            return
        await asyncio.sleep(0.3)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for place, piece in enumerate(pieces, 1):
            await send({"type": "http.response.body", "body": piece, "more_body": place < len(pieces)})

    writers: list[asyncio.StreamWriter] = []

    async def connect() -> Any:
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writers.append(writer)
        return reader, writer

    sockets.prepare_sockets()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off", timeout_keep_alive=600))
        serving = asyncio.create_task(server.serve([listener]))
        try:
            yield connect
        finally:
            for writer in writers:
                writer.close()
            server.should_exit = True
            await serving


@pytest.mark.parametrize(("held", "is_answered"), [(b"", True), (b"GET / HT", True), (WHOLE, False)])
def test_connections_that_are_held_keep_nobody_out(
    monkeypatch: pytest.MonkeyPatch, held: bytes, is_answered: bool
) -> None:
    monkeypatch.setattr(sockets, "MAX_CONNECTIONS", 3)

    async def ask() -> tuple[bytes, list[bool]]:
        async with served() as connect:
            others = [await connect() for _ in range(3)]
            for _reader, writer in others:
                writer.write(held)
            await asyncio.sleep(0.1)
            reader, writer = await connect()
            writer.write(WHOLE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            answer = await asyncio.wait_for(_whole(reader), 30)
            return answer, [other.at_eof() for other, _writer in others]

    answer, are_closed = run(ask())
    assert (b"at last" in answer) is is_answered
    assert are_closed == [is_answered, False, False], "the oldest that waits makes room"


def test_a_message_over_the_limit_is_refused_before_all_of_it_came() -> None:
    async def send(count: int) -> Any:
        async with served() as connect:
            _reader, writer = await connect()
            host, port = writer.get_extra_info("peername")
            async with websockets.connect(f"ws://{host}:{port}/", max_size=None) as socket:
                pieces = (b"x" * 2**16 for _ in range(count))
                await socket.send(pieces)
                return await socket.recv()

    assert run(send(sockets.MAX_MESSAGE_BYTES // 2**16 - 1)) == "heard"
    with pytest.raises(websockets.ConnectionClosed) as closed:
        run(send(sockets.MAX_MESSAGE_BYTES // 2**16 + 1))
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 1009


def test_a_process_may_have_as_many_files_as_the_system_lets_it() -> None:
    most = sockets.allowed_files()
    assert most == sockets.allowed_files() and most > 64


async def _whole(reader: asyncio.StreamReader, pause_seconds: float = 0) -> bytes:
    pieces = []
    with suppress(ConnectionResetError):
        while piece := await reader.read(2**16):
            pieces.append(piece)
            await asyncio.sleep(pause_seconds)
    return b"".join(pieces)
