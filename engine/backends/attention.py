"""What runtimes that can be looked into share: how long a text may be, and attention as a result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from engine.errors import InputError, TooLargeError, not_between
from engine.inspections import HABITS, MOST_TOKENS, Attention, Kind, Origin, Piece, pack

AXES = ("layer", "head", "habit")


def check_some(ids: Sequence[int], param: str) -> None:
    """Raise InputError for a text without tokens."""
    if not ids:
        raise InputError("{field} is empty. Type some text first.", param=param, field=param)


def check_short(ids: Sequence[int], param: str, most: int = MOST_TOKENS) -> None:
    """Raise TooLargeError for a text with too many tokens to be looked into."""
    if len(ids) > most:
        raise TooLargeError(
            "{field} has {tokens:,} tokens; at most {limit:,} can be looked into. Shorten it.",
            param=param, field=param, tokens=len(ids), limit=most,
        )  # fmt: skip


def attention(
    rows: tuple[Piece, ...], columns: tuple[Piece, ...], layers: Any, layer: int, origin: Origin
) -> Attention:
    """The result of weights (layer, head, row, column), of which layer -1 is the last. Raises InputError for a layer
    that is not there."""
    if not -1 <= layer < len(layers):
        raise not_between("layer", -1, len(layers) - 1)
    layer %= len(layers)
    kind: Kind = "cross" if columns is not rows else "both ways" if np.triu(layers, 1).any() else "causal"
    weights = pack(layers[layer], ("head", "row", "column"), "float16")
    return Attention(kind, rows, columns, layer, len(layers), weights, pack(_habits(layers), AXES), origin)


def _habits(layers: Any) -> Any:
    """Means over rows of each head, in the order of HABITS."""
    own = np.diagonal(layers, axis1=-2, axis2=-1)
    before = np.diagonal(layers, -1, axis1=-2, axis2=-1)
    entropy = -(layers * np.log(np.maximum(layers, 1e-12))).sum(-1)
    rows = layers.shape[-2]
    means = (layers[..., 0].mean(-1), own.sum(-1) / rows, before.sum(-1) / max(1, rows - 1), np.exp(entropy.mean(-1)))
    assert len(means) == len(HABITS)
    return np.stack(means, -1)
