"""How fast the messages of one page are taken in: each asks for work before anybody else's is read."""

from __future__ import annotations

import asyncio

from starlette.types import Message, Receive

BURST, A_SECOND = 40, 20
"""Messages that come at once, and then. Whoever types, clicks and drags sends a few a second."""


class Paced:
    """A WebSocket's messages on their way in. Those beyond the pace wait, and between any two others have a turn: what
    already stands in line is handed out without one, and five hundred held the whole server for as long as they took.
    """

    def __init__(self, receive: Receive) -> None:
        self.receive = receive
        self._due = 0.0

    async def __call__(self) -> Message:
        """The next message."""
        message = await self.receive()
        if message["type"] == "websocket.receive":
            now = asyncio.get_running_loop().time()
            self._due = max(self._due, now - BURST / A_SECOND) + 1 / A_SECOND
            await asyncio.sleep(max(0.0, self._due - now))
        return message
