"""Pieces of a file are asked for a few at a time, with low priority: as many as take some seconds."""

from __future__ import annotations

import json
import os
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from engine.errors import PeopleError
from engine.jobs.files.folder import DONE
from engine.jobs.folder import Interrupted, Job, Stopped
from engine.requests import Event
from engine.serving.patience import Patience

if TYPE_CHECKING:
    from engine.serving.compose import House

T = TypeVar("T")
Ask = Callable[[Sequence[T]], Iterator[Event]]
"""Asks for pieces; the last event's result is a list of what was made of each, ready for JSON."""
FIRST, MOST, CHUNK_SECONDS, GROWTH = 8, 2000, 3.0, 8
"""Pieces that are asked for at once: at first, at most, for how long they may take, and how much more the next time."""
LOOK_SECONDS = 0.05
"""Between two looks whether it is to stop."""
PACE_CHUNKS = 20


@dataclass
class Pace:
    """How fast it goes, by the last few chunks."""

    ends: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=PACE_CHUNKS))

    def note(self, done: int) -> None:
        self.ends.append((time.monotonic(), done))

    def per_second(self) -> float | None:
        """Pieces a second; None before two ends are known."""
        (first, begun), (last, done) = self.ends[0], self.ends[-1]
        return (done - begun) / (last - first) if last > first else None


def work_off(job: Job, house: House, pieces: Sequence[T], done: int, ask: Ask[T]) -> None:
    """Ask for all pieces from the `done` first ones on; what came of a chunk is on the disk before its turn is over.

    Raises Stopped, Interrupted where the server ends, LimitError where an allowance is used up.
    """
    most, pace = min(MOST, house.engine.settings.max_rows), Pace()
    pace.note(done)
    _tell(job, pace, done, len(pieces))
    line = _Line(ask, pieces, done, min(FIRST, most))
    try:
        while done < len(pieces):
            chunk, began = line.take(), time.monotonic()
            made = _answered(job, house, chunk.pieces, ask, chunk, line)
            seconds = max(0.01, time.monotonic() - began)
            line.size = max(1, min(most, GROWTH * line.size, round(len(made) * CHUNK_SECONDS / seconds)))
            line.half_seconds = seconds / 2
            done += len(made)
            line.begin_next()
            _keep(job, made)
            pace.note(done)
            _tell(job, pace, done, len(pieces))
    finally:
        line.close()


class _Line(Generic[T]):
    """The pieces in their order, `size` at a time. The next ones are asked for while the model is at those before:
    what is done to a chunk before and after the model costs it no time."""

    def __init__(self, ask: Ask[T], pieces: Sequence[T], start: int, size: int) -> None:
        self._ask, self._pieces, self._start, self.size = ask, pieces, start, size
        self._next: _Begun[T] | None = None
        self.half_seconds = CHUNK_SECONDS / 2
        """When to ask for the next chunk, from the turn of one on."""

    def begin_next(self) -> None:
        """Ask for the next chunk, if that has not been done."""
        if self._next is None:
            chunk = self._pieces[self._start : self._start + self.size]
            self._start += len(chunk)
            self._next = _Begun(self._ask, chunk)

    def take(self) -> _Begun[T]:
        """The next chunk, whose turn it is now."""
        self.begin_next()
        assert self._next is not None
        begun, self._next = self._next, None
        return begun

    def close(self) -> None:
        """Free what it holds of the model."""
        if self._next is not None:
            self._next.close()


class _Begun(Generic[T]):
    """A chunk that is asked for at once; what is wrong shows when its events are read."""

    def __init__(self, ask: Ask[T], chunk: Sequence[T]) -> None:
        self.pieces = chunk
        self._events = ask(chunk) if chunk else iter(())
        self._first: list[Event] = []
        self._error: Exception | None = None
        try:
            self._first = [event for event in (next(self._events, None),) if event]
        except Exception as error:
            self._error = error

    def __iter__(self) -> Iterator[Event]:
        if self._error:
            raise self._error
        yield from self._first
        yield from self._events

    def close(self) -> None:
        """Free what it holds of the model."""
        if isinstance(self._events, Generator):
            self._events.close()


def _answered(
    job: Job, house: House, chunk: Sequence[T], ask: Ask[T], begun: _Begun[T] | None, line: _Line[T]
) -> list[Any]:
    """What was made of a chunk that may have `begun`. A busy engine is waited for, then asked for less at a time."""
    patience = Patience(lambda seconds: _pause(job, house, seconds))
    while True:
        try:
            given, begun = begun or _Begun(ask, chunk), None
            return _asked(job, house, given, line)
        except PeopleError as error:
            patience.wait(error)
        if len(chunk) > 1:
            half = len(chunk) // 2
            parts = chunk[:half], chunk[half:]
            return [made for part in parts for made in _answered(job, house, part, ask, None, line)]


def _asked(job: Job, house: House, begun: _Begun[T], line: _Line[T]) -> list[Any]:
    """The result of the last event. Closing the events frees what they hold of the model at once."""
    looked, half = 0.0, time.monotonic() + line.half_seconds
    with closing(begun):
        for event in begun:
            now = time.monotonic()
            if now - looked > LOOK_SECONDS:
                check(job, house)
                looked = now
            if now > half:
                line.begin_next()
            if event.kind == "done":
                result: list[Any] = event.result
    return result


def check(job: Job, house: House) -> None:
    """Raise Stopped where it was asked to stop, Interrupted where the server ends."""
    if job.is_stop_asked:
        raise Stopped
    if house.ending.is_set():
        raise Interrupted


def _pause(job: Job, house: House, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        check(job, house)
        house.ending.wait(LOOK_SECONDS * 4)


def _keep(job: Job, made: Sequence[Any]) -> None:
    with (job.folder / DONE).open("a", encoding="utf-8") as file:
        file.write("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in made))
        file.flush()
        os.fsync(file.fileno())


def _tell(job: Job, pace: Pace, done: int, total: int) -> None:
    speed = pace.per_second()
    left = (total - done) / speed if speed else None
    job.update("running", step=done, max_steps=total, rows_per_second=speed, seconds_left=left)
