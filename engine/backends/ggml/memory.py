"""What a process of llama.cpp needs of memory: how many slots fit, and what is said where none do."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from engine.backends.gguf import Header
from engine.catalogue.models import Model
from engine.errors import MemoryShortError
from engine.settings import Settings, free_memory_bytes
from engine.sizes import size_in_words

GPU_BATCH_TOKENS = 512
SHARE = 0.5
"""Of the memory, which the slots of one model take at most; with one slot a model may take all."""
USUAL_TOKENS = 4 * 4096
"""Of the slots that a model begins with, which the catalogue's figures count."""
PROCESS_BYTES = 64 * 2**20
"""Of a process with Python and llama.cpp, besides what its model takes."""


def needed_bytes(header: Header, context_tokens: int, slots: int) -> int:
    """Memory of a process with the weights, the attention cache of all slots, and one batch of logits."""
    logits = GPU_BATCH_TOKENS * 4 * header.vocabulary_size // 8
    return PROCESS_BYTES + header.size_bytes + header.cache_bytes(context_tokens, slots) + logits


def fitted(model: Model, settings: Settings, base_bytes: int = 0) -> Model:
    """The model with the memory that it needs where these settings give it fewer or shorter slots than usual;
    `base_bytes` are of the weights that an adapter is put on."""
    share = settings.slots * settings.context_tokens / USUAL_TOKENS
    fixed = model.size_bytes + base_bytes + 2 * PROCESS_BYTES
    if model.runtime != "llamacpp" or share >= 1 or model.memory_bytes <= fixed:
        return model
    return replace(model, memory_bytes=fixed + int(share * (model.memory_bytes - fixed)))


def fitting_slots(header: Header, context_tokens: int, settings: Settings) -> int:
    """`settings.slots`, halved until all of them take at most a part of the memory: other models want some too."""
    slots = settings.slots
    limit = SHARE * min(settings.memory_bytes or math.inf, free_memory_bytes())
    while slots > 1 and needed_bytes(header, context_tokens, slots) > limit:
        slots //= 2
    return slots


def refusal_of(title: str, needed: int, settings: Settings) -> Callable[[int], MemoryShortError]:
    """The error for a person where a process with the model does not fit into the free memory."""
    return lambda free: MemoryShortError(
        "{title} needs {needed} for one answer of {tokens:,} tokens, and {free} are there. "
        "Lower PARLANCE_CONTEXT_TOKENS, unload another model, or choose a smaller one.",
        param="model",
        title=title,
        needed=size_in_words(needed),
        tokens=settings.context_tokens,
        free=size_in_words(free),
    )
