"""Who goes next, who must make room: plain bookkeeping without threads, clocks or weights."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from engine.errors import BusyError


class Waiting(Protocol):
    """What waits: only whether anybody still wants it matters here."""

    @property
    def is_cancelled(self) -> bool: ...

    @property
    def task(self) -> str: ...


W = TypeVar("W", bound=Waiting)


class Line(Generic[W]):
    """The bounded line before one model. A call joins as one group, however many rows it brings.

    Groups take turns row by row, so that somebody's two thousand rows do not hold up another's single one.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._groups: deque[deque[W]] = deque()

    def __len__(self) -> int:
        """Rows that somebody still waits for."""
        return sum(not row.is_cancelled for group in self._groups for row in group)

    def join(self, rows: Iterable[W]) -> None:
        """Add a group. Raises BusyError when the line is full; who left it takes no place."""
        group = deque(rows)
        if not group:
            return
        self._groups = deque(self._wanted())
        if len(self._groups) >= self.limit:
            raise BusyError(
                f"All {self.limit} places in the line for this model are taken. Try again in a few seconds.",
                retry_seconds=5,
            )
        self._groups.append(group)

    def take(self, count: int, may: Callable[[W], bool] = lambda row: True) -> list[W]:
        """Up to `count` rows of one task, one from each group in turn; rows nobody waits for are dropped.

        A group whose next row may not be taken yet keeps its place.
        """
        taken: list[W] = []
        skipped: deque[deque[W]] = deque()
        while self._groups and len(taken) < count:
            group = self._groups.popleft()
            while group and group[0].is_cancelled:
                group.popleft()
            if not group:
                continue
            if (taken and group[0].task != taken[0].task) or not may(group[0]):
                skipped.append(group)
                continue
            taken.append(group.popleft())
            if group:
                self._groups.append(group)
        self._groups.extendleft(reversed(skipped))
        return taken

    def has(self, may: Callable[[W], bool]) -> bool:
        """Whether `take` would find a row."""
        nexts = (next((row for row in group if not row.is_cancelled), None) for group in self._groups)
        return any(row is not None and may(row) for row in nexts)

    def position(self, row: W) -> int:
        """Place of the row's group in the line, 1 being next; 0 when it is not waiting."""
        return next((place for place, group in enumerate(self._wanted(), 1) if row in group), 0)

    def _wanted(self) -> Iterator[deque[W]]:
        """The groups with somebody who still waits."""
        return (group for group in self._groups if any(not row.is_cancelled for row in group))

    @property
    def is_wanted(self) -> bool:
        """Whether anybody still waits."""
        return any(not row.is_cancelled for group in self._groups for row in group)

    def drain(self) -> list[W]:
        """Empty the line and return all that waited."""
        rows = [row for group in self._groups for row in group]
        self._groups.clear()
        return rows


def share(waiting: int, batch: int, idle_lanes: int) -> int:
    """Rows that one of the idle lanes takes of those that wait: at most `batch`, and as many as the others will."""
    batches = max(math.ceil(waiting / batch), min(waiting, idle_lanes), 1)
    return max(1, math.ceil(waiting / batches))


@dataclass(frozen=True)
class Resident:
    """A model in memory, as the budget sees it."""

    id: str
    memory_bytes: int
    last_used: float
    is_busy: bool


def choose_evictions(residents: Sequence[Resident], needed_bytes: int, budget_bytes: int) -> list[str] | None:
    """Idle models to unload, least recently used first, so that `needed_bytes` fit; None while busy ones hinder."""
    free = budget_bytes - sum(resident.memory_bytes for resident in residents)
    chosen: list[str] = []
    for resident in sorted((r for r in residents if not r.is_busy), key=lambda r: r.last_used):
        if free >= needed_bytes:
            break
        chosen.append(resident.id)
        free += resident.memory_bytes
    return chosen if free >= needed_bytes else None
