"""GGUF files on llama.cpp, for one machine of any kind."""

from __future__ import annotations

from pathlib import Path

from engine.backends.ggml import TASKS
from engine.backends.protocol import Backend, Runtime
from engine.catalogue.models import Model
from engine.settings import Settings


def _tasks(model: Model, path: Path, settings: Settings) -> frozenset[str]:
    return TASKS if model.runtime == "llamacpp" else frozenset()


def _load(model: Model, path: Path, settings: Settings) -> Backend:
    from engine.backends.ggml.backend import LlamaCppBackend

    return LlamaCppBackend(model, path, settings)


def _install(model: Model, path: Path, settings: Settings) -> list[str]:
    if model.runtime == "llamacpp" and model.source.carrier:
        from engine.backends.ggml import adapters

        return adapters.missing_copy(path)
    from engine.backends.ggml.requantization import missing_copy

    return missing_copy(model, path, settings)


RUNTIME = Runtime("llamacpp", 20, _tasks, _load, _install, imports=("engine.backends.ggml.backend",))
