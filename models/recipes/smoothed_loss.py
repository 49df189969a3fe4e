"""Cross-entropy with label smoothing over a whole vocabulary, a few rows at a time.

Logits of a batch are 200 MB, and torch's own loss makes several tensors of that size, forward and back: half of a step
of a small translator. Here 256 rows at a time are made, judged and used for the gradients, and no more is kept.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

ROWS = 256


class _Loss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, states: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, smoothing: float, dtype: torch.dtype
    ) -> Tensor:
        count, size = len(targets), len(weight)
        states, rows_of = states.to(dtype), weight.to(dtype)
        to_states = torch.empty_like(states)
        to_weight, to_bias = torch.zeros_like(weight), torch.zeros_like(bias)
        total = weight.new_zeros(())
        for start in range(0, count, ROWS):
            part, wanted = states[start : start + ROWS], targets[start : start + ROWS, None]
            logits = torch.addmm(bias.to(dtype), part, rows_of.T).float()
            sums = logits.logsumexp(-1, keepdim=True)
            total += (sums - (1 - smoothing) * logits.gather(1, wanted) - smoothing * logits.mean(-1, True)).sum()
            slope = logits.sub_(sums).exp_().sub_(smoothing / size)
            slope.scatter_add_(1, wanted, torch.full_like(sums, smoothing - 1)).div_(count)
            to_bias += slope.sum(0)
            slope = slope.to(dtype)
            torch.mm(slope, rows_of, out=to_states[start : start + ROWS])
            to_weight += slope.T @ part
        ctx.save_for_backward(to_states, to_weight, to_bias)
        return total / count

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor | None, ...]:
        to_states, to_weight, to_bias = ctx.saved_tensors
        return outer[0] * to_states, outer[0] * to_weight, outer[0] * to_bias, None, None, None


def smoothed_loss(
    states: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, smoothing: float, dtype: torch.dtype = torch.float32
) -> Tensor:
    """The mean loss of states (rows, width) over a vocabulary: weight (size, width), bias (size), targets (rows).

    As `F.cross_entropy` of `F.linear(states, weight, bias)`; products are made in `dtype`.
    """
    loss: Tensor = _Loss.apply(states, weight, bias, targets, smoothing, dtype)  # type: ignore[no-untyped-call]
    return loss
