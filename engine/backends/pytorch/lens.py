"""The logit lens of a decoder (nostalgebraist 2020): what it would say after each layer, and how far each moves it.

The vocabulary's product is most of the work. It is done a block of places at a time in the module's own numbers, and
what comes of a block (a float for each word, up to 64 MB) lies in buffers that the next one uses again: fresh memory
of that size costs more than the arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

NORMS = ("norm", "ln_f", "final_layer_norm", "final_layernorm", "final_norm", "norm_f")
"""What the last normalisation is called in decoders."""
CLOSE = 1e-2
"""How near the lens' last layer comes to the model's own logits, in float32, as a share of their spread."""
BLOCK_LOGITS = 2**24
"""Most logits at once."""


class Reading(NamedTuple):
    """The states after the embedding and each layer (token, width), and the model's own logits (token, word)."""

    states: list[Tensor]
    logits: Tensor


def last_norm(module: Any) -> Any:
    """The normalisation before a decoder's output; None where it has none by a known name."""
    inner = getattr(module.base_model, "decoder", module.base_model)
    return next((found for name in NORMS if (found := getattr(inner, name, None)) is not None), None)


def read(module: Any, norm: Any, ids: Tensor) -> Reading:
    """Go through a text (1, token) once."""
    with _kept(norm) as kept:
        output = module(ids, output_hidden_states=True)
    return Reading([*(state[0] for state in output.hidden_states[:-1]), kept[0]], output.logits[0])


@contextmanager
def _kept(norm: Any) -> Iterator[list[Tensor]]:
    """What comes in at the last normalisation: checkpoints tell that state after it."""
    kept: list[Tensor] = []
    handle = norm.register_forward_pre_hook(lambda _, arguments: kept.append(arguments[0][0]))
    try:
        yield kept
    finally:
        handle.remove()


def said(module: Any, norm: Any, state: Tensor) -> Tensor:
    """The logits (token, word) that would come of states."""
    logits: Tensor = module.get_output_embeddings()(norm(state))
    cap = getattr(module.config.get_text_config(), "final_logit_softcapping", None)
    return logits if not cap else torch.tanh(logits / cap) * cap


def is_read_right(module: Any, norm: Any, reading: Reading) -> bool:
    """Whether what is read off the last layer is what the model says; or else the layers before mean nothing either."""
    if reading.logits.dtype != torch.float32:
        return True  # narrower numbers are further apart than that
    own, found = reading.logits[-1], said(module, norm, reading.states[-1][-1:])[0]
    return float((own - found).abs().max()) <= CLOSE * float(own.std())


class Likeliest:
    """The likeliest words of logits, a block of places after the other."""

    def __init__(self, top: int) -> None:
        self._top, self._float, self._shares = top, torch.empty(0), torch.empty(0)

    def after(self, module: Any, norm: Any, state: Tensor) -> tuple[Tensor, Tensor]:
        """Ids and log-probabilities (token, rank) that the states lead to."""
        words = module.config.get_text_config().vocab_size
        return _joined([self._of(said(module, norm, block)) for block in state.split(_places(words))])

    def of(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Ids and log-probabilities (token, rank) of logits (token, word)."""
        return _joined([self._of(block) for block in logits.split(_places(logits.shape[-1]))])

    def _of(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        if self._float.shape != logits.shape:
            self._float, self._shares = (torch.empty_like(logits, dtype=torch.float32) for _ in range(2))
        values, ids = self._float.copy_(logits).topk(min(self._top, logits.shape[-1]))
        shares = torch.softmax(self._float, -1, out=self._shares)
        total = values[:, :1] - shares.gather(1, ids[:, :1]).log()  # the best has at least 1 / vocabulary: never log 0
        return ids, values - total


def _places(words: int) -> int:
    return max(1, BLOCK_LOGITS // words)


def _joined(parts: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])


def changes(states: Sequence[Tensor]) -> Any:
    """How far each layer moves each token's state, as a share of its length before: (layer, token)."""
    moved = [
        ((after - before).float().norm(dim=-1) / before.float().norm(dim=-1).clamp_min(1e-12)).cpu().numpy()
        for before, after in pairwise(states)
    ]
    return np.stack(moved)
