"""The engine's generators, which block, driven from the event loop, which must not."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing
from functools import cache, partial
from typing import Any

import anyio
from anyio import CancelScope, CapacityLimiter, to_thread
from fastapi import Request
from fastapi.responses import StreamingResponse

from engine.errors import PeopleError
from engine.http.errors import error_body
from engine.requests import Event

MAX_THREADS = 160
"""Requests that may wait for their next event at a time; more than all slots and lines of two busy models."""
KEEP_ALIVE = ": waiting\n\n"


@cache
def _limiter() -> CapacityLimiter:
    """Threads of our own, so that waiting API requests never take those of the pages."""
    return CapacityLimiter(MAX_THREADS)


async def events_of(generator: Iterator[Event]) -> AsyncGenerator[Event]:
    """The generator's events. Whoever stops reading closes it, which frees the model's slot within one step."""
    try:
        while (event := await to_thread.run_sync(partial(next, generator, None), limiter=_limiter())) is not None:
            yield event
    finally:
        with CancelScope(shield=True):
            await to_thread.run_sync(generator.close, limiter=_limiter())  # type: ignore[attr-defined]


async def result_of(request: Request, generator: Iterator[Event]) -> Any:
    """The last event's result; the work is given up when the client goes away."""
    async with aclosing(events_of(generator)) as events:
        async for event in events:
            if event.kind == "done":
                return event.result
            if await request.is_disconnected():
                break
    return None


async def event_stream(generator: Iterator[Event], lines: Callable[[Event], Iterator[str]]) -> StreamingResponse:
    """Server-sent events: what `lines` makes of each event, comments while the request waits.

    Errors before the first event are raised, so that they get their status; later ones come as an event.
    """
    events = events_of(generator)
    first = await anext(events)

    async def body() -> AsyncIterator[str]:
        async with aclosing(events):
            try:
                for line in _rendered(first, lines):
                    yield line
                async for event in events:
                    for line in _rendered(event, lines):
                        yield line
            except PeopleError as error:
                yield data(error_body(error))
            except anyio.get_cancelled_exc_class():
                raise
            except Exception as error:
                yield data(error_body(error))

    return StreamingResponse(body(), media_type="text/event-stream", headers={"Cache-Control": "no-cache"})


def _rendered(event: Event, lines: Callable[[Event], Iterator[str]]) -> Iterator[str]:
    return iter([KEEP_ALIVE]) if event.kind in ("queued", "loading") else lines(event)


def data(value: Any) -> str:
    """One server-sent event."""
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n"
