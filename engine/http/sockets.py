"""What the server's sockets are set to."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import Any


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
