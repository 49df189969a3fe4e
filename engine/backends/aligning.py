"""Which tokens of a translation say what tokens of its source do, by a multilingual encoder that nobody taught it.

After SimAlign (Jalili Sabet et al. 2020): cosines of states from the middle of the encoder, which tell meaning better
than the last ones; and awesome-align (Dou & Neubig 2021): softmaxes both ways, whose product is high where two choose
each other. Of 60 sentences of FLORES dev that the Firefox student translated into Portuguese, the word of the source is
the student's own for 88 % of the words, and for 95 % of those of four letters and more (`python -m
benchmarks.alignments`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engine.requests import Alignment, Scoring, Token

Array = NDArray[np.float32]
DEPTH = 0.6
"""Of the encoder's layers: the seventh of twelve was best, the last agreed with a tenth fewer words."""
TEMPERATURE = 0.1
"""Of cosines."""
Side = tuple[Sequence[int], Sequence[tuple[int, int]], Array]
"""Ids of a text's tokens, where each lies in it, and their states (tokens, hidden)."""


def aligned(text: str, source: str, target_side: Side, source_side: Side) -> Scoring:
    """The text's tokens, which joined are the text, and how each shares itself among those of the source."""
    ids, spans, kept = _visible(text, target_side)
    _, source_spans, source_kept = _visible(source, source_side)
    shares = _shares(target_side[2][kept], source_side[2][source_kept])
    tokens, rows, end = list[Token](), list[tuple[float, ...]](), 0
    for place, (id, (_, stop)) in enumerate(zip(ids, spans, strict=True)):
        tokens.append(Token(text[end:stop], id))
        rows.append((*shares[place].tolist(), 0.0))
        end = stop
    if tokens and end < len(text):
        tokens[-1] = Token(tokens[-1].text + text[end:], tokens[-1].id)
    return Scoring(tuple(tokens), Alignment(tuple(source_spans), tuple(rows)))


def _visible(text: str, side: Side) -> tuple[list[int], list[tuple[int, int]], list[int]]:
    """Tokens that stand for letters of the text, in their order and without overlaps, and their numbers."""
    ids, spans, end = [], [], 0
    kept = []
    for number, (id, (start, stop)) in enumerate(zip(side[0], side[1], strict=True)):
        start = max(start, end)
        if text[start:stop].strip():
            ids.append(id)
            spans.append((start, stop))
            kept.append(number)
            end = stop
    return ids, spans, kept


def _shares(target: Array, source: Array) -> NDArray[np.float64]:
    """(target tokens, source tokens), each row adding up to 1; what all tokens have in common is taken off before."""
    if not len(target) or not len(source):
        return np.zeros((len(target), len(source)))
    common = (target.mean(0) + source.mean(0)) / 2
    cosines = (_unit(target - common) @ _unit(source - common).T).astype(np.float64) / TEMPERATURE
    powers = np.exp(cosines - cosines.max())
    both = powers / powers.sum(1, keepdims=True) * (powers / powers.sum(0, keepdims=True))
    shares: NDArray[np.float64] = both / both.sum(1, keepdims=True)
    return shares


def _unit(rows: Array) -> Array:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12))
