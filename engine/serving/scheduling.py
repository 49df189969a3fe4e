"""Who goes next, who must make room: plain bookkeeping without threads, clocks or weights."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Generic, Protocol, TypeVar

from engine.errors import BusyError
from engine.serving.protocol import Priority

NORMAL: Priority = "normal"
LOW: Priority = "low"


class Waiting(Protocol):
    """What waits: only whether anybody still wants it matters here."""

    @property
    def is_cancelled(self) -> bool: ...

    @property
    def kind(self) -> str: ...


W = TypeVar("W", bound=Waiting)


PATIENCE = 16
"""Rows of normal priority that go before one of low priority does, so that slow is not never."""


class Queue(Generic[W]):
    """The bounded queue before one model. A call joins as one group, however many rows it brings.

    Groups take turns row by row, so that somebody's two thousand rows do not hold up another's single one; those of
    low priority come after all others, and have places of their own.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._groups: dict[Priority, deque[deque[W]]] = {"normal": deque(), "low": deque()}
        self._passed = 0
        """Rows that went before one of low priority."""

    def __len__(self) -> int:
        """Rows that somebody still waits for."""
        return sum(not row.is_cancelled for group in self._all() for row in group)

    @property
    def groups(self) -> int:
        """Calls with rows that somebody still waits for."""
        return sum(1 for priority in (NORMAL, LOW) for _ in self._wanted(priority))

    def join(self, rows: Iterable[W], priority: Priority = "normal") -> None:
        """Add a group. Raises BusyError when the queue is full; who left it takes no place."""
        group = deque(rows)
        if not group:
            return
        groups = self._groups[priority] = deque(self._wanted(priority))
        if len(groups) >= self.limit:
            raise BusyError(
                "All {count} places in the queue for this model are taken. Try again in a few seconds.",
                retry_seconds=5,
                count=self.limit,
            )
        groups.append(group)

    def take(self, count: int, may: Callable[[W], bool] = lambda row: True) -> list[W]:
        """Up to `count` rows of one kind, one from each group in turn; rows nobody waits for are dropped.

        A group whose next row may not be taken yet keeps its place.
        """
        taken: list[W] = []
        while len(taken) < count and (row := self._next(taken[:1], may)) is not None:
            taken.append(row)
        return taken

    def _next(self, first: list[W], may: Callable[[W], bool]) -> W | None:
        """The next row that may be taken, of the same kind as the first."""
        is_due = self._passed >= PATIENCE
        for priority in (LOW, NORMAL) if is_due else (NORMAL, LOW):
            groups = self._groups[priority]
            for place, group in enumerate(groups):
                while group and group[0].is_cancelled:
                    group.popleft()
                if group and all(group[0].kind == one.kind for one in first) and may(group[0]):
                    del groups[place]
                    row = group.popleft()
                    groups.extend([group] if group else [])
                    self._passed = self._passed + 1 if priority == NORMAL and self._groups[LOW] else 0
                    return row
        return None

    def has(self, may: Callable[[W], bool]) -> bool:
        """Whether `take` would find a row."""
        nexts = (next((row for row in group if not row.is_cancelled), None) for group in self._all())
        return any(row is not None and may(row) for row in nexts)

    def position(self, row: W) -> int:
        """Place of the row's group in the queue, 1 being next; 0 when it is not waiting."""
        groups = [*self._wanted(NORMAL), *self._wanted(LOW)]
        return next((place for place, group in enumerate(groups, 1) if row in group), 0)

    def _all(self) -> Iterator[deque[W]]:
        return chain(self._groups[NORMAL], self._groups[LOW])

    def _wanted(self, priority: Priority) -> Iterator[deque[W]]:
        """The groups with somebody who still waits."""
        return (group for group in self._groups[priority] if any(not row.is_cancelled for row in group))

    @property
    def is_wanted(self) -> bool:
        """Whether anybody still waits."""
        return any(not row.is_cancelled for group in self._all() for row in group)

    def drain(self) -> list[W]:
        """Empty the queue and return all that waited."""
        rows = [row for group in self._all() for row in group]
        for groups in self._groups.values():
            groups.clear()
        return rows


def share(waiting: int, batch: int, idle: int) -> int:
    """Rows that one of the idle threads takes of those that wait: at most `batch`, and as many as the others will."""
    batches = max(math.ceil(waiting / batch), min(waiting, idle), 1)
    return max(1, math.ceil(waiting / batches))


@dataclass(frozen=True)
class Resident:
    """A model in memory with one runtime, as the budget sees it."""

    key: tuple[str, str]
    memory_bytes: int
    last_used: float
    is_busy: bool


def choose_evictions(
    residents: Sequence[Resident], needed_bytes: int, budget_bytes: int
) -> list[tuple[str, str]] | None:
    """Idle models to unload, least recently used first, so that `needed_bytes` fit; None while busy ones hinder."""
    free = budget_bytes - sum(resident.memory_bytes for resident in residents)
    chosen: list[tuple[str, str]] = []
    for resident in sorted((r for r in residents if not r.is_busy), key=lambda r: r.last_used):
        if free >= needed_bytes:
            break
        chosen.append(resident.key)
        free += resident.memory_bytes
    return chosen if free >= needed_bytes else None
