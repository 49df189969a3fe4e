"""llama.cpp's server with few slots at first, in its place one with more when more requests come at once, and one with
fewer when they are gone.

llama.cpp takes and clears the attention cache of all slots when it begins: 32 of SmolLM2 are 3 GB, which takes seconds
on some machines, in which nothing else of the process runs.
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
QUIET_SECONDS = 60.0
"""How long fewer slots must have been enough before the others are given back."""


@dataclass
class _Serving:
    server: Any
    slots: int
    busy: int = 0
    most_busy: int = 0
    """Requests at once at most, those of earlier servers with them, since this was looked at last."""


class GrowingServer:
    """Servers that `start(slots)` makes; the latest takes all new requests, an earlier one ends with its last.

    Raises what `start` raises for the first. A larger one that fails is logged and not tried again: requests then wait
    for a slot inside llama.cpp.
    """

    def __init__(self, start: Callable[[int], Any], most_slots: int, is_whole: bool = False) -> None:
        self._start, self._most = start, most_slots
        self._is_whole = is_whole
        self._counting, self._changing = threading.Lock(), threading.Lock()
        self._arriving = 0
        self._look: threading.Timer | None = None
        self._latest: _Serving | None = self._begun(1)

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
        with self._changing:
            serving = self._roomy()
        try:
            yield serving.server
        finally:
            with self._counting:
                serving.busy -= 1

    def close(self) -> None:
        """End the server. No request is in progress."""
        with self._changing:
            self._latest = None
            if self._look:
                self._look.cancel()

    def shrink(self) -> None:
        """Give slots back that nobody has needed since the last look; look again later where there are more to give."""
        with self._changing:
            if self._latest is None:
                return
            with self._counting:
                wanted, self._latest.most_busy = self._latest.most_busy, self._latest.busy
            if self._step(wanted) < self.slots:
                self._replace(wanted)
            self._look_later()

    def _roomy(self) -> _Serving:
        assert self._latest is not None, "closed"
        try:
            self._grow(self._latest.busy + self._arriving)
        finally:
            with self._counting:
                self._arriving -= 1
        with self._counting:
            self._latest.busy += 1
            self._latest.most_busy = max(self._latest.most_busy, self._latest.busy)
        return self._latest

    def _grow(self, wanted: int) -> None:
        if min(wanted, self._most) > self.slots:
            if not self._replace(wanted):
                self._most = self.slots
            self._look_later()

    def _replace(self, wanted: int) -> bool:
        """Put one for so many requests in the place of the latest; whether there was memory for both meanwhile."""
        try:
            self._latest = self._begun(wanted)
        except PeopleError as error:
            log.warning("No more than %d answers at once: %s", self.slots, error)
            return False
        return True

    def _look_later(self) -> None:
        if self.slots > self._step(1):
            self._look = threading.Timer(QUIET_SECONDS, self.shrink)
            self._look.daemon = True
            self._look.start()

    def _step(self, wanted: int) -> int:
        """Slots that a server has for so many requests."""
        if self._is_whole:
            return self._most
        return next((step for step in STEPS if wanted <= step < self._most), self._most)

    def _begun(self, wanted: int) -> _Serving:
        slots = self._step(wanted)
        return _Serving(self._start(slots), slots, most_busy=wanted)
