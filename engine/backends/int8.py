"""Linear layers with int8 weights for the CPU: half the bytes of bfloat16 and about twice its products a second.

Weights have one scale for each output, inputs one for each row, found when the row comes (Dettmers et al. 2022, section
3, without outliers). A row's numbers depend on nobody else in its batch: the products are whole numbers.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn

log = logging.getLogger(__name__)

LARGEST, ZERO = 127, 128
MIN_FEATURES = 64
"""A layer with fewer inputs or outputs stays as it is: heads are small and decide."""
FAMILIES = ("bert", "distilbert", "roberta", "xlm-roberta", "electra", "mpnet", "marian", "m2m_100", "bart", "mbart")
"""Kinds that take int8 well. T5's inner activations have outliers that it would round away."""
ARCHITECTURES = ("classification", "extraction", "embedding", "seq2seq")
TRIAL_SIZE, TRIALS = (256, 512, 512), 5
MIN_GAIN = 1.15
"""Below this int8 is not worth its roundings."""


class Int8Linear(nn.Module):
    """Takes the place of a linear layer; inputs (..., in) of any float type give outputs (..., out) of the same."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        weight = linear.weight.detach().float()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        scales = weight.abs().amax(1).clamp_min(1e-12) / LARGEST
        whole = (weight / scales[:, None]).round_().to(torch.int8)
        self.size_bytes = whole.nbytes + scales.nbytes
        self._packed = torch.ops.onednn.qlinear_prepack(whole, None)
        self._scales, self._zeros = scales, torch.zeros(len(scales), dtype=torch.int32)
        self._bias = None if linear.bias is None else linear.bias.detach().float()

    def forward(self, inputs: Tensor) -> Tensor:
        rows = inputs.reshape(-1, self.in_features).float()
        scales = (
            torch.maximum(rows.amax(-1, keepdim=True), -rows.amin(-1, keepdim=True)).clamp_min_(1e-12).div_(LARGEST)
        )
        whole = rows.mul(scales.reciprocal()).round_().to(torch.int8)
        # oneDNN has its fast kernel for unsigned inputs; the flipped sign bit adds the 128 of its zero point.
        unsigned = whole.view(torch.uint8).bitwise_xor_(ZERO)
        products = torch.ops.onednn.qlinear_pointwise(
            unsigned, 1.0, ZERO, self._packed, self._scales, self._zeros, None, 1.0, 0, torch.float32, "none", [], ""
        )
        outputs = products.mul_(scales)
        if self._bias is not None:
            outputs.add_(self._bias)
        return outputs.to(inputs.dtype).reshape(*inputs.shape[:-1], self.out_features)


def can_int8(architecture: str, folder: Path) -> bool:
    """Whether the checkpoint in the folder is of a kind that takes int8 well, and the machine is faster with it."""
    try:
        kind = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type")
    except (OSError, ValueError, AttributeError):
        return False
    return architecture in ARCHITECTURES and kind in FAMILIES and is_faster()


def to_int8(module: nn.Module) -> None:
    """Replace the module's linear layers, in place; norms, embeddings and small heads stay."""
    for parent, name, linear in list(_layers(module)):
        setattr(parent, name, Int8Linear(linear))


def int8_bytes(module: nn.Module) -> int:
    """Memory of the module's int8 weights, which are no parameters."""
    return sum(layer.size_bytes for layer in module.modules() if isinstance(layer, Int8Linear))


def _layers(module: nn.Module) -> Iterator[tuple[nn.Module, str, nn.Linear]]:
    for parent in module.modules():
        for name, child in parent.named_children():
            if type(child) is nn.Linear and min(child.in_features, child.out_features) >= MIN_FEATURES:
                yield parent, name, child


@cache
def is_faster() -> bool:
    """Whether this machine multiplies int8 faster than bfloat16 or float32, whichever is better; tried for some ms."""
    rows, inner, outer = TRIAL_SIZE
    plain = nn.Linear(inner, outer).requires_grad_(False)
    inputs = torch.randn(rows, inner)
    try:
        quick = Int8Linear(plain)
        with torch.inference_mode():
            ours = _seconds(quick, inputs)
            theirs = _seconds(plain, inputs)
            theirs = min(theirs, _seconds(plain.bfloat16(), inputs.bfloat16()))
    except (RuntimeError, AttributeError) as error:  # built without oneDNN, or another processor
        log.info("no int8 here: %s", error)
        return False
    return theirs > MIN_GAIN * ours


def _seconds(layer: nn.Module, inputs: Tensor) -> float:
    """The least of some trials: what else runs only adds."""
    times = []
    for _ in range(TRIALS + 1):
        started = time.perf_counter()
        layer(inputs)
        times.append(time.perf_counter() - started)
    return min(times[1:])
