"""The engine's generators, which block, driven from the event loop, which must not."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing, closing
from functools import partial
from typing import Any, Generic, TypeVar

from anyio import CancelScope, CapacityLimiter, to_thread
from anyio.lowlevel import RunVar
from fastapi import Request
from fastapi.responses import StreamingResponse
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from engine.http.errors import dumps, error_body
from engine.http.stopping import check_going_on
from engine.requests import Event

T = TypeVar("T")

MAX_THREADS = 160
"""For what blocks shortly, such as the storage."""
MAX_STREAMS = 640
"""Requests that wait for their events at a time, each in a thread: all slots and lines of eight busy models."""
HELD_SECONDS = 15.0
"""How long a stream waits for a model to be read, which only then tells what is wrong with a request."""
KEEP_ALIVE = b": waiting\n\n"
KEEP_ALIVE_SECONDS = 3.0
"""Between two of them, or one and the line before: what waits longer says nothing new four times a second."""
WAITING = ("queued", "loading")

_threads: RunVar[CapacityLimiter] = RunVar("parlance-api-threads")
_streams: RunVar[CapacityLimiter] = RunVar("parlance-api-streams")


async def in_thread(function: Callable[..., T], *arguments: Any) -> T:
    """Run what blocks in one of our own threads, so that waiting API requests never take those of the pages."""
    return await to_thread.run_sync(partial(function, *arguments), limiter=_limiter(_threads, MAX_THREADS))


def _limiter(kept: RunVar[CapacityLimiter], most: int) -> CapacityLimiter:
    limiter = kept.get(None) or CapacityLimiter(most)
    kept.set(limiter)
    return limiter


class _Made(Generic[T]):
    """What a generator makes in a thread, from its first event to its last, and a task of the event loop takes.

    A thread for each event would wait twice for the processor: to begin, and for the loop to go on.
    """

    def __init__(self, generator: Iterator[T]) -> None:
        self.is_wanted = True
        self._generator = generator
        self._events: deque[T] = deque()
        self._loop, self._is_news = asyncio.get_running_loop(), asyncio.Event()
        self._work = asyncio.ensure_future(to_thread.run_sync(self._make, limiter=_limiter(_streams, MAX_STREAMS)))
        self._work.add_done_callback(lambda _: self._is_news.set())

    def _make(self) -> None:
        with closing(self._generator):  # type: ignore[type-var]
            while self.is_wanted and (event := next(self._generator, None)) is not None:
                check_going_on()
                self._events.append(event)
                self._loop.call_soon_threadsafe(self._is_news.set)

    async def taken(self) -> AsyncGenerator[T]:
        """The events as they come. Raises what the generator raises."""
        is_over = False
        while not is_over:
            await self._is_news.wait()
            self._is_news.clear()
            is_over = self._work.done()  # before what is left is taken: nothing comes behind it
            while self._events:
                yield self._events.popleft()
        await self._work

    async def end(self) -> None:
        """Have it closed, and wait for that."""
        self.is_wanted = False
        with CancelScope(shield=True):
            await asyncio.wait([self._work])
        if not self._work.cancelled():
            self._work.exception()  # whoever stopped reading does not want to know


async def events_of(generator: Iterator[T]) -> AsyncGenerator[T]:
    """The generator's events. Whoever stops reading closes it, which frees the model's slot within one step.

    Raises what the generator raises, and NotReadyError when the server is told to stop.
    """
    made = _Made(generator)
    try:
        async with aclosing(made.taken()) as events:
            async for event in events:
                yield event
    finally:
        await made.end()


async def results_of(request: Request, generator: Iterator[Event]) -> list[Any]:
    """The results of all "done" events. Raises ClientDisconnect, the work given up, when the client went away."""
    results = []
    async with aclosing(events_of(generator)) as events:
        async for event in events:
            if event.kind == "done":
                results.append(event.result)
            elif await request.is_disconnected():
                raise ClientDisconnect
    return results


class EventStream(StreamingResponse):
    """Server-sent events. However it ends, also before it began, the engine's generator is closed."""

    def __init__(self, events: AsyncGenerator[Any], content: AsyncIterator[bytes]) -> None:
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        super().__init__(content, media_type="text/event-stream", headers=headers)
        self.events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it until its end or until the client is gone."""
        async with aclosing(self.events):
            await super().__call__(scope, receive, send)


async def event_stream(
    generator: Iterator[T], lines: Callable[[T], Iterator[bytes]], is_early: Callable[[T], bool] = lambda event: False
) -> EventStream:
    """A response of what `lines` makes of each event.

    Errors before the first event are raised, so that they get their status; later ones come as an event. While events
    are early, the response does not begin for HELD_SECONDS.
    """
    events = events_of(generator)
    first, end = await anext(events), time.monotonic() + HELD_SECONDS
    while is_early(first) and time.monotonic() < end:
        first = await anext(events)

    async def content() -> AsyncIterator[bytes]:
        said = -math.inf
        try:
            for line in lines(first):
                yield line
            async for event in events:
                for line in lines(event):
                    now = time.monotonic()
                    if line is not KEEP_ALIVE or now - said > KEEP_ALIVE_SECONDS:
                        said = now
                        yield line
        except Exception as error:
            yield data(error_body(error))

    return EventStream(events, content())


def data(value: Any) -> bytes:
    """One server-sent event."""
    return b"data: " + dumps(value) + b"\n\n"
