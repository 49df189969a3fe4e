"""What a runtime is: one `Runtime` value for each, and the one protocol behind which their loaded models stand.

A backend is a loaded model. It decides nothing about queues, memory or people: a worker hands it jobs, it does them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from engine.requests import Request, Result, Token

if TYPE_CHECKING:
    from engine.catalogue.models import Model
    from engine.settings import Settings


class DamagedCopyError(Exception):
    """The copy of the weights that a runtime reads is damaged. It was given up, so that another runtime answers."""


class Job(Protocol):
    """One request as a backend sees it."""

    @property
    def request(self) -> Request: ...

    @property
    def is_cancelled(self) -> bool:
        """True once nobody waits for it any more or its deadline passed: stop within one decoding step."""

    @property
    def visitor(self) -> str:
        """Whose it is, for turns; says nothing about a person."""

    @property
    def circle(self) -> str | None:
        """For whose work this one's may be reused (`Caller.circle`), as a prompt's beginning is; None for nobody's."""

    def emit(self, text: str, token: Token | None = None) -> None:
        """Hand on new text of a generation as soon as it is there."""

    def finish(self, result: Result) -> None:
        """The job is done. For a cancelled generation the text so far, with that finish reason."""

    def fail(self, error: Exception) -> None:
        """The job cannot be done; a PeopleError reaches the person in its own words."""


class Backend(Protocol):
    """A loaded model."""

    tasks: frozenset[str]
    """What it can: requests whose `requests.needs` are all among these."""
    concurrency: int
    """How many `run` calls may be in progress at once, each from a thread of its own."""
    batch: int
    """How many jobs of the same task one `run` takes at most."""
    device: str
    dtype: str
    context_tokens: int
    """Longest input plus output, in tokens."""

    @property
    def memory_bytes(self) -> int:
        """Memory it holds, with its share of what several hold together."""

    def run(self, jobs: Sequence[Job]) -> None:
        """Work on jobs of one task until each is finished or failed. Never raises for one job's fault.

        A MemoryShortError may be raised before any job was finished: the caller then retries with fewer.
        """

    def count_tokens(self, text: str) -> int:
        """Tokens of the text, from any thread."""

    def close(self) -> None:
        """Free the memory. No `run` is in progress."""


def no_command(model: Model, path: Path, settings: Settings) -> list[str]:
    """For a runtime that reads the weights as they come."""
    return []


@dataclass(frozen=True)
class Runtime:
    """One way to serve models; a module of `backends/` or of the host's own names it `RUNTIME`.

    That module is light, since all are imported to ask which serves a model: large libraries are imported in `load`.
    """

    id: str
    speed: int
    """Of two that can do a request, the one with the higher number does it."""
    tasks: Callable[[Model, Path, Settings], frozenset[str]]
    """What it can do now with the weights at a path, as `Backend.tasks`; nothing where it cannot serve them (yet)."""
    load: Callable[[Model, Path, Settings], Backend]
    """Read the weights at a path (a GGUF file or a folder). Raises PeopleError, or DamagedCopyError."""
    install: Callable[[Model, Path, Settings], list[str]] = no_command
    """The module, with its arguments, that makes the copy which this runtime needs and has not got; none where it has.

    The copy appears whole or not at all, and SIGTERM leaves nothing behind. Meanwhile other runtimes serve."""
    is_apart: bool = False
    """Whether it computes step by step in Python, so that it works in a process of its own where there is one: its
    backends' `run`, `count_tokens` and attributes are all that is asked there."""
    imports: tuple[str, ...] = ()
    """Modules that take long to import, of a runtime that embedded models use: imported before anybody waits."""
    libraries: Callable[[Model], tuple[str, ...]] = lambda model: ()
    """Modules that `load` imports for a model: imported before it, since what they take is no model's memory."""
