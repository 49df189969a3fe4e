"""Attention that a runtime tells, as a result: one layer's weights, and each head's habits."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.errors import InputError
from engine.inspections import HABITS, Attention, Kind, Origin, Piece, pack

AXES = ("layer", "head", "habit")


def attention(
    rows: tuple[Piece, ...], columns: tuple[Piece, ...], layers: Any, layer: int, origin: Origin
) -> Attention:
    """The result of weights (layer, head, row, column). Raises InputError for a layer that is not there."""
    if not 0 <= layer < len(layers):
        raise InputError(
            "{field} takes a number from {low} to {high}.", param="layer", field="layer", low=0, high=len(layers) - 1
        )
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
