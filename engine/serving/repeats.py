"""Around an engine: the same request to the same weights is worked on once, also while it is under way."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from engine.requests import Event, Request, Result
from engine.serving.protocol import Caller, Engine
from engine.serving.results import Key, Results, events_of, fingerprint, is_whole, repeated
from engine.serving.wrapper import Wrapper

LOOK_SECONDS = 0.25
"""How often one that waits for the same request shows a sign of life."""
STALL_SECONDS = 2.0
"""Whose events nobody has read for so long (a connection that stands still) is not waited for."""
LEAST_SECONDS = 0.1
"""What one that waited in vain until its deadline has left, so that the engine inside says that it is late."""
WAITING = Event("queued")


@dataclass(eq=False)
class _Call:
    """What requests that came together share; times on the monotonic clock."""

    model_id: str
    caller: Caller
    count: int
    deadline: float
    read: float
    """When an event was read last."""


@dataclass(eq=False)
class _Row:
    """One request, and what answers it: a kept result, the same request under way, or work of its own."""

    call: _Call
    request: Request
    key: Key | None
    kept: Result | None = None
    same: _Row | None = None
    result: Result | None = None
    waiting: Event = WAITING
    """What those who wait for this one are shown."""
    was_waiting: bool = False
    has_failed: bool = False
    is_alone: bool = False
    """Waits for nobody any more."""
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def is_stalled(self) -> bool:
        return time.monotonic() - self.call.read > STALL_SECONDS

    def can_wait_for(self, first: _Row) -> bool:
        """Whether the other will be answered or given up no later than this one would be."""
        if self.is_alone or first.over.is_set():
            return False
        is_early = first.call.deadline <= self.call.deadline and first.call.count <= self.call.count
        return first.call is self.call or (is_early and not first.is_stalled)


class Repeats(Wrapper):
    """Keeps results of repeatable requests, at most `limit_bytes` of them, and joins equal requests under way."""

    def __init__(self, inner: Engine, limit_bytes: int) -> None:
        super().__init__(inner)
        self.results = Results(limit_bytes)
        self._under_way: dict[Key, _Row] = {}
        self._lock = threading.RLock()

    def unload(self, model_id: str, caller: Caller) -> None:
        """Free an idle model's memory, and what it answered; see the protocol."""
        self.inner.unload(model_id, caller)
        self.results.forget(model_id)

    def stream_all(
        self, model_id: str, requests: Sequence[Request], caller: Caller, *, deadline_seconds: float | None = None
    ) -> Iterator[tuple[int, Event]]:
        """As the engine inside; what is repeated says so in its result."""
        longest = self.settings.deadline_seconds
        known = [fingerprint(request) for request in requests]
        circle = caller.circle
        weights = self.inner.weights(model_id) if circle and any(known) else None
        keys = [Key(model_id, weights, one, circle) if one and circle and weights else None for one in known]
        with self._lock:  # whoever looks later waits longer too
            now = time.monotonic()
            call = _Call(model_id, caller, len(requests), now + min(deadline_seconds or longest, longest), now)
            rows = [_Row(call, request, key) for request, key in zip(requests, keys, strict=True)]
            self._look_up(rows)
        try:
            with closing(self._submit([row for row in rows if row.kept is None and row.same is None])) as items:
                for index, row in enumerate(rows):
                    for event in self._events(row, items):
                        call.read = time.monotonic()
                        yield index, event
        finally:
            for row in rows:
                self._leave(row)

    def _look_up(self, rows: Sequence[_Row]) -> None:
        """Find kept results and the same requests under way; for what has neither, others may wait."""
        with self._lock:
            for row in rows:
                row.same = None
                if row.key is None:
                    continue
                row.kept, first = self.results.find(row.key), self._under_way.get(row.key)
                if row.kept is None and first is not None and row.can_wait_for(first):
                    row.same = first
                elif row.kept is None:
                    self._under_way[row.key] = row

    def _submit(self, rows: Sequence[_Row]) -> Generator[Event]:
        """The events of rows of one call, one row after the other; when it returns, all are submitted."""
        events = self._work(rows)
        next(events)
        return events

    def _work(self, rows: Sequence[_Row]) -> Generator[Event]:
        """An empty event when all are submitted, then theirs."""
        if not rows:
            yield WAITING
            return
        call, requests = rows[0].call, [row.request for row in rows]
        seconds = max(LEAST_SECONDS, call.deadline - time.monotonic())
        items = self.inner.stream_all(call.model_id, requests, call.caller, deadline_seconds=seconds)
        with closing(items):  # type: ignore[type-var]
            _, first = next(items)
            yield WAITING
            yield first
            yield from (event for _, event in items)

    def _events(self, row: _Row, items: Iterator[Event]) -> Iterator[Event]:
        """The events of a row; where the one that it waited for came to nothing, it takes a turn of its own."""
        while row.same is not None:
            yield from self._wait(row, row.same)
        if row.kept is not None:
            yield from events_of(row.kept)
        elif row.was_waiting:
            with closing(self._submit([row])) as own:
                yield from self._own(row, own)
        else:
            yield from self._own(row, items)

    def _wait(self, row: _Row, first: _Row) -> Iterator[Event]:
        """Signs of life until the first is over and its result is this one's too, or else to be looked up anew."""
        row.was_waiting = True
        while not first.over.wait(LOOK_SECONDS) and not first.is_stalled:
            yield first.waiting
        if first.result is not None and (is_whole(first.result) or first.call is row.call):
            row.kept, row.same = repeated(first.result), None
        else:  # fifty who waited for one that failed do not wait for each other's failures one by one
            row.is_alone = first.has_failed or not first.over.is_set()
            self._look_up([row])

    def _own(self, row: _Row, items: Iterator[Event]) -> Iterator[Event]:
        """The next row's events out of all, noted for those who wait for the same."""
        try:
            for event in items:
                row.waiting = event if event.kind in ("queued", "loading") else WAITING
                if event.kind == "done":
                    self._finish(row, event.result)
                yield event
                if event.kind == "done":
                    return
        except Exception:
            row.has_failed = True
            raise

    def _finish(self, row: _Row, result: Result) -> None:
        """Keep the result, unless other weights took the place of those that it was looked up for."""
        if row.key and self.inner.weights(row.call.model_id) == row.key.weights:
            self.results.keep(row.key, result)
        row.result = result
        row.over.set()

    def _leave(self, row: _Row) -> None:
        """Nothing more comes of this row."""
        row.over.set()
        with self._lock:
            if row.key and self._under_way.get(row.key) is row:
                del self._under_way[row.key]
