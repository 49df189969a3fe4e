"""What a runtime is: the one protocol behind which all of them stand.

A backend is a loaded model. It decides nothing about queues, memory or people: a worker hands it jobs, it does them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from engine.requests import Request, Result, Token


class Job(Protocol):
    """One request as a backend sees it."""

    @property
    def request(self) -> Request: ...

    @property
    def is_cancelled(self) -> bool:
        """True once nobody waits for it any more or its deadline passed: stop within one decoding step."""

    def emit(self, text: str, token: Token | None = None) -> None:
        """Hand on new text of a generation as soon as it is there."""

    def finish(self, result: Result) -> None:
        """The job is done. For a cancelled generation the text so far, with that finish reason."""

    def fail(self, error: Exception) -> None:
        """The job cannot be done; a PeopleError reaches the person in its own words."""


class Backend(Protocol):
    """A loaded model."""

    lanes: int
    """How many `run` calls may be in progress at once, each from a thread of its own."""
    batch: int
    """How many jobs of the same task one `run` takes at most."""
    memory_bytes: int
    """Memory it holds."""
    device: str
    dtype: str
    context_tokens: int
    """Longest input plus output, in tokens."""

    def run(self, jobs: Sequence[Job]) -> None:
        """Work on jobs of one task until each is finished or failed. Never raises for one job's fault.

        A MemoryShortError may be raised before any job was finished: the caller then retries with fewer.
        """

    def count_tokens(self, text: str) -> int:
        """Tokens of the text, from any thread."""

    def close(self) -> None:
        """Free the memory. No `run` is in progress."""
