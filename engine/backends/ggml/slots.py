"""llama.cpp's server with few slots at first, in its place one with more when more requests come at once, and one with
fewer when they are gone; and which slot a request takes.

llama.cpp takes and clears the attention cache of all slots when it begins: 32 of SmolLM2 are 3 GB, which takes seconds
on some machines. That happens in a process of its own while the earlier server goes on.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from engine.errors import PeopleError

log = logging.getLogger(__name__)

STEPS = 4, 8
"""Slots at the start, and what the sentences of one call take; then all. Each step clears its whole cache anew, and
what earlier prompts left in the old one is lost."""
QUIET_SECONDS = 60.0
"""How long fewer slots must have been enough before the others are given back."""
AGAIN_SECONDS = 10.0
"""From a growth that there was no memory for to the next."""
ALIKE = 0.1
"""Of a prompt, which a slot must have evaluated already to be chosen for that, as llama.cpp itself has it."""
ANY = -1
"""Where more ask than there are slots, llama.cpp gives each the first that is free."""


@dataclass(frozen=True)
class Beginning:
    """A prompt as slots tell it from others: its text, whose it is, and how much of it is the same for everybody."""

    text: str = ""
    circle: str | None = None
    common_characters: int = 0

    def shared(self, held: Beginning) -> int:
        """Characters at the start that a slot with the other need not evaluate anew for this one.

        Of another circle's prompt only the common ones: how soon an answer comes would tell what the prompt was.
        """
        most = len(self.text) if self.is_akin(held) else self.common_characters
        return min(most, shared_length(held.text, self.text))

    def is_akin(self, held: Beginning) -> bool:
        """Whether both are of one circle."""
        return self.circle is not None and self.circle == held.circle


UNKNOWN = Beginning()


@dataclass
class Place:
    """A request's slot on a server, and what of its prompt that slot has already (`shared` characters)."""

    server: Any
    slot: int = ANY
    shared: int = 0
    prompt: Beginning = UNKNOWN
    is_strange: bool = False
    """Whether the slot may hold more of another circle's prompt, which its owner has it forget first."""
    evaluated: str = ""
    """Text whose tokens the slot holds when the request leaves it; its owner says it."""


@dataclass
class _Serving:
    server: Any
    slots: int
    busy: int = 0
    asked: int = 0
    """Questions that take no slot."""
    most_busy: int = 0
    """Requests at once at most, those of earlier servers with them, since this was looked at last."""
    idle: dict[int, Beginning | None] = field(default_factory=dict)
    """The slots that nobody has, those left first in front, with what each holds; None before the first."""
    circles: set[str | None] = field(default_factory=set)
    """Whose requests came here; two tell as much as all."""
    is_mixed: bool = False
    """Whether llama.cpp chose a slot, so that nobody knows whose prompt one holds."""

    def __post_init__(self) -> None:
        self.idle = dict.fromkeys(range(self.slots))

    def take(self, prompt: Beginning) -> Place:
        """The slot that holds most of the prompt; where none holds enough, the one that was left first."""
        shared = {slot: prompt.shared(held) if held else 0 for slot, held in self.idle.items()}
        slot = max(shared, key=lambda one: shared[one], default=ANY)
        if shared.get(slot, 0) <= ALIKE * len(prompt.text):
            slot = next(iter(self.idle), ANY)
        return Place(self.server, slot, shared.get(slot, 0), prompt, self._is_strange(slot, prompt))

    def _is_strange(self, slot: int, prompt: Beginning) -> bool:
        """Note who takes a slot, and tell whether it may hold another circle's prompt."""
        held = self.idle.pop(slot, None)
        self.is_mixed = self.is_mixed or slot == ANY
        if len(self.circles) < 2:
            self.circles.add(prompt.circle)
        if self.is_mixed:
            return prompt.circle is None or self.circles != {prompt.circle}
        return held is not None and not prompt.is_akin(held)

    def leave(self, place: Place) -> None:
        if place.slot != ANY:
            self.idle[place.slot] = UNKNOWN if place.is_strange else replace(place.prompt, text=place.evaluated)


