"""Why one answer and not another: integrated gradients (Sundararajan et al. 2017) and occlusion, token by token.

Written out instead of taken from captum, which brings matplotlib along and takes its points where it is told to: here
they go where the way from the baseline is rough. Between any two of its points the gradients must add up to what the
difference of the answers really does, so that each stretch tells by itself whether it needs more of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from engine.errors import InputError, UnsupportedError

POINTS = 4
"""Of a stretch (Gauss and Legendre), in one batch; also texts of one batch with a token hidden."""
MOST_POINTS, MOST_SECONDS = 256, 20.0
GOOD = 0.02
"""Share of the change that the sum may be off."""
NARROW = (torch.bfloat16, torch.float16)

T = TypeVar("T")
Told = Callable[[int, int], None]
"""Hears of progress: how much is done, of how much."""


@contextmanager
def differentiable() -> Iterator[None]:
    """Around all that asks for gradients: what is made in inference mode can be no part of them."""
    with torch.inference_mode(False), torch.no_grad():
        yield


class Question(NamedTuple):
    """A text as vectors (token, width), those of a text without content, and the difference that is asked about.

    `difference` takes vectors (row, token, width) and gives a number a row: the answer's logit less its rival's.
    """

    start: Tensor
    baseline: Tensor
    difference: Callable[[Tensor], Tensor]

    def at(self, places: Sequence[float]) -> Tensor:
        """Vectors on the straight way from the baseline (0) to the text (1)."""
        steps = self.start.new_tensor(places)[:, None, None]
        return self.baseline + steps * (self.start - self.baseline)


class Attributed(NamedTuple):
    """Each token's part in the difference, and what they leave unexplained as a share of the change."""

    parts: Any
    error: float
    before: float
    after: float


@dataclass
class _Stretch:
    """A piece of the way: its ends, the difference at both, and the parts (token,) that its gradients give."""

    start: float
    end: float
    low: float
    high: float
    parts: Tensor

    @property
    def missed(self) -> float:
        return abs(float(self.parts.sum()) - (self.high - self.low))


def integrated(question: Question, told: Told, seconds: float = MOST_SECONDS) -> Attributed:
    """Gradients on the straight way from the baseline, more of them where it is rough, until the sum is right.

    What is missed is added up stretch by stretch, so that errors do not make up for each other.
    """
    with torch.enable_grad():
        before, middle, after = _differences(question, (0.0, 0.5, 1.0))
        change, begun = max(abs(after - before), 1e-6), time.monotonic()
        way = [_stretch(question, 0.0, 0.5, before, middle), _stretch(question, 0.5, 1.0, middle, after)]
        for done in range(2 * POINTS, MOST_POINTS, 2 * POINTS):
            spent = (time.monotonic() - begun) / seconds
            told(min(MOST_POINTS - 1, max(done, int(MOST_POINTS * spent))), MOST_POINTS)
            each = spent / (done / POINTS)  # of the stretches so far; two more must still end in time
            if sum(one.missed for one in way) <= GOOD * change or spent + 2 * each > 1:
                break
            worst = way.pop(max(range(len(way)), key=lambda place: way[place].missed))
            way += _halves(question, worst)
    parts = torch.stack([one.parts for one in way]).sum(0)
    return Attributed(parts.cpu().numpy(), sum(one.missed for one in way) / change, before, after)


def _halves(question: Question, whole: _Stretch) -> list[_Stretch]:
    middle = (whole.start + whole.end) / 2
    (value,) = _differences(question, [middle])
    return [
        _stretch(question, whole.start, middle, whole.low, value),
        _stretch(question, middle, whole.end, value, whole.high),
    ]


def _stretch(question: Question, start: float, end: float, low: float, high: float) -> _Stretch:
    places, weights = np.polynomial.legendre.leggauss(POINTS)
    length = end - start
    points = question.at((start + length * (places + 1) / 2).tolist()).requires_grad_()
    (slopes,) = torch.autograd.grad(question.difference(points).sum(), points)
    slope = (slopes * slopes.new_tensor(weights * length / 2)[:, None, None]).sum(0)
    return _Stretch(start, end, low, high, (slope * (question.start - question.baseline)).sum(-1).float())


