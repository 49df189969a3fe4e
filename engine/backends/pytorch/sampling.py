"""The next token of each row: penalties, temperature, top-k, top-p, min-p, and random numbers of its own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from engine.requests import Sampling

NUCLEUS = 1024
"""Tokens among which top-p is tried first: sorting a whole vocabulary costs more than a small model's step."""


def penalise(logits: Tensor, seen: Sequence[int], penalty: float) -> Tensor:
    """Logits (vocabulary,) in which tokens seen before are less likely (Keskar et al. 2019, section 4.1)."""
    ids = torch.tensor(sorted(set(seen)), device=logits.device)
    values = logits[ids]
    return logits.index_copy(0, ids, torch.where(values < 0, values * penalty, values / penalty))


def count_against(logits: Tensor, seen: Sequence[int], sampling: Sampling) -> Tensor:
    """Logits (vocabulary,) less a share for each token seen, and one for each time that it was (OpenAI's penalties)."""
    ids, counts = torch.tensor(seen, device=logits.device).unique(return_counts=True)
    less = sampling.presence_penalty + sampling.frequency_penalty * counts
    return logits.index_add(0, ids, -less.to(logits.dtype))


def filtered(logits: Tensor, sampling: Sampling) -> tuple[Tensor, Tensor | None]:
    """Probabilities (n,) that add up to at most 1, and the ids that they belong to; None for all in their order."""
    scores = logits.double() / sampling.temperature
    values, ids = _candidates(scores, sampling)
    probabilities = (values - (values if sampling.top_k else scores).logsumexp(0)).exp()
    if sampling.top_p < 1:
        before = probabilities.cumsum(0) - probabilities
        probabilities = probabilities.where(before < sampling.top_p, 0.0)
    if sampling.min_p > 0:
        probabilities = probabilities.where(probabilities >= sampling.min_p * probabilities.max(), 0.0)
    return probabilities, ids


def _candidates(scores: Tensor, sampling: Sampling) -> tuple[Tensor, Tensor | None]:
    if sampling.top_k:
        best = scores.topk(min(sampling.top_k, len(scores)))
        return best.values, best.indices
    if sampling.top_p >= 1:
        return scores, None
    values, ids = scores.topk(min(NUCLEUS, len(scores)))
    if (values - scores.logsumexp(0)).exp().sum() >= sampling.top_p:
        return values, ids
    ranked = scores.sort(descending=True)
    return ranked.values, ranked.indices


def draw(logits: Tensor, sampling: Sampling, generator: torch.Generator) -> int:
    """One token from logits (vocabulary,) on the CPU, with one number of the row's generator.

    The same seed and the same logits give the same token, whoever else is in the batch.
    """
    return drawn_by(logits, sampling, torch.rand(1, generator=generator, dtype=torch.float64))[0]


def drawn_by(logits: Tensor, sampling: Sampling, numbers: Tensor) -> list[int]:
    """For each number from 0 to 1 the token on which it falls."""
    if sampling.temperature == 0:
        return [int(logits.argmax())] * len(numbers)
    probabilities, ids = filtered(logits, sampling)
    cumulative = probabilities.cumsum(0)
    places = torch.searchsorted(cumulative, numbers * cumulative[-1], right=True).clamp_max(len(cumulative) - 1)
    return (places if ids is None else ids[places]).tolist()


def choose(
    logits: Tensor, settings: Sequence[Sampling], seen: Sequence[Sequence[int]], generators: Sequence[torch.Generator]
) -> list[int]:
    """The next token of each row of logits (rows, vocabulary) by its own settings; `seen` counts for the penalties."""
    chosen = logits.argmax(-1).tolist()
    for row, sampling in enumerate(settings):
        if sampling.temperature == 0 and sampling.repetition_penalty == 1 and not sampling.is_counting:
            continue
        scores = logits[row].float().cpu()
        if sampling.repetition_penalty != 1 and seen[row]:
            scores = penalise(scores, seen[row], sampling.repetition_penalty)
        if sampling.is_counting and seen[row]:
            scores = count_against(scores, seen[row], sampling)
        chosen[row] = int(scores.argmax()) if sampling.temperature == 0 else draw(scores, sampling, generators[row])
    return chosen
