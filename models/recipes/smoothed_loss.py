"""Cross-entropy with label smoothing over a whole vocabulary, a few rows at a time.

Logits of a batch are 200 MB, and torch's own loss makes several tensors of that size, forward and back: half of a step
of a small translator. Here 1,024 rows at a time are made, judged and used for the gradients, and no more is kept.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

ROWS, ROW_STEP = 1024, 128
"""At a time, and those left over filled up to a multiple: each number of rows is compiled for."""
SAMPLED = 2000
"""Words that no target is, of which `sampled_loss` makes logits."""


class _Loss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, states: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, smoothing: float, dtype: torch.dtype
    ) -> Tensor:
        count, size, rows_of, biases = len(targets), len(weight), weight.to(dtype), bias.to(dtype)
        pads = -count % ROW_STEP
        states, own, wants = F.pad(states.to(dtype), (0, 0, 0, pads)), states.float(), F.pad(targets, (0, pads))
        logits, shares = (torch.empty(min(ROWS, len(wants)), size, dtype=one) for one in (dtype, torch.float32))
        to_states = own.new_empty(len(wants), own.shape[1])
        to_weight, to_bias = torch.zeros_like(weight), torch.zeros_like(bias)
        total = weight.new_zeros(())
        for start in range(0, count, ROWS):
            part, wanted, left = states[start : start + ROWS], wants[start : start + ROWS, None], count - start
            logit, share = logits[: len(part)], shares[: len(part)]
            torch.addmm(biases, part, rows_of.T, out=logit)
            right = logit.gather(1, wanted).float()
            most = share.copy_(logit).amax(-1, keepdim=True)
            sums = share.sub_(most).exp_().sum(-1, keepdim=True)
            total += (sums.log() + most - (1 - smoothing) * right)[:left].sum()
            sums[left:] = torch.inf  # what is divided by it counts for nothing
            logit.copy_(share)  # shares of the words but for their sum, by which rows are divided elsewhere
            to_states[start : start + ROWS] = (logit @ rows_of).float() / sums
            to_weight += logit.T @ (part / sums).to(dtype)
            to_bias += ((1 / sums.T).to(dtype) @ logit)[0]
        to_states = to_states[:count]
        _smooth_and_subtract(to_states, to_weight, to_bias, own, weight, targets, smoothing)
        total -= smoothing * (own @ weight.mean(0) + bias.mean()).sum()
        ctx.save_for_backward(to_states.div_(count), to_weight.div_(count), to_bias.div_(count))
        return total / count

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor | None, ...]:
        to_states, to_weight, to_bias = ctx.saved_tensors
        return outer[0] * to_states, outer[0] * to_weight, outer[0] * to_bias, None, None, None


def _smooth_and_subtract(
    to_states: Tensor, to_weight: Tensor, to_bias: Tensor, states: Tensor, weight: Tensor, targets: Tensor, part: float
) -> None:
    """What smoothing takes from every word's slope is the same for all, and the rest is taken from the right word."""
    to_states.sub_(part * weight.mean(0)).sub_((1 - part) * weight[targets])
    to_weight.sub_(part / len(weight) * states.sum(0)).index_add_(0, targets, states, alpha=part - 1)
    to_bias.sub_(part * len(targets) / len(weight)).index_add_(0, targets, states.new_full((len(targets),), part - 1))


def smoothed_loss(
    states: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, smoothing: float, dtype: torch.dtype = torch.float32
) -> Tensor:
    """The mean loss of states (rows, width) over a vocabulary: weight (size, width), bias (size), targets (rows).

    As `F.cross_entropy` of `F.linear(states, weight, bias)`; products are made in `dtype`.
    """
    loss: Tensor = _Loss.apply(states, weight, bias, targets, smoothing, dtype)
    return loss


def sampled_loss(
    states: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, smoothing: float, dtype: torch.dtype = torch.float32
) -> Tensor:
    """As `smoothed_loss`, over the words among the targets and SAMPLED others, each of which counts for those left out
    (Jean et al. 2015): a quarter of a step less."""
    wanted, places = targets.unique(return_inverse=True)
    others = torch.ones(len(weight), dtype=torch.bool).index_fill_(0, wanted, 0).nonzero()[:, 0]
    some = others[torch.randperm(len(others))[:SAMPLED]]
    words = torch.cat([wanted, some])
    counts = torch.cat([torch.ones(len(wanted)), torch.full((len(some),), len(others) / max(1, len(some)))])
    return smoothed_loss(states, weight[words], bias[words] + counts.log(), places, smoothing, dtype)
