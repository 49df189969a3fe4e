"""When a long prompt may be read: in short stages, one prompt at a time, between the words of everybody else.

Plain bookkeeping around a clock; what a stage is and how it is read is the backend's to know.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

SHARED_SECONDS = 0.1
"""How long a turn may take where somebody else is there; alone it is as long as costs nothing."""
SHARE = 1.2
"""Of a stage's time, for which answers go on without the next: they keep half of their speed."""
FIRST_WORD_SECONDS = 1.0
"""How long a stage lets those go first who wait for their first word; then it is due, however many come."""
PATIENCE = 0.5
"""How much shorter a prompt counts for each token of others that went before its own: slow is not never."""
LOOK_SECONDS = 0.25


@dataclass(eq=False)
class Reader:
    """A long prompt on its way: whose, how many tokens are left, and how many of others' went before."""

    visitor: str
    left: int
    passed: int = 0


class Turns:
    """Who reads, who answers and who waits for a first word on one model."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._readers: list[Reader] = []
        self._reading: Reader | None = None
        self._answering = self._awaiting = 0
        self._began, self._took, self._ended = 0.0, 0.0, -FIRST_WORD_SECONDS

    @contextmanager
    def reading(self, tokens: int, visitor: str) -> Iterator[Reader]:
        """Stand in line with a prompt of so many tokens."""
        reader = Reader(visitor, tokens)
        with self._changed:
            self._readers.append(reader)
        try:
            yield reader
        finally:
            with self._changed:
                self._readers.remove(reader)
                self._changed.notify_all()

    @contextmanager
    def stage(self, reader: Reader, is_wanted: Callable[[], bool]) -> Iterator[float]:
        """One turn, waited for while somebody wants it; yields the seconds that it may take, 0 where nobody does."""
        seconds, left = self._turn(reader, is_wanted), reader.left
        try:
            yield seconds
        finally:
            if self._reading is reader:
                self._end(reader, left - reader.left)

    def pause(self, reader: Reader, is_wanted: Callable[[], bool]) -> bool:
        """Within a stage that can stand still: let others go on where they are due; whether to read on then."""
        self._end(reader, 0)
        return self._turn(reader, is_wanted) > 0

    @property
    def is_due(self) -> bool:
        """Whether who reads now has read for long enough, as somebody else is there."""
        return self._clock() - self._began >= SHARED_SECONDS and not self._is_alone()

    def _turn(self, reader: Reader, is_wanted: Callable[[], bool]) -> float:
        """Wait for a turn and begin it; the seconds that it may take, 0 where nobody wants it any more."""
        with self._changed:
            while not self._may_read(reader) and is_wanted():
                rest = self._rest()
                self._changed.wait(min(rest, LOOK_SECONDS) if rest > 0 else LOOK_SECONDS)
            if not self._may_read(reader):
                return 0.0
            self._reading, self._began = reader, self._clock()
            return math.inf if self._is_alone() else SHARED_SECONDS

    @contextmanager
    def answering(self) -> Iterator[Callable[[], None]]:
        """Around an answer; what it yields is called at the first word."""
        has_begun = False

        def begin() -> None:
            nonlocal has_begun
            if not has_begun:
                has_begun = True
                self._count(awaiting=-1, answering=1)

        self._count(awaiting=1)
        try:
            yield begin
        finally:
            self._count(answering=-1) if has_begun else self._count(awaiting=-1)

    def _count(self, awaiting: int = 0, answering: int = 0) -> None:
        with self._changed:
            self._awaiting += awaiting
            self._answering += answering
            self._changed.notify_all()

    def _end(self, reader: Reader, tokens: int) -> None:
        with self._changed:
            self._reading, self._ended = None, self._clock()
            self._took = self._ended - self._began
            for other in self._readers:
                other.passed += tokens * (other is not reader)
            self._changed.notify_all()

    def _may_read(self, reader: Reader) -> bool:
        return self._reading is None and self._rest() <= 0 and self._next() is reader

    def _rest(self) -> float:
        """Seconds that others have before the next stage."""
        rest = FIRST_WORD_SECONDS if self._awaiting else SHARE * self._took if self._answering else 0.0
        return self._ended + rest - self._clock()

    def _next(self) -> Reader:
        """Everybody's first prompt before anybody's second; of those the shortest, and who was passed over counts as
        shorter."""
        own: dict[str, int] = {}
        ranks = []
        for reader in self._readers:
            ranks.append(own.setdefault(reader.visitor, 0))
            own[reader.visitor] += 1
        order = zip(ranks, (one.left - PATIENCE * one.passed for one in self._readers), self._readers, strict=True)
        return min(order, key=lambda entry: entry[:2])[2]

    def _is_alone(self) -> bool:
        return not self._answering and not self._awaiting and len(self._readers) == 1