class GrowingServer:
    """Servers that `start(slots)` makes; the latest takes all new requests, an earlier one ends with its last.

    Raises what `start` raises for the first. A larger one that fails is logged and tried again a while later: requests
    then wait for a slot inside llama.cpp. One that is not alive any more has another put in its place for the next
    request.
    """

    def __init__(self, start: Callable[[int], Any], most_slots: int, is_whole: bool = False) -> None:
        self._start, self._most = start, most_slots
        self._is_whole = is_whole
        self._counting, self._changing = threading.Lock(), threading.Lock()
        self._arriving = 0
        self._not_before = 0.0
        self._look: threading.Timer | None = None
        self._latest: _Serving | None = self._begun(1)

    @property
    def slots(self) -> int:
        """Requests that are answered at once now; more when more come."""
        return self._latest.slots if self._latest else 0

    @property
    def server(self) -> Any:
        """The latest server."""
        return self._latest.server if self._latest else None

    @contextmanager
    def slot(self, prompt: Beginning = UNKNOWN) -> Iterator[Place]:
        """A place for one more request on a server that has a slot for it, grown where it has none."""
        with self._counting:
            self._arriving += 1
        with self._changing:
            serving = self._roomy()
            with self._counting:
                place = serving.take(prompt)
        try:
            yield place
        finally:
            with self._counting:
                serving.busy -= 1
                serving.leave(place)
            self._end_if_over(serving)

    @contextmanager
    def held(self) -> Iterator[Any]:
        """The latest server for a question that takes no slot."""
        with self._counting:
            is_gone = self._latest is not None and not self._latest.server.is_alive
        if is_gone:
            with self._changing:
                self._revive()
        with self._counting:
            assert self._latest is not None, "closed"
            serving = self._latest
            serving.asked += 1
        try:
            yield serving.server
        finally:
            with self._counting:
                serving.asked -= 1
            self._end_if_over(serving)

    def _end_if_over(self, serving: _Serving) -> None:
        with self._counting:
            is_over = not serving.busy and not serving.asked and serving is not self._latest
        if is_over:
            serving.server.close()

    def close(self) -> None:
        """End the server. No request is in progress."""
        with self._changing:
            last, self._latest = self._latest, None
            if self._look:
                self._look.cancel()
        if last:
            last.server.close()

    def shrink(self) -> None:
        """Give slots back that nobody has needed since the last look; look again later where there are more to give."""
        with self._changing:
            self._look = None
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
            self._revive()
            self._grow(self._latest.busy + self._arriving)
        finally:
            with self._counting:
                self._arriving -= 1
        with self._counting:
            self._latest.busy += 1
            self._latest.most_busy = max(self._latest.most_busy, self._latest.busy)
        return self._latest

    def _revive(self) -> None:
        if self._latest and not self._latest.server.is_alive:
            log.warning("llama.cpp's process is gone; another begins")
            self._put(self._begun(1))

    def _grow(self, wanted: int) -> None:
        """Have as many slots as are wanted, fewer where there is no memory for so many."""
        if min(wanted, self._most) <= self.slots or time.monotonic() < self._not_before:
            return
        fewer = [step for step in reversed(STEPS) if self.slots < step < self._step(wanted)]
        for number in (wanted, *fewer):
            if self._replace(number):
                break
            self._not_before = time.monotonic() + AGAIN_SECONDS
        self._look_later()

    def _replace(self, wanted: int) -> bool:
        """Put one for so many requests in the place of the latest; whether there was memory for both meanwhile."""
        try:
            self._put(self._begun(wanted))
        except PeopleError as error:
            log.warning("No more than %d answers at once: %s", self.slots, error)
            return False
        return True

    def _put(self, serving: _Serving) -> None:
        """Have new requests go there; the one before ends with its last."""
        with self._counting:
            before, self._latest = self._latest, serving
        if before:
            self._end_if_over(before)

    def _look_later(self) -> None:
        # One at a time: a look soon after another one would take the pause between them for a quiet minute.
        if self._look is None and self.slots > self._step(1):
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


def shared_length(one: str, other: str) -> int:
    """Characters with which both begin; by halves, since comparing pieces is faster than going through letters."""
    least, most = 0, min(len(one), len(other))
    while least < most:
        middle = (least + most + 1) // 2
        if one[least:middle] == other[least:middle]:
            least = middle
        else:
            most = middle - 1
    return least
