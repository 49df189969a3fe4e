"""Connections send small pieces at once."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest

from engine.http import send_at_once


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
    assert asyncio.run(connect(send_at_once)), "sent at once"
    if asyncio.run(connect(lambda: None)):
        pytest.skip("this Python does it by itself: engine/http/sockets.py can go")


def test_other_servers_are_left_alone() -> None:
    async def open_both() -> None:
        send_at_once()
        async with await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0) as server:
            assert server.sockets

    asyncio.run(open_both())
