"""Greedy answers of encoder-decoders on the CPU, from an int8 copy of the weights."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from engine.backends.ct2 import conversion
from engine.backends.protocol import Backend, Runtime
from engine.catalogue.models import Model
from engine.settings import Settings

TASKS = {"seq2seq": frozenset({"generate"})}


def _load(model: Model, path: Path, settings: Settings) -> Backend:
    from engine.backends.ct2.decoders import CTranslate2Decoder

    return CTranslate2Decoder(model, path, settings)


RUNTIME = Runtime(
    "ctranslate2-decoders",
    30,
    partial(conversion.tasks_of_copy, TASKS),
    _load,
    partial(conversion.missing_copy, TASKS),
)
