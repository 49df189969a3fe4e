"""Any checkpoint that `transformers` knows, and GGUF files that it can convert, on CPU, CUDA or MPS."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from engine.backends.protocol import Backend, Runtime
from engine.backends.pytorch import TASKS
from engine.catalogue.models import Model
from engine.settings import Settings


def _tasks(model: Model, path: Path, settings: Settings) -> frozenset[str]:
    is_readable = model.runtime == "llamacpp" and not model.source.carrier and find_spec("gguf") is not None
    can_read = model.runtime == "transformers" or is_readable
    return TASKS[model.architecture] if can_read else frozenset()


def _load(model: Model, path: Path, settings: Settings) -> Backend:
    from engine.backends.pytorch.backend import TransformersBackend

    return TransformersBackend(model, path, settings)


RUNTIME = Runtime(
    "transformers", 10, _tasks, _load, is_apart=True, libraries=lambda model: ("engine.backends.pytorch.backend",)
)
