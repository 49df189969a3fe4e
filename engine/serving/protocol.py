"""What an engine is to those who ask it: one protocol, whether it works here, wraps another or stands elsewhere.

Every call carries its Caller. The store of weights stands beside an engine, since one elsewhere has none here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from engine.catalogue.models import Catalogue
from engine.requests import Event, Request, Result
from engine.settings import Settings

Role = Literal["host", "member", "visitor"]
Priority = Literal["normal", "low"]
State = Literal["loading", "ready", "failed", "closed"]


@dataclass(frozen=True)
class Caller:
    """Who asks. What a role may do is `access`'s to say; work of low priority lets everybody else's go first."""

    id: str = ""
    """Tells callers apart, for turns and limits; says nothing about a person."""
    role: Role = "visitor"
    priority: Priority = "normal"
    grants: frozenset[str] = frozenset()
    """What the host lets this one do beyond what its role may."""
    address: str = ""
    """Where the request came from, for limits; empty for this machine's own pages."""
    call: str = ""
    """Tells one thing asked from the next, which may take several requests of the engine."""

    @property
    def circle(self) -> str | None:
        """Whose work may be reused for this one, since how quickly an answer comes tells of it: hosts share theirs, a
        visitor has only its own, and one without a name (None) not even that."""
        return "host" if self.role == "host" else f"visitor {self.id}" if self.id else None


@dataclass(frozen=True)
class ModelStatus:
    """A model in memory with one runtime, or on its way there.

    Times in seconds, medians of the last twenty; None before the first.
    """

    id: str
    title: str
    runtime: str
    state: State
    memory_bytes: int
    device: str
    dtype: str
    queued: int
    running: int
    requests: int
    tokens_per_second: float | None
    first_token_seconds: float | None
    measured_bytes: int | None = None
    """What it really takes in memory, where that could be measured; `memory_bytes` is what is set aside for it."""


@dataclass(frozen=True)
class EngineStatus:
    """The engine at one moment; sizes in bytes."""

    device: str
    budget_bytes: int
    used_bytes: int
    models: tuple[ModelStatus, ...]


class Engine(Protocol):
    """Streams answers of models. A generator cancels its requests when it is closed, within one decoding step."""

    @property
    def settings(self) -> Settings: ...

    @property
    def catalogue(self) -> Catalogue: ...

    def stream(
        self, model_id: str, request: Request, caller: Caller, *, deadline_seconds: float | None = None
    ) -> Iterator[Event]:
        """Work on one request; yields events, "done" last.

        Nothing is submitted before the first `next`. While the request waits, "queued" or "loading" comes several
        times a second; position 0 means that it is being worked on and has no text yet.
        Raises a PeopleError: unknown or missing model, full queue, short memory, passed deadline, bad input.
        """

    def stream_all(
        self, model_id: str, requests: Sequence[Request], caller: Caller, *, deadline_seconds: float | None = None
    ) -> Iterator[tuple[int, Event]]:
        """Work on many requests at once and yield (index, event) in the order given, one request after the other.

        Later ones run meanwhile, as far as the model has slots. Raises as `stream`; closing cancels all.
        """

    def run(
        self, model_id: str, requests: Sequence[Request], caller: Caller, *, deadline_seconds: float | None = None
    ) -> list[Result]:
        """Work on many requests at once, in batches or slots as the backend has them; results in the order given."""

    def load(self, model_id: str, caller: Caller) -> None:
        """Begin to load a model before anybody asks for it; returns at once."""

    def unload(self, model_id: str, caller: Caller) -> None:
        """Free an idle model's memory. Raises ConflictError while somebody's work is on it, or for who may not."""

    def weights(self, model_id: str) -> str | None:
        """Which weights answer for the model now, so that what they said can be kept; None where nobody knows."""

    def count_tokens(self, model_id: str, text: str) -> int | None:
        """Tokens of the text for that model, or None while it is not loaded."""

    def is_loaded(self, model_id: str) -> bool:
        """Whether the model is in memory or being read into it."""

    @property
    def is_busy(self) -> bool:
        """Whether any model is at work, wanted or being loaded."""

    def status(self) -> EngineStatus:
        """What is loaded and how it does."""

    def close(self) -> None:
        """Cancel everything and free all models."""