def _differences(question: Question, places: Sequence[float]) -> list[float]:
    with torch.no_grad():
        return [float(value) for value in question.difference(question.at(places))]


def occluded(question: Question, told: Told) -> Attributed:
    """By how much the difference falls when a token is taken for one without content, each alone."""
    with torch.no_grad():
        before, after = _differences(question, (0.0, 1.0))
        parts = np.zeros(len(question.start), np.float32)
        hidden = (question.start != question.baseline).any(-1).nonzero()[:, 0]  # what stays has no part at all
        for done, places in enumerate(hidden.split(POINTS) if len(hidden) else ()):
            told(done * POINTS, len(hidden))
            rows = question.start.repeat(len(places), 1, 1)
            rows[range(len(places)), places] = question.baseline[places]
            parts[places.tolist()] = after - question.difference(rows).float().cpu().numpy()
    change = after - before
    error = abs(float(parts.sum()) - change) / max(abs(change), 1e-6)
    return Attributed(parts, error, before, after)


class _Widened(torch.autograd.Function):
    """A product with weights in narrow numbers, computed in float32; no wide copy of them is kept on the way back."""

    @staticmethod
    def forward(context: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        context.save_for_backward(weight)
        return F.linear(x, weight.float(), None if bias is None else bias.float())

    @staticmethod
    def backward(context: Any, *slopes: Tensor) -> tuple[Tensor, None, Tensor | None]:
        (weight,) = context.saved_tensors
        of_bias = slopes[0].flatten(0, -2).sum(0) if context.needs_input_grad[2] else None
        return slopes[0] @ weight.float(), None, of_bias


class _Wide(TorchFunctionMode):
    """Has a module compute in float32 whatever its weights are kept in, and of `table` only the rows asked for."""

    def __init__(self, table: Tensor | None, rows: Sequence[int]) -> None:
        self._table, self._rows = table, list(rows)

    def __torch_function__(
        self, function: Any, types: Any, arguments: Any = (), options: dict[str, Any] | None = None
    ) -> Any:
        options = options or {}
        if function is F.linear:
            return self._linear(*arguments, **options)
        if function is F.embedding:
            found = function(*arguments, **options)
            return found.float() if found.dtype in NARROW else found
        arguments = [_widened(one) for one in arguments]
        return function(*arguments, **{name: _widened(one) for name, one in options.items()})

    def _linear(self, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        if weight is self._table:
            weight, bias = weight[self._rows], None if bias is None else bias[self._rows]
        if weight.dtype not in NARROW:
            return F.linear(input, weight, bias)
        made: Tensor = _Widened.apply(input.float(), weight, bias)
        return made


def _widened(one: Any) -> Any:
    return one.float() if isinstance(one, torch.nn.Parameter) and one.dtype in NARROW else one


@contextmanager
def wide(table: Tensor | None = None, rows: Sequence[int] = ()) -> Iterator[None]:
    """Inside, modules compute in float32: gradients in bfloat16 are too rough to add up.

    Products with `table`, a decoder's last ones, give the logits of these rows alone.
    """
    with _Wide(table, rows):
        yield


def not_by_layers(title: str) -> UnsupportedError:
    """Why a translator is not taken apart layer by layer: its own words speak as well as its source's."""
    return UnsupportedError(
        "{model} translates and is not taken apart layer by layer. Choose integrated gradients or occlusion.",
        param="method", model=title,
    )  # fmt: skip


def filled(known: Sequence[T | None], ranked: Sequence[T]) -> tuple[T, T]:
    """The two answers, the likeliest in the place of those that were not named. Raises InputError for one twice."""
    free = [one for one in ranked if one not in known]
    first, second = (free.pop(0) if one is None else one for one in known)
    if first == second:
        raise InputError("The two answers are the same. Ask why one and not another.", param="rival")
    return first, second
