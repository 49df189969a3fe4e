"""A low-rank adapter on a GGUF model: where its base lies, and the file in which llama.cpp reads it, made once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from engine.backends.ggml.writing import adapter_to_gguf
from engine.catalogue.cache import Cache, noted_digests
from engine.catalogue.copies import Copy, command
from engine.errors import InputError
from engine.jobs import process

if TYPE_CHECKING:
    from engine.catalogue.models import Model
    from engine.settings import Settings

FILE = "adapter.gguf"


def opened(model: Model, path: Path, settings: Settings) -> tuple[Path, list[Path]]:
    """The GGUF file of a model, and the adapters on it: of an adapter alone, in peft's format in the folder `path`, its
    base's file and itself. Raises InputError where it cannot be made into what llama.cpp reads."""
    if not model.source.carrier:
        return path, []
    base = Cache(settings.cache_folder).whole(model.source.carrier)
    file = next((name for name in noted_digests(base) if name.endswith(".gguf")), "weights.gguf")
    if COPY.checked(path) is None:
        process.start(process.python(*command(__name__, path))).wait()  # reading it takes libraries that stay
    copy = COPY.find(path)
    if copy is None:
        raise InputError(
            "{model} could not be made ready for llama.cpp. Free disk space, or restore its folder, then try again.",
            param="model", model=model.title,
        )  # fmt: skip
    return base / file, [copy / FILE]


def missing_copy(path: Path) -> list[str]:
    """The command that makes what llama.cpp reads of an adapter; none where it is there."""
    return [] if COPY.find(path) else command(__name__, path)


def _facts(folder: Path) -> dict[str, list[int]]:
    files = [*folder.glob("*.json"), *folder.glob("*.safetensors")]
    return {file.name: [file.stat().st_size, int(file.stat().st_mtime)] for file in sorted(files)}


COPY = Copy("llama_adapter", lambda folder, target: adapter_to_gguf(folder, folder, target / FILE), _facts)  # type: ignore[arg-type]
