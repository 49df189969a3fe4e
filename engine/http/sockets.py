"""What the server's sockets are set to, how many there are, and how long one may be silent about what it wants."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any

HEAD_SECONDS = 20.0
"""For all of a request up to its body; a connection that takes longer is closed."""
LEAST_TAKEN_BYTES, SLOW_LOOKS = 10_000, 3
"""Of an answer that waits to be taken, in so many seconds; a client that took less at so many looks is given up."""
ACKNOWLEDGED = 120
"""Where Linux tells it in its facts on a connection (struct tcp_info)."""
MAX_CONNECTIONS = 2000
"""Open at a time, fewer where the system lets a process have fewer files. A browser has up to seven."""
MAX_FILES = 16_384
MAX_MESSAGE_BYTES = 2 * 2**20
"""Of one that a page sends over its WebSocket: what was typed on it. Files come another way. Streamlit takes 200 MB,
and somebody who sends nearly all of that keeps it in memory for as long as the connection is held."""
_ANSWERING = object()


def prepare_sockets() -> None:
    """Set up what is to hold for servers that this event loop creates later."""
    send_at_once()
    watch(min(MAX_CONNECTIONS, allowed_files() * 3 // 4))


def allowed_files() -> int:
    """How many files and connections this process may have open, after asking the system for many."""
    try:
        import resource
    except ImportError:
        return MAX_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MAX_FILES if hard == resource.RLIM_INFINITY else min(MAX_FILES, hard)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
        return max(soft, most)
    return soft


def watch(most: int) -> None:
    """Have connections to servers that this event loop creates later closed when a request's head does not come, or
    its answer is not taken.

    uvicorn ends a connection that says nothing after an answer, but not one that says half of something, nor one that
    takes nothing of its answer. Of more than `most` the one goes that has waited longest, so that nobody can keep
    others out by holding connections.
    """
    loop = asyncio.get_running_loop()
    create_server = loop.create_server

    async def create(factory: Callable[[], Any], *arguments: Any, **options: Any) -> asyncio.Server:
        return await create_server(lambda: _watched(factory(), loop, most), *arguments, **options)

    with suppress(AttributeError):  # a loop in C
        loop.create_server = create  # type: ignore[assignment, method-assign]


def _watched(protocol: Any, loop: asyncio.AbstractEventLoop, most: int) -> Any:
    connection_made = protocol.connection_made

    def made(transport: Any) -> None:
        protocol.made_at = loop.time()
        connection_made(transport)
        if len(protocol.connections) > most:
            _make_room(protocol)
        loop.call_later(HEAD_SECONDS, _look, protocol, loop, None)

    if hasattr(protocol, "cycle"):  # uvicorn's protocols keep the request under way there
        protocol.connection_made = made
        protocol.config.ws_max_size = min(protocol.config.ws_max_size, MAX_MESSAGE_BYTES)
    return protocol


def _make_room(newest: Any) -> None:
    """Close the oldest connection that waits for a head; the newest one where all others are being answered."""
    waiting = [other for other in newest.connections if other is not newest and _is_waiting(other)]
    min(waiting, key=lambda other: other.made_at, default=newest).transport.abort()


def _is_waiting(protocol: Any) -> bool:
    if not hasattr(protocol, "made_at") or protocol.transport.is_closing():  # a WebSocket, or gone already
        return False
    return protocol.cycle is None or bool(protocol.cycle.response_complete)


def _look(protocol: Any, loop: asyncio.AbstractEventLoop, before: Any, taken: int = 0, slow: int = 0) -> None:
    """Close the connection if it was waiting for the same head at the last look, or if nobody takes its answer; look
    again later otherwise. `taken` is what the client had of it then, `slow` at how many looks it was too little."""
    transport, cycle = protocol.transport, protocol.cycle
    if transport.get_protocol() is not protocol:  # a WebSocket by now, or gone
        return
    left, now_taken = transport.get_write_buffer_size(), _acknowledged(transport)
    slow = slow + 1 if left and now_taken - taken < LEAST_TAKEN_BYTES else 0
    if transport.is_closing() and not left:
        return
    is_answering = left > 0 or (cycle is not None and not cycle.response_complete)
    now = _ANSWERING if is_answering else cycle
    if slow >= SLOW_LOOKS:  # what was not taken is not the system's to go on offering either
        with suppress(AttributeError, OSError):
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    elif now is before and now is not _ANSWERING:
        transport.abort()
    else:
        loop.call_later(HEAD_SECONDS, _look, protocol, loop, now, now_taken, slow)


def _acknowledged(transport: Any) -> int:
    """Bytes that the client's system has taken of all that was sent to it; 0 where this one does not tell."""
    with suppress(AttributeError, OSError, struct.error):
        info = transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, ACKNOWLEDGED + 8)
        return int(struct.unpack_from("Q", info, ACKNOWLEDGED)[0])
    return 0


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
