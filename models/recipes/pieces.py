"""What trainings in pieces share: batches of like lengths, a mean of the weights, and what a checkpoint holds."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor
from torch.optim import Optimizer

T = TypeVar("T")
MOMENTS = ("exp_avg", "exp_avg_sq")
"""Adam's own names."""


def batches_of(rows: Sequence[T], length: Callable[[T], int], most: int, rng: random.Random) -> Iterator[list[T]]:
    """Rows that lie in the order of their lengths, in batches of at most so many tokens with padding, mixed."""
    batches: list[list[T]] = [[]]
    longest = 0
    for row in rows:
        longest = max(longest, length(row))
        if (len(batches[-1]) + 1) * longest > most:
            batches.append([])
            longest = length(row)
        batches[-1].append(row)
    rng.shuffle(batches)
    yield from filter(None, batches)


def filled(length: int, step: int) -> int:
    """A length filled up to a multiple: on a processor each product is compiled for each shape that it meets."""
    return -(-length // step) * step


def follow(mean: Mapping[str, Tensor], named: Mapping[str, Tensor], steps: int, most: float) -> None:
    """Take the weights after so many steps into their running mean; it decays by `most`, at first faster."""
    decay = min(most, (1 + steps) / (10 + steps))
    with torch.no_grad():
        torch._foreach_lerp_([mean[name] for name in named], list(named.values()), 1 - decay)


def tensors_of(named: Mapping[str, Tensor], mean: Mapping[str, Tensor], adam: Optimizer) -> dict[str, Tensor]:
    """Weights, mean and moments as a checkpoint has them."""
    tensors = {f"mean.{name}": value for name, value in mean.items()}
    for name, value in named.items():
        state = adam.state.get(value, {})
        tensors |= {f"weight.{name}": value.detach()} | {f"{key}.{name}": state[key] for key in MOMENTS if key in state}
    return tensors


def put_back(
    tensors: Mapping[str, Tensor], named: Mapping[str, Tensor], mean: Mapping[str, Tensor], adam: Optimizer, steps: int
) -> None:
    """Take them out of a checkpoint again, which was made after so many steps."""
    with torch.no_grad():
        for name, value in named.items():
            value.copy_(tensors[f"weight.{name}"])
            mean[name].copy_(tensors[f"mean.{name}"])
            if f"{MOMENTS[0]}.{name}" in tensors:
                moments = {key: tensors[f"{key}.{name}"] for key in MOMENTS}
                adam.state[value] = {"step": torch.tensor(float(steps)), **moments}
