"""A student's network for answers on the CPU: large products in int8, as Mozilla's engine has them, and few operations.

The ranges of activations come with the weights, so that a sentence gets the same answer alone and in any company.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.backends.marian.model import NORM_EPSILON, Shape, Student, padding_mask, positions

INPUT = ".input"
"""Behind a product's name: the largest magnitude of what goes into it."""
OUTPUT = "output"
"""The last product's name."""
ENGINES = ("x86", "fbgemm")
"""Kernels of torch that multiply int8 with a fixed range of the input."""
# torch is pinned; where a later one lacks these tensors, the exact network answers.
warnings.filterwarnings("ignore", "torch.quantize_per_tensor", UserWarning)

_KERNELS = torch.ops.quantized
MULTIPLY = _KERNELS.linear_with_input_q_dq_qweight_dq_output_fp32.default
MULTIPLY_RELU = _KERNELS.linear_with_input_q_dq_qweight_dq_relu_output_fp32.default
MULTIPLY, MULTIPLY_RELU = (getattr(kernel, "_op", kernel) for kernel in (MULTIPLY, MULTIPLY_RELU))
"""The kernels themselves: finding one anew takes as long as a small product does."""
WEIGHT_STEPS = 63
Product = Callable[[Tensor], Tensor]


def is_possible(student: Student, inputs: Mapping[str, Tensor]) -> bool:
    """Whether torch has the kernels here, and the weights come with the ranges of all products."""
    products = [name for name, module in student.named_modules() if isinstance(module, torch.nn.Linear)]
    is_measured = all(name + INPUT in inputs for name in (*products, OUTPUT))
    return is_measured and torch.backends.quantized.engine in ENGINES


@dataclass
class QuickEncoded:
    """Sources that were read: of each decoder layer keys (rows * heads, head, n) and values (rows * heads, n, head),
    and the mask (rows, 1, 1, n), None where there are no pads."""

    memories: list[tuple[Tensor, Tensor]]
    mask: Tensor | None
    heads: int

    def pick(self, places: Tensor) -> QuickEncoded:
        """Only these rows, in this order."""
        mask = None if self.mask is None else self.mask[places]
        return QuickEncoded(
            [(self._of(keys, places), self._of(values, places)) for keys, values in self.memories], mask, self.heads
        )

    def _of(self, states: Tensor, places: Tensor) -> Tensor:
        return states.unflatten(0, (-1, self.heads))[places].flatten(0, 1)


