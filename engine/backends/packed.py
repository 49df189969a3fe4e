"""Encoders whose weights come packed in four bits, by torch: they embed texts, and are the base of heads."""

from __future__ import annotations

from pathlib import Path

from engine.backends.protocol import Backend, Runtime
from engine.backends.pytorch import TASKS
from engine.catalogue.copies import command
from engine.catalogue.models import Model
from engine.errors import InputError
from engine.settings import Settings

CONVERSION = "engine.backends.e5.conversion"


def _tasks(model: Model, path: Path, settings: Settings) -> frozenset[str]:
    return TASKS[model.architecture] if model.runtime == "packed" else frozenset()


def _load(model: Model, path: Path, settings: Settings) -> Backend:
    from engine.backends.e5.conversion import COPY
    from engine.backends.pytorch.backend import TransformersBackend

    try:
        folder = COPY.made(path)
    except (OSError, ValueError) as error:
        raise InputError(
            "{model} could not be unpacked: {reason}. Free disk space or download it again, then try again.",
            param="model", model=model.title, reason=getattr(error, "strerror", None) or str(error),
        ) from error  # fmt: skip
    return TransformersBackend(model, folder, settings)


def _install(model: Model, path: Path, settings: Settings) -> list[str]:
    if model.runtime != "packed":
        return []
    from engine.backends.e5.conversion import COPY

    return [] if COPY.find(path) else command(CONVERSION, path)


RUNTIME = Runtime("packed", 10, _tasks, _load, _install, libraries=("engine.backends.pytorch.backend",))
