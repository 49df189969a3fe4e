"""Marian students, in plain torch on the CPU: the small translators of Firefox, and those trained from them."""

from __future__ import annotations

from pathlib import Path

from engine.backends.protocol import Backend, Runtime
from engine.catalogue.models import Model
from engine.settings import Settings

TASKS = frozenset(
    {
        "generate", "sample", "top_logprobs", "alternatives", "beginning", "align", "score_translation", "tokenize",
        "attend", "attend_translation", "attribute",
    }
)  # fmt: skip


def _tasks(model: Model, path: Path, settings: Settings) -> frozenset[str]:
    return TASKS if model.runtime == "marian" else frozenset()


def _load(model: Model, path: Path, settings: Settings) -> Backend:
    from engine.backends.marian.backend import StudentBackend

    return StudentBackend(model, path, settings, TASKS)


RUNTIME = Runtime(
    "marian", 20, _tasks, _load, is_apart=True, libraries=lambda model: ("engine.backends.marian.backend",)
)
