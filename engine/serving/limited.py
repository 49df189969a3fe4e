"""Around an engine, for pages and API alike: visitors of a public site have their limits, and hosts may pause them."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import lru_cache

from engine.errors import NotReadyError
from engine.requests import Event, Request
from engine.serving.allowances import Allowances
from engine.serving.protocol import Caller, Engine
from engine.serving.wrapper import Wrapper
from engine.settings import Settings
from engine.storage.hosting import Hosting

PAUSED = "paused"
"""The switch with which a host has everybody wait: all visitors of a public site, elsewhere all."""
MAX_KNOWN = 10_000
"""Things asked lately that are remembered, so that one that takes several requests of the engine counts once."""


@dataclass
class _Meter:
    """What one call used."""

    tokens: int = 0
    began: float = 0.0
    said: int = 0
    """Tokens of an answer that has not ended yet."""

    def note(self, event: Event) -> None:
        if event.kind == "loading" or (event.kind == "queued" and event.position):
            return
        self.began = self.began or time.monotonic()
        if event.kind == "text":
            self.said += 1
        elif event.kind == "done":
            result = event.result
            used = int(getattr(result, "prompt_tokens", 0)) + int(getattr(result, "new_tokens", 0))
            self.tokens += 0 if getattr(result, "is_repeated", False) else used
            self.said = 0

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began if self.began else 0.0


class Limited(Wrapper):
    """Refuses what is over a limit before it begins; what has begun is carried to its end, and counted."""

    def __init__(self, inner: Engine, hosting: Hosting) -> None:
        super().__init__(inner)
        self.allowances, self.hosting = Allowances(hosting.storage, inner), hosting
        self._known: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def settings(self) -> Settings:
        """With a public site's caps on length and rows."""
        return _capped(self.inner.settings)

    def stream_all(
        self, model_id: str, requests: Sequence[Request], caller: Caller, *, deadline_seconds: float | None = None
    ) -> Iterator[tuple[int, Event]]:
        """As the engine inside. Raises LimitError where an allowance is used up."""
        self._check_pause(caller)
        if not self.allowances.is_limited(caller):
            yield from self._inner(model_id, requests, caller, deadline_seconds)
            return
        self._enter(caller)
        meter = _Meter()
        try:
            for index, event in self._inner(model_id, requests, caller, deadline_seconds):
                meter.note(event)
                yield index, event
        finally:
            self.allowances.note(caller, "tokens", meter.tokens + meter.said)
            self.allowances.note(caller, "seconds", meter.seconds)

    def load(self, model_id: str, caller: Caller) -> None:
        """See the protocol; nothing is loaded for those whom the host has wait."""
        self._check_pause(caller)
        self.inner.load(model_id, caller)

    def _check_pause(self, caller: Caller) -> None:
        if self.hosting.is_on(PAUSED) and not (caller.role == "host" and self.inner.settings.is_public):
            raise NotReadyError("Whoever runs this server has paused it. Come back later.", retry_seconds=300)

    def _inner(
        self, model_id: str, requests: Sequence[Request], caller: Caller, deadline_seconds: float | None
    ) -> Iterator[tuple[int, Event]]:
        items = self.inner.stream_all(model_id, requests, caller, deadline_seconds=deadline_seconds)
        with closing(items):  # type: ignore[type-var]
            yield from items

    def _enter(self, caller: Caller) -> None:
        with self._lock:
            if caller.call and caller.call in self._known:
                return
        self.allowances.check(caller, "tokens")
        self.allowances.check(caller, "seconds")
        self.allowances.take(caller, "requests")
        with self._lock:
            self._known[caller.call] = None
            if len(self._known) > MAX_KNOWN:
                self._known.popitem(last=False)


@lru_cache(maxsize=8)
def _capped(settings: Settings) -> Settings:
    if not settings.is_public:
        return settings
    return replace(
        settings,
        max_text_characters=min(settings.max_text_characters, settings.public_text_characters),
        max_rows=min(settings.max_rows, settings.public_rows),
        file_rows=min(settings.file_rows, settings.public_file_rows),
        file_bytes=min(settings.file_bytes, settings.public_file_bytes),
    )
