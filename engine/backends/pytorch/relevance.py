"""Layer-wise relevance: what each token's vector brings to a difference of answers, in a model that is held still.

Where attention looks and how norms scale is taken as given, an activation lets through the share that it let through,
and of a product each factor has half (Ali et al. 2022; Achtibat et al. 2024, AttnLRP). A model held so is linear in its
text's vectors, so that one way forth and back gives parts that add up, whatever the length of the text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from engine.backends.pytorch.attributing import Attributed, Question, Told

PRODUCTS = frozenset({torch.mul, Tensor.mul, Tensor.__mul__, Tensor.__rmul__})
ACTIVATIONS = (nn.GELU, nn.ReLU, nn.SiLU, nn.Tanh)


def relevant(question: Question, module: Any, told: Told) -> Attributed:
    """One way forth and back. `before` is what stays without the tokens that may speak: the others' and the constants'
    part; the error is measured, by adding all parts up."""
    told(0, 1)
    constants = _constants(module)
    with torch.no_grad():
        after = float(question.difference(question.start[None]))
    with _held(module, constants), torch.enable_grad():
        vectors = question.start[None].clone().requires_grad_()
        value = question.difference(vectors).sum()
        slopes, *others = torch.autograd.grad(value, [vectors, *constants], allow_unused=True)
    parts = (slopes[0] * question.start).sum(-1).float()
    rest = sum(float((slope * one).sum()) for slope, one in zip(others, constants, strict=True) if slope is not None)
    is_kept = (question.start == question.baseline).all(-1)
    before = rest + float(parts[is_kept].sum())
    parts = parts.masked_fill(is_kept, 0.0)
    error = abs(float(parts.sum()) - (after - before)) / max(abs(after - before), 1e-6)
    return Attributed(parts.cpu().numpy(), error, before, after)


def _constants(module: Any) -> list[nn.Parameter]:
    """What a model adds whatever is read: biases, positions, kinds of tokens."""
    words = module.get_input_embeddings()
    tables = [one.weight for one in module.modules() if isinstance(one, nn.Embedding) and one is not words]
    return [*(one for name, one in module.named_parameters() if name.endswith("bias")), *tables]


@contextmanager
def _held(module: Any, constants: Sequence[nn.Parameter]) -> Iterator[None]:
    """Inside, the module is linear, and of its parameters the constants alone have slopes."""
    wanted = {id(one) for one in constants}
    before = [(one, one.requires_grad) for one in module.parameters()]
    with ExitStack() as ends:
        for one, needed in before:
            ends.callback(one.requires_grad_, needed)
            one.requires_grad_(id(one) in wanted)
        for one in module.modules():
            if _is_rescaled(one):
                ends.callback(one.register_forward_hook(lambda _, given, made: _rescaled(given[0], made)).remove)
        ends.enter_context(_Held())
        yield


def _is_rescaled(module: nn.Module) -> bool:
    kind = type(module)
    is_activation = isinstance(module, ACTIVATIONS) or kind.__module__ == "transformers.activations"
    return is_activation or "RMSNorm" in kind.__name__


def _rescaled(given: Tensor, made: Tensor) -> Tensor:
    """What was made of each number, as a share of it that stays."""
    return given * torch.where(given == 0, 0.0, made / given).detach()


class _Held(TorchFunctionMode):
    """The rules for functions that are no modules."""

    def __torch_function__(
        self, function: Any, types: Any, arguments: Any = (), options: dict[str, Any] | None = None
    ) -> Any:
        options = options or {}
        if function is F.scaled_dot_product_attention:
            query, key, *others = arguments
            return function(query.detach(), key.detach(), *others, **options)
        if function in (F.softmax, torch.softmax, Tensor.softmax):
            return function(*arguments, **options).detach()
        if function is F.layer_norm:
            return _normed(*arguments, **options)
        if function in (torch.tanh, Tensor.tanh):
            return _rescaled(arguments[0], function(*arguments))
        if function in PRODUCTS and all(isinstance(one, Tensor) and one.requires_grad for one in arguments[:2]):
            left, right = arguments[:2]
            return (left * right.detach() + left.detach() * right) / 2
        return function(*arguments, **options)


def _normed(
    x: Tensor, shape: Sequence[int], weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """A layer's norm whose scale stays."""
    places = tuple(range(-len(shape), 0))
    moved = x - x.mean(places, keepdim=True)
    made = moved * torch.rsqrt(moved.pow(2).mean(places, keepdim=True) + eps).detach()
    made = made if weight is None else made * weight
    return made if bias is None else made + bias
