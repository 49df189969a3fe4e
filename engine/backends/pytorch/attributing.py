"""Why one answer and not another: integrated gradients (Sundararajan et al. 2017) and occlusion, token by token.

Written out, since the library for it, captum, wants matplotlib; the sum of the parts tells whether they are right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from engine.errors import InputError

STEPS = (8, 16, 32, 64)
"""Points on the way from the baseline, twice as many until the sum is right; a point is a pass forth and back."""
GOOD = 0.02
"""Share of the change that the sum may be off."""


class Question(NamedTuple):
    """A text as vectors, those of a text without content, and the difference of two logits that is asked about."""

    start: Tensor
    baseline: Tensor
    difference: Callable[[Tensor], Tensor]


class Attributed(NamedTuple):
    """Each token's part in the difference, and what they leave unexplained as a share of the change."""

    parts: Any
    error: float
    before: float
    after: float


def integrated(question: Question, told: Callable[[int, int], None]) -> Attributed:
    """Gradients on the straight way from the baseline, by Gauss and Legendre. `told` hears of each point."""
    with torch.inference_mode(False), torch.enable_grad():
        start, baseline = question.start.clone(), question.baseline.clone()
        ends = [float(question.difference(end).detach()) for end in (baseline, start)]
        change = ends[1] - ends[0]
        total = sum(STEPS)
        done = 0
        for count in STEPS:
            slope = torch.zeros_like(start)
            for place, weight in _points(count):
                told(done, total)
                done += 1
                point = (baseline + place * (start - baseline)).requires_grad_()
                slope += weight * torch.autograd.grad(question.difference(point), point)[0]
            parts = (slope * (start - baseline)).sum(-1)
            error = abs(float(parts.sum()) - change) / max(abs(change), 1e-6)
            if error <= GOOD:
                break
    return Attributed(parts.float().cpu().numpy(), error, *ends)


def occluded(question: Question, told: Callable[[int, int], None]) -> Attributed:
    """By how much the difference falls when a token is taken for one without content, each alone."""
    after, before = (float(question.difference(end)) for end in (question.start, question.baseline))
    parts = []
    for place in range(len(question.start)):
        told(place, len(question.start))
        hidden = question.start.clone()
        hidden[place] = question.baseline[place]
        parts.append(after - float(question.difference(hidden)))
    change = after - before
    return Attributed(np.array(parts, np.float32), abs(sum(parts) - change) / max(abs(change), 1e-6), before, after)


def _points(count: int) -> Iterator[tuple[float, float]]:
    """Places between 0 and 1 and their weights."""
    places, weights = np.polynomial.legendre.leggauss(count)
    yield from zip(((places + 1) / 2).tolist(), (weights / 2).tolist(), strict=True)


def question(module: Any, ids: Tensor, neutral: int, special: list[bool], chosen: int, rival: int) -> Question:
    """About a decoder's next token or a classifier's label. Special tokens stay as they are in the baseline."""
    if chosen == rival:
        raise InputError("The two answers are the same. Ask why one and not another.", param="rival")
    table, kept = module.get_input_embeddings(), torch.tensor([special], device=ids.device)
    start = table(ids)[0].detach()
    empty = table(torch.where(kept, ids, torch.full_like(ids, neutral)))[0].detach()

    def difference(vectors: Tensor) -> Tensor:
        logits = module(inputs_embeds=vectors[None]).logits[0]
        last = logits[-1] if logits.dim() == 2 else logits
        return (last[chosen] - last[rival]).float()

    return Question(start, empty, difference)