class QuickStudent:
    """The same answers as the student's, but for what int8 rounds, two to three times as fast."""

    def __init__(self, student: Student, inputs: Mapping[str, Tensor]) -> None:
        self.shape: Shape = student.shape
        self._ranges = {name.removesuffix(INPUT): float(value) for name, value in inputs.items()}
        self._heads, self._width = student.shape.heads, student.shape.width
        self._source = student.source_embedding.weight.half()
        self._target = student.target_embedding.weight.half() if student.shape.target_size else self._source
        self._scale = math.sqrt(self._width)
        self._bias = student.output_bias
        self._rows, self._row_scales = rounded(student.target_embedding.weight)
        self._every: Product | None = None
        self._positions = positions(256, self._width)
        named: dict[str, Any] = dict(student.named_modules())
        self._encoder = [self._encoder_layer(named, f"encoder.{n}") for n in range(self.shape.encoder_layers)]
        self._decoder = [self._decoder_layer(named, f"decoder.{n}") for n in range(self.shape.decoder_layers)]
        context = [f"decoder.{n}.attention.{part}" for n in range(len(self._decoder)) for part in ("key", "value")]
        self._context = self._product(named, *context)

    def encode(self, ids: Tensor, lengths: Sequence[int]) -> QuickEncoded:
        """Read sources that end in EOS."""
        rows, width = ids.shape
        mask = padding_mask(lengths, width) if min(lengths) < width else None
        x = (F.embedding(ids, self._source).float() * self._scale + self._position(0, width)).flatten(0, 1)
        for attend, out, norm, feed in self._encoder:
            queries, keys, values = attend(x).view(rows, width, 3, self._heads, -1).permute(2, 0, 3, 1, 4)
            mixed = F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)
            x = feed(norm(x.add_(out(mixed.transpose(1, 2).reshape(rows * width, -1)))))
        memories = self._context(x).view(rows, width, len(self._decoder), 2, self._heads, -1)
        keys, values = memories.permute(3, 2, 0, 4, 1, 5)
        kept = [
            (key.transpose(2, 3).flatten(0, 1).contiguous(), value.flatten(0, 1).contiguous())
            for key, value in zip(keys, values, strict=True)
        ]
        return QuickEncoded(kept, mask, self._heads)

    def start(self, rows: int) -> list[Tensor]:
        """The cells of each decoder layer before the first token."""
        return [torch.zeros(rows, self._width) for _ in self._decoder]

    def step(self, encoded: QuickEncoded, cells: list[Tensor], ids: Tensor | None, place: int) -> tuple[Tensor, Tensor]:
        """One token later: the state (rows, width) and its alignment (rows, source). Changes `cells`."""
        rows = cells[0].shape[0]
        x = self._position(place, place + 1).expand(rows, -1)
        if ids is not None:
            x = torch.add(x, torch.embedding(self._target, ids), alpha=self._scale)
        weights = x
        for number, (recur, norm, query, out, norm_after, feed) in enumerate(self._decoder):
            new, gate = recur(x).chunk(2, 1)
            cells[number] = cell = torch.lerp(new, cells[number], gate.sigmoid())
            x = norm(cell.relu().add_(x))
            keys, values = encoded.memories[number]
            scores = torch.bmm(query(x).view(rows * self._heads, 1, -1), keys)
            if encoded.mask is not None:
                scores.view(rows, self._heads, 1, -1).add_(encoded.mask)
            weights = scores.softmax(-1)
            x = feed(norm_after(out(torch.bmm(weights, values).view(rows, -1)).add_(x)))
        return x, weights.view(rows, self._heads, -1)[:, 0]

    def output(self, ids: Tensor) -> Product:
        """The last product, for these words alone.

        It is packed for each batch, which with one scale for all words takes a third of the time; theirs come after.
        """
        weight = torch._make_per_tensor_quantized_tensor(self._rows.index_select(0, ids), 1.0, 0)
        product = _multiplied(weight, None, self._ranges[OUTPUT])
        scales, bias = self._row_scales.index_select(0, ids), self._bias.index_select(0, ids)
        return lambda x: torch.addcmul(bias, product(x), scales)

    def logits(self, states: Tensor) -> Tensor:
        """Of every token of the target vocabulary."""
        if self._every is None:
            self._every = self.output(torch.arange(len(self._rows)))
        return self._every(states)

    def _position(self, start: int, end: int) -> Tensor:
        if end > len(self._positions):
            self._positions = positions(2 * end, self._width)
        return self._positions[start:end]

    def _encoder_layer(self, named: dict[str, Any], name: str) -> tuple[Product, Product, Product, Product]:
        attend = self._product(named, *(f"{name}.attention.{part}" for part in ("query", "key", "value")))
        out = self._product(named, f"{name}.attention.out")
        return attend, out, _norm(named[f"{name}.attention.norm"]), self._feed(named, f"{name}.feed")

    def _decoder_layer(self, named: dict[str, Any], name: str) -> tuple[Product, ...]:
        """Small products stay in float32: rounding what goes in would take longer than it saves."""
        recurrence, attention = named[f"{name}.recurrence"], named[f"{name}.attention"]
        weight = torch.cat([recurrence.new.weight, recurrence.forget.weight])
        bias = torch.cat([torch.zeros_like(recurrence.forget.bias), recurrence.forget.bias])
        query = _linear(attention.query.weight * attention.scale, attention.query.bias * attention.scale)
        return (
            _linear(weight, bias),
            _norm(recurrence.norm),
            query,
            _linear(attention.out.weight, attention.out.bias),
            _norm(attention.norm),
            self._feed(named, f"{name}.feed"),
        )

    def _feed(self, named: dict[str, Any], name: str) -> Product:
        inner = self._product(named, f"{name}.inner", kernel=MULTIPLY_RELU)
        outer = self._product(named, f"{name}.outer", is_positive=True)
        norm = _norm(named[f"{name}.norm"])
        return lambda x: norm(outer(inner(x)).add_(x))

    def _product(
        self, named: dict[str, Any], *names: str, is_positive: bool = False, kernel: Any = MULTIPLY
    ) -> Product:
        """Several of the same input as one."""
        weight = torch.cat([named[name].weight for name in names])
        bias = torch.cat([named[name].bias for name in names])
        most = max(self._ranges[name] for name in names)
        rows, scales = rounded(weight)
        zeros = torch.zeros(len(rows), dtype=torch.long)
        packed = torch._make_per_channel_quantized_tensor(rows, scales.double(), zeros, 0)
        return _multiplied(packed, bias, most, is_positive=is_positive, kernel=kernel)


def _multiplied(
    weight: Tensor, bias: Tensor | None, most: float, *, is_positive: bool = False, kernel: Any = MULTIPLY
) -> Product:
    """Activations are rounded to 8 bits without a sign: what is positive anyway has twice as many steps."""
    packed = _KERNELS.linear_prepack(weight, bias)
    step, zero = (most / 255, 0) if is_positive else (most / 127, 128)
    return lambda x: kernel(x, step, zero, packed)


def rounded(weight: Tensor, steps: int = WEIGHT_STEPS) -> tuple[Tensor, Tensor]:
    """Int8 and a scale for each row, with as many steps on each side of nought.

    Products have seven bits: two of an activation and a weight are added in sixteen bits where a processor has no
    VNNI, and with eight some sums would not fit (a point of BLEU from Portuguese).
    """
    scales = weight.abs().amax(1).clamp(min=1e-8) / steps
    return (weight / scales[:, None]).round().to(torch.int8), scales


def _linear(weight: Tensor, bias: Tensor) -> Product:
    turned = weight.t().contiguous()
    return lambda x: torch.addmm(bias, x, turned)


def _norm(norm: Any) -> Product:
    weight, bias, size = norm.weight, norm.bias, norm.normalized_shape
    return lambda x: torch.layer_norm(x, size, weight, bias, NORM_EPSILON)


def measure_inputs(student: Student, sources: Sequence[Tensor], targets: Sequence[Tensor]) -> dict[str, Tensor]:
    """The ranges of what goes into each product, from translations (one row each) of the float32 student."""
    found: dict[str, float] = {}

    def watch(name: str) -> Callable[[Any, Any], None]:
        def look(module: Any, given: Any) -> None:
            found[name] = max(found.get(name, 0.0), float(given[0].abs().max()))

        return look

    modules = [(name, module) for name, module in student.named_modules() if isinstance(module, torch.nn.Linear)]
    hooks = [module.register_forward_pre_hook(watch(name)) for name, module in modules]
    with torch.inference_mode():
        for source, target in zip(sources, targets, strict=True):
            states, _ = student.decode(student.encode(source[None], [len(source)]), target[None])
            found[OUTPUT] = max(found.get(OUTPUT, 0.0), float(states.abs().max()))
    for hook in hooks:
        hook.remove()
    return {name + INPUT: torch.tensor(value) for name, value in found.items()}
