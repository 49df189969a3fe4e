"""What the server's sockets are set to, and how long a connection may be silent about what it wants."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

HEAD_SECONDS = 20.0
"""For all of a request up to its body; a connection that takes longer is closed."""
_ANSWERING = object()


def prepare_sockets() -> None:
    """Set up what is to hold for servers that this event loop creates later."""
    send_at_once()
    close_silent()


def close_silent() -> None:
    """Have connections to servers that this event loop creates later closed when a request's head does not come.

    uvicorn ends a connection that says nothing after an answer, but not one that says half of something.
    """
    loop = asyncio.get_running_loop()
    create_server = loop.create_server

    async def create(factory: Callable[[], Any], *arguments: Any, **options: Any) -> asyncio.Server:
        return await create_server(lambda: _watched(factory(), loop), *arguments, **options)

    with suppress(AttributeError):  # a loop in C
        loop.create_server = create  # type: ignore[assignment, method-assign]


def _watched(protocol: Any, loop: asyncio.AbstractEventLoop) -> Any:
    connection_made = protocol.connection_made

    def made(transport: Any) -> None:
        connection_made(transport)
        loop.call_later(HEAD_SECONDS, _look, protocol, loop, None)

    if hasattr(protocol, "cycle"):  # uvicorn's protocols keep the request under way there
        protocol.connection_made = made
    return protocol


def _look(protocol: Any, loop: asyncio.AbstractEventLoop, before: Any) -> None:
    """Close the connection if it was waiting for the same head at the last look; look again later otherwise."""
    transport, cycle = protocol.transport, protocol.cycle
    if transport.is_closing() or transport.get_protocol() is not protocol:  # a WebSocket by now
        return
    now = cycle if cycle is None or cycle.response_complete else _ANSWERING
    if now is before and now is not _ANSWERING:
        transport.abort()
    else:
        loop.call_later(HEAD_SECONDS, _look, protocol, loop, now)


def send_at_once() -> None:
    """Have connections to servers that this event loop creates later send small pieces as they come (TCP_NODELAY).

    asyncio does so for sockets that it makes itself. Streamlit and `uvicorn --workers` hand it a listener that they
    bound, of which it cannot tell that it speaks TCP: each answer after a connection's first, and tokens of a stream,
    then wait for the other side's delayed acknowledgement: the second request of a connection took 47 ms, now 0.6 ms.
    Connections take the option over from their listener.
    """
    loop = asyncio.get_running_loop()
    create_server = loop.create_server

    async def create(*arguments: Any, sock: socket.socket | None = None, **options: Any) -> asyncio.Server:
        if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return await create_server(*arguments, sock=sock, **options)

    with suppress(AttributeError):  # a loop in C, such as uvloop's, always does it
        loop.create_server = create  # type: ignore[method-assign]
