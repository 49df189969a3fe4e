"""Encoders whose weights come packed in four bits, by torch: they embed texts, and carry heads that share a table."""

from __future__ import annotations

from pathlib import Path

from engine.backends.protocol import Backend, Runtime
from engine.backends.pytorch import TASKS
from engine.catalogue.cache import Cache
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
        encoder = COPY.made(_file(model, path, settings))
    except (OSError, ValueError) as error:
        raise InputError(
            "{model} could not be unpacked: {reason}. Free disk space or download it again, then try again.",
            param="model", model=model.title, reason=getattr(error, "strerror", None) or str(error),
        ) from error  # fmt: skip
    return TransformersBackend(model, path if path.is_dir() else encoder, settings, base=encoder)


def _install(model: Model, path: Path, settings: Settings) -> list[str]:
    if model.runtime != "packed":
        return []
    from engine.backends.e5.conversion import COPY

    file = _file(model, path, settings)
    return [] if COPY.find(file) else command(CONVERSION, file)


def _file(model: Model, path: Path, settings: Settings) -> Path:
    """The encoder's file: the weights themselves, or those of a head's base."""
    if not model.source.carrier:
        return path
    folder = Cache(settings.cache_folder).whole(model.source.carrier)
    return next(folder.glob("*.bin"), folder / "weights")


RUNTIME = Runtime(
    "packed", 10, _tasks, _load, _install, is_apart=True, libraries=lambda model: ("engine.backends.pytorch.backend",)
)
