"""Encoder-decoders (greedy answers), classifiers and readers on the CPU, from an int8 copy of the weights."""

from __future__ import annotations

from pathlib import Path

from engine.backends.ct2 import conversion
from engine.backends.protocol import Backend, Runtime
from engine.catalogue.models import Model
from engine.settings import Settings


def _load(model: Model, path: Path, settings: Settings) -> Backend:
    if "generate" in conversion.TASKS[model.architecture]:
        from engine.backends.ct2.decoders import CTranslate2Decoder

        return CTranslate2Decoder(model, path, settings)
    from engine.backends.ct2.encoders import CTranslate2Encoder

    return CTranslate2Encoder(model, path, settings)


def _libraries(model: Model) -> tuple[str, ...]:
    """Encoders do without torch."""
    is_decoder = "generate" in conversion.TASKS[model.architecture]
    return ("engine.backends.ct2.decoders",) if is_decoder else ("engine.backends.ct2.encoders",)


RUNTIME = Runtime(
    "ctranslate2",
    30,
    conversion.tasks_of_copy,
    _load,
    conversion.missing_copy,
    is_apart=True,
    imports=("engine.backends.ct2.encoders",),
    libraries=_libraries,
)
