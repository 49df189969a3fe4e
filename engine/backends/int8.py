"""Linear layers with int8 weights for the CPU: half the bytes of bfloat16 and about twice its products a second.

Weights have one scale for each output, inputs one for each row, found when the row comes (Dettmers et al. 2022, section
3, without outliers). A row's numbers depend on nobody else in its batch: the products are whole numbers.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn

log = logging.getLogger(__name__)

LARGEST, ZERO = 127, 128
SMALLEST = 1e-12
MIN_FEATURES = 64
"""A layer with fewer inputs or outputs stays as it is: heads are small and decide."""
FAMILIES = ("bert", "distilbert", "roberta", "xlm-roberta", "electra", "mpnet")
"""Kinds that take int8 well."""
ARCHITECTURES = ("classification", "extraction")
"""Vectors are kept by those who asked for them and stay as exact as they were: int8 turned some (cosine 0.996)."""
INSTRUCTIONS = ("avx512_vnni", "avx_vnni", "amx_int8")


class Int8Linear(nn.Module):
    """Takes the place of a linear layer; inputs (..., in) of any float type give outputs (..., out) of the same."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        weight = linear.weight.detach().float()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        scales = weight.abs().amax(1).clamp_min(SMALLEST) / LARGEST
        whole = (weight / scales[:, None]).round_().to(torch.int8)
        self.size_bytes = whole.nbytes + scales.nbytes
        self._packed = torch.ops.onednn.qlinear_prepack(whole, None)
        self._scales, self._zeros = scales / LARGEST, torch.zeros(len(scales), dtype=torch.int32)
        self._bias = None if linear.bias is None else linear.bias.detach().float()

    def forward(self, inputs: Tensor) -> Tensor:
        rows = inputs.reshape(-1, self.in_features).float()
        peaks = rows.abs().amax(-1, keepdim=True).clamp_min_(SMALLEST)
        whole = rows.mul(LARGEST / peaks).round_().to(torch.int8)
        # oneDNN has its fast kernel for unsigned inputs; the flipped sign bit adds the 128 of its zero point.
        unsigned = whole.view(torch.uint8).bitwise_xor_(ZERO)
        products = torch.ops.onednn.qlinear_pointwise(
            unsigned, 1.0, ZERO, self._packed, self._scales, self._zeros, None, 1.0, 0, torch.float32, "none", [], ""
        )
        outputs = products.mul_(peaks)
        if self._bias is not None:
            outputs.add_(self._bias)
        return outputs.to(inputs.dtype).view(*inputs.shape[:-1], self.out_features)


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
    """Whether the processor adds up products of int8 in hardware; on a Zen 4 that is 1.4 times bfloat16 in an encoder.

    Not measured at the start on purpose: on a busy machine that came out otherwise at times, and so would the answers.
    """
    capabilities = torch.cpu.get_capabilities()
    if not any(capabilities.get(name, False) for name in INSTRUCTIONS):
        return False
    try:
        with torch.inference_mode():
            Int8Linear(nn.Linear(64, 64))(torch.ones(1, 64))
    except (RuntimeError, AttributeError) as error:  # a build without oneDNN
        log.info("no int8 here: %s", error)
        return False
    return True
