"""The one protocol behind which every runtime stands, and the one place that picks a runtime for a model.

A backend is a loaded model. It decides nothing about queues, memory or people: `core` hands it jobs, it works on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from engine.requests import Request, Result, Token

if TYPE_CHECKING:
    from engine.catalogue import Model
    from engine.settings import Settings


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


def warm_up() -> None:
    """Import what the embedded models need, which takes a second, before anybody waits for it. No weights are read."""
    for name in ("llamacpp", "ctranslate2_encoder"):
        import_module(f"engine.backends.{name}")


def load(model: Model, path: Path, settings: Settings) -> Backend:
    """Load the weights at `path` (a GGUF file or a folder). Raises PeopleError when they cannot be used."""
    from engine.backends.memory import give_freed_memory_back

    backend = _load(model, path, settings)
    give_freed_memory_back()
    return backend


def _load(model: Model, path: Path, settings: Settings) -> Backend:
    if model.runtime == "llamacpp":
        from engine.backends.llamacpp import LlamaCppBackend

        return LlamaCppBackend(model, path, settings)
    from engine.backends.ctranslate2_conversion import can_convert

    if can_convert(model.architecture, path, settings):
        if model.architecture == "seq2seq":
            from engine.backends.ctranslate2 import CTranslate2Backend

            return CTranslate2Backend(model, path, settings)
        from engine.backends.ctranslate2_encoder import load_encoder

        if (encoder := load_encoder(model, path, settings)) is not None:
            return encoder
    from engine.backends.transformers import TransformersBackend

    return TransformersBackend(model, path, settings)
