"""What a module computes of a padded batch for each task but writing: arrays as `encoding.Ability` wants them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from engine.backends.aligning import DEPTH
from engine.backends.encoding import Array

Inputs = dict[str, torch.Tensor]
"""`input_ids` and `attention_mask` (rows, tokens), padded on the right, and where the module takes them the types."""
LOGITS = 2**25
"""Most logits that a decoder computes at once to score texts; a vocabulary may have 262,144 tokens."""


def _classify(module: Any, inputs: Inputs, mask_id: int) -> list[Array]:
    return list(_numpy(module(**inputs).logits))


def _embed(module: Any, inputs: Inputs, mask_id: int) -> list[Array]:
    """Sum over the tokens of a row: the mean of several rows weighs each token alike, and the norm goes anyway."""
    states = module.base_model(**inputs).last_hidden_state.float() * inputs["attention_mask"][..., None]
    return list(_numpy(states.sum(1)))


def _align(module: Any, inputs: Inputs, mask_id: int) -> list[Array]:
    """States in the middle of the encoder; see `aligning`."""
    states = module.base_model(**inputs, output_hidden_states=True).hidden_states
    rows = _numpy(states[round(DEPTH * (len(states) - 1))])
    return [row[:length] for row, length in zip(rows, _lengths(inputs), strict=True)]


def _extract(module: Any, inputs: Inputs, mask_id: int) -> list[Array]:
    output = module(**inputs)
    both = _numpy(torch.stack([output.start_logits, output.end_logits], 1))
    return [row[:, :length] for row, length in zip(both, _lengths(inputs), strict=True)]


def _fill(module: Any, inputs: Inputs, mask_id: int) -> list[Array]:
    places = inputs["input_ids"] == mask_id
    return [_numpy(row[place]) for row, place in zip(module(**inputs).logits, places, strict=True)]


def _score(module: Any, inputs: Inputs, mask_id: int) -> list[Array]:
    """Log-probability of each token but the first. What stands on the right of a token has no part in it."""
    ids = inputs["input_ids"]
    width = max(1, LOGITS // (len(ids) * module.config.get_text_config().vocab_size))
    width = width if accepts(module, "past_key_values") else ids.shape[1]
    cache, found = None, [ids.new_zeros(len(ids), 0).float()]
    for start in range(0, ids.shape[1] - 1, width):
        options: dict[str, Any] = {"past_key_values": cache} if cache is not None else {}
        output = module(input_ids=ids[:, start : start + width], use_cache=True, **options)
        cache = getattr(output, "past_key_values", None)
        targets = ids[:, start + 1 : start + width + 1, None]
        logits = output.logits[:, : targets.shape[1]].float()
        found.append((logits.gather(2, targets) - logits.logsumexp(2, keepdim=True))[..., 0])
    rows = _numpy(torch.cat(found, 1))
    return [row[: length - 1] for row, length in zip(rows, _lengths(inputs), strict=True)]


FORWARDS: dict[str, Callable[[Any, Inputs, int], list[Array]]] = {
    "align_texts": _align,
    "classify": _classify,
    "embed": _embed,
    "extract": _extract,
    "fill": _fill,
    "score": _score,
}


def accepts(module: Any, name: str) -> bool:
    """Whether the module's forward pass takes an argument of that name."""
    return name in inspect.signature(module.forward).parameters


def _lengths(inputs: Inputs) -> list[int]:
    return [int(length) for length in inputs["attention_mask"].sum(1)]


def _numpy(tensor: torch.Tensor) -> Array:
    return np.asarray(tensor.float().cpu().numpy())
