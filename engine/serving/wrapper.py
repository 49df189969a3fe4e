"""What every engine has in common, and what an engine around another one is made from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import closing

from engine.catalogue.models import Catalogue
from engine.requests import Event, Request, Result
from engine.serving.protocol import Caller, Engine, EngineStatus
from engine.settings import Settings


class Streaming(ABC):
    """`stream` and `run` of an engine that has `stream_all`."""

    @abstractmethod
    def stream_all(
        self, model_id: str, requests: Sequence[Request], caller: Caller, *, deadline_seconds: float | None = None
    ) -> Iterator[tuple[int, Event]]:
        """See `Engine`."""

    def stream(
        self, model_id: str, request: Request, caller: Caller, *, deadline_seconds: float | None = None
    ) -> Iterator[Event]:
        """See `Engine`."""
        items = self.stream_all(model_id, [request], caller, deadline_seconds=deadline_seconds)
        with closing(items):  # type: ignore[type-var]
            for _, event in items:
                yield event

    def run(
        self, model_id: str, requests: Sequence[Request], caller: Caller, *, deadline_seconds: float | None = None
    ) -> list[Result]:
        """See `Engine`; similar lengths are put beside each other, to share a batch."""
        order = sorted(range(len(requests)), key=lambda index: _length(requests[index]))
        alike = [requests[index] for index in order]
        items = self.stream_all(model_id, alike, caller, deadline_seconds=deadline_seconds)
        results = {order[place]: event.result for place, event in items if event.kind == "done"}
        return [results[index] for index in range(len(requests))]


class Wrapper(Streaming):
    """An engine around another: a subclass changes what it is there for and passes on the rest."""

    def __init__(self, inner: Engine) -> None:
        self.inner = inner

    @property
    def settings(self) -> Settings:
        return self.inner.settings

    @property
    def catalogue(self) -> Catalogue:
        return self.inner.catalogue

    def stream_all(
        self, model_id: str, requests: Sequence[Request], caller: Caller, *, deadline_seconds: float | None = None
    ) -> Iterator[tuple[int, Event]]:
        return self.inner.stream_all(model_id, requests, caller, deadline_seconds=deadline_seconds)

    def load(self, model_id: str, caller: Caller) -> None:
        self.inner.load(model_id, caller)

    def unload(self, model_id: str, caller: Caller) -> None:
        self.inner.unload(model_id, caller)

    def weights(self, model_id: str) -> str | None:
        return self.inner.weights(model_id)

    def count_tokens(self, model_id: str, text: str) -> int | None:
        return self.inner.count_tokens(model_id, text)

    def is_loaded(self, model_id: str) -> bool:
        return self.inner.is_loaded(model_id)

    @property
    def is_busy(self) -> bool:
        return self.inner.is_busy

    def status(self) -> EngineStatus:
        return self.inner.status()

    def close(self) -> None:
        self.inner.close()


def _length(request: Request) -> int:
    """Characters of the input."""
    return sum(len(getattr(request, name, "")) for name in ("text", "prompt", "passage"))
