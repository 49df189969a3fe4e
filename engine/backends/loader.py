"""Which runtime serves a model, and the one place that loads it."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from engine.backends.protocol import Backend
from engine.catalogue.models import Model
from engine.settings import Settings


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
