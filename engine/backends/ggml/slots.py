"""llama.cpp's server with few slots at first, and in its place one with more when more requests come at once.

llama.cpp clears the attention cache of all slots when it begins: of 32 it takes seconds on some machines, in which
nothing else of the process runs.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from engine.errors import PeopleError

log = logging.getLogger(__name__)

STEPS = 4, 8
"""Slots at the start, and what the sentences of one call take; then all. Each step clears its whole cache anew, and
what earlier prompts left in the old one is lost."""


@dataclass
class _Serving:
    server: Any
    slots: int
    busy: int = 0


class GrowingServer:
    """Servers that `start(slots)` makes; the latest takes all new requests, an earlier one ends with its last.

    Raises what `start` raises for the first. A later one that fails is logged and not tried again: requests then wait
    for a slot inside llama.cpp.
    """

    def __init__(self, start: Callable[[int], Any], most_slots: int, is_whole: bool = False) -> None:
        self._start, self._most = start, most_slots
        self._counting, self._growing = threading.Lock(), threading.Lock()
        self._arriving = 0
        self._latest: _Serving | None = self._begun(most_slots if is_whole else 1)

    @property
    def slots(self) -> int:
        """Requests that are answered at once now; more when more come."""
        return self._latest.slots if self._latest else 0

    @property
    def server(self) -> Any:
        """The latest server; whoever holds it keeps it from ending."""
        return self._latest.server if self._latest else None

    @contextmanager
    def slot(self) -> Iterator[Any]:
        """A server that has a slot for one more request, grown where it has none."""
        with self._counting:
            self._arriving += 1
        with self._growing:
            serving = self._roomy()
        try:
            yield serving.server
        finally:
            with self._counting:
                serving.busy -= 1

    def close(self) -> None:
        """End the server. No request is in progress."""
        self._latest = None

    def _roomy(self) -> _Serving:
        assert self._latest is not None, "closed"
        try:
            self._grow(self._latest.busy + self._arriving)
        finally:
            with self._counting:
                self._arriving -= 1
        with self._counting:
            self._latest.busy += 1
        return self._latest

    def _grow(self, wanted: int) -> None:
        if min(wanted, self._most) <= self.slots:
            return
        try:
            self._latest = self._begun(wanted)
        except PeopleError as error:
            self._most = self.slots
            log.warning("No more than %d answers at once: %s", self._most, error)

    def _begun(self, wanted: int) -> _Serving:
        slots = next((step for step in STEPS if wanted <= step < self._most), self._most)
        return _Serving(self._start(slots), slots)
