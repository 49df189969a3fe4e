"""The network of a Marian student: a transformer encoder, and a decoder whose self-attention is a recurrence (SSRU).

Equations as in Marian (Junczys-Dowmunt et al. 2018; Kim et al. 2019): layers normalise after each residual sum, and
embeddings of source, target and output may be one matrix.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

EOS, UNKNOWN = 0, 1
NORM_EPSILON = 1e-6


@dataclass(frozen=True)
class Shape:
    """Sizes of a student. `target_size` of 0: source and target share one vocabulary."""

    width: int
    heads: int
    inner: int
    encoder_layers: int
    decoder_layers: int
    source_size: int
    target_size: int = 0

    def as_dict(self) -> dict[str, int]:
        """The sizes by name, ready for JSON."""
        return asdict(self)


class Attention(nn.Module):
    """Attention of `x` (rows, n, width) over keys and values (rows, heads, m, width / heads), added and normalised."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads, self.scale = shape.heads, 1 / math.sqrt(shape.width // shape.heads)
        self.query, self.key, self.value, self.out = (nn.Linear(shape.width, shape.width) for _ in range(4))
        self.norm = nn.LayerNorm(shape.width, eps=NORM_EPSILON)

    def memory(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of what is attended to."""
        return self._split(self.key(states)), self._split(self.value(states))

    def forward(self, x: Tensor, memory: tuple[Tensor, Tensor], mask: Tensor) -> Tensor:
        """`mask` is added to the scores: 0, and minus infinity at pads."""
        if self.training:  # torch's fused attention is slow on the way back: a fifth of a step
            return self.with_heads(x, memory, mask)[0]
        mixed = F.scaled_dot_product_attention(self._split(self.query(x)), *memory, attn_mask=mask, scale=self.scale)
        return self._join(x, mixed)

    def with_weights(self, x: Tensor, memory: tuple[Tensor, Tensor], mask: Tensor) -> tuple[Tensor, Tensor]:
        """As `forward`, and the weights of the first head (rows, n, m)."""
        mixed, weights = self.with_heads(x, memory, mask)
        return mixed, weights[:, 0]

    def with_heads(self, x: Tensor, memory: tuple[Tensor, Tensor], mask: Tensor) -> tuple[Tensor, Tensor]:
        """As `forward`, and the weights of each head (rows, heads, n, m)."""
        keys, values = memory
        scores = self._split(self.query(x) * self.scale) @ keys.transpose(-1, -2)
        weights = (scores + mask).softmax(-1)
        return self._join(x, weights @ values), weights

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def _join(self, x: Tensor, mixed: Tensor) -> Tensor:
        return self.norm(x + self.out(mixed.transpose(1, 2).flatten(2)))


class Feed(nn.Module):
    """The feed-forward part of a layer."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(shape.width, shape.inner), nn.Linear(shape.inner, shape.width)
        self.norm = nn.LayerNorm(shape.width, eps=NORM_EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x + self.outer(F.relu(self.inner(x))))


class Recurrence(nn.Module):
    """The SSRU: a cell that forgets by a gate which does not look at the cell, so that only a sum is sequential."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.new = nn.Linear(shape.width, shape.width, bias=False)
        self.forget = nn.Linear(shape.width, shape.width)
        self.norm = nn.LayerNorm(shape.width, eps=NORM_EPSILON)

    def step(self, x: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        """One position (rows, width); the output and the cell after it."""
        gate = torch.sigmoid(self.forget(x))
        cell = torch.lerp(self.new(x), cell, gate)
        return self.norm(x + F.relu(cell)), cell

    def forward(self, x: Tensor) -> Tensor:
        """All positions (rows, n, width). `unbind` gives each step its own gradient; slices would sum whole ones."""
        gate = torch.sigmoid(self.forget(x).to(x.dtype))
        fresh = (1 - gate) * self.new(x)
        cell = torch.zeros_like(x[:, 0])
        cells = []
        for keep, add in zip(gate.unbind(1), fresh.unbind(1), strict=True):
            cell = torch.addcmul(add, keep, cell)
            cells.append(cell)
        return self.norm(x + F.relu(torch.stack(cells, 1)))


class EncoderLayer(nn.Module):
    """Attention of the source over itself."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.attention, self.feed = Attention(shape), Feed(shape)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return self.feed(self.attention(x, self.attention.memory(x), mask))


class DecoderLayer(nn.Module):
    """The recurrence, and attention over the source."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.recurrence, self.attention, self.feed = Recurrence(shape), Attention(shape), Feed(shape)


@dataclass
class Encoded:
    """Sources that were read: keys and values of each decoder layer, and the mask (rows, 1, 1, n) over pads."""

    memories: list[tuple[Tensor, Tensor]]
    mask: Tensor

    def pick(self, places: Tensor) -> Encoded:
        """Only these rows, in this order."""
        return Encoded([(keys[places], values[places]) for keys, values in self.memories], self.mask[places])


class Student(nn.Module):
    """The whole network. Ids are (rows, n), padded on the right with EOS where a length is given."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.source_embedding = _embedding(shape.source_size, shape.width)
        self.target_embedding = (
            _embedding(shape.target_size, shape.width) if shape.target_size else self.source_embedding
        )
        self.output_bias = nn.Parameter(torch.zeros(shape.target_size or shape.source_size))
        self.encoder: Any = nn.ModuleList(EncoderLayer(shape) for _ in range(shape.encoder_layers))
        self.decoder: Any = nn.ModuleList(DecoderLayer(shape) for _ in range(shape.decoder_layers))
        self._positions = torch.empty(0, shape.width)

    def encode(self, ids: Tensor, lengths: Sequence[int]) -> Encoded:
        """Read sources that end in EOS."""
        return self.encode_vectors(self.vectors(ids), padding_mask(lengths, ids.shape[1]))

    def vectors(self, ids: Tensor) -> Tensor:
        """What the encoder begins with, before it knows of places (rows, n, width)."""
        return self._embed(self.source_embedding, ids)

    def encode_vectors(self, vectors: Tensor, mask: Tensor) -> Encoded:
        """Read sources that are vectors already."""
        x = vectors + self._position(0, vectors.shape[1])
        for layer in self.encoder:
            x = layer(x, mask)
        return Encoded([layer.attention.memory(x) for layer in self.decoder], mask)

    def attend(self, source: Tensor, target: Tensor | None) -> Iterator[Tensor]:
        """Weights (heads, n, m) for one source, layer by layer: of its encoder, or of the decoder over it."""
        x, mask = self._embed(self.source_embedding, source) + self._position(0, source.shape[1]), torch.zeros(1)
        if target is not None:
            encoded, x = self.encode(source, [source.shape[1]]), self.begin(target)
        for number, layer in enumerate(self.encoder if target is None else self.decoder):
            memory = layer.attention.memory(x) if target is None else encoded.memories[number]
            mixed, weights = layer.attention.with_heads(x if target is None else layer.recurrence(x), memory, mask)
            x = layer.feed(mixed)
            yield weights[0]

    def begin(self, targets: Tensor) -> Tensor:
        """What the decoder reads before each target token (rows, n, width)."""
        before = F.pad(self._embed(self.target_embedding, targets[:, :-1]), (0, 0, 1, 0))
        return before + self._position(0, targets.shape[1])

    def decode(self, encoded: Encoded, targets: Tensor) -> tuple[Tensor, Tensor]:
        """States before each target token (rows, n, width), and the alignment (rows, n, source), in one pass."""
        x = self.begin(targets)
        for layer, memory in zip(self.decoder[:-1], encoded.memories, strict=False):
            x = layer.feed(layer.attention(layer.recurrence(x), memory, encoded.mask))
        last = self.decoder[-1]
        x, weights = last.attention.with_weights(last.recurrence(x), encoded.memories[-1], encoded.mask)
        return last.feed(x), weights

    def start(self, rows: int) -> list[Tensor]:
        """The cells of each decoder layer before the first token."""
        return [torch.zeros(rows, self.shape.width) for _ in self.decoder]

    def step(self, encoded: Encoded, cells: list[Tensor], ids: Tensor | None, place: int) -> tuple[Tensor, Tensor]:
        """One token later: the state (rows, width) and its alignment (rows, source). Changes `cells`.

        `ids` (rows) are the tokens chosen last; None before the first, which has a position and no token.
        """
        x = self._position(place, place + 1).expand(cells[0].shape[0], -1)
        if ids is not None:
            x = self._embed(self.target_embedding, ids) + x
        weights = x
        for number, (layer, memory) in enumerate(zip(self.decoder, encoded.memories, strict=True)):
            x, cells[number] = layer.recurrence.step(x, cells[number])
            mixed, weights = layer.attention.with_weights(x[:, None], memory, encoded.mask)
            x = layer.feed(mixed[:, 0])
        return x, weights[:, 0]

    def logits(self, states: Tensor) -> Tensor:
        """Of every token of the target vocabulary."""
        return F.linear(states, self.target_embedding.weight, self.output_bias)

    def output(self, ids: Tensor) -> Callable[[Tensor], Tensor]:
        """The last product, for these words alone."""
        weight, bias = self.target_embedding.weight[ids], self.output_bias[ids]
        return lambda states: F.linear(states, weight, bias)

    def _embed(self, embedding: nn.Embedding, ids: Tensor) -> Tensor:
        return F.embedding(ids, embedding.weight) * math.sqrt(self.shape.width)

    def _position(self, start: int, end: int) -> Tensor:
        if end > len(self._positions):
            self._positions = positions(2 * end, self.shape.width)
        return self._positions[start:end]


def positions(count: int, width: int) -> Tensor:
    """Sinusoidal positions (count, width): all sines, then all cosines."""
    half = width // 2
    rates = torch.exp(torch.arange(half) * (-math.log(10000.0) / (half - 1)))
    angles = torch.arange(count)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], 1)


def padding_mask(lengths: Sequence[int], width: int) -> Tensor:
    """What is added to attention scores (rows, 1, 1, width)."""
    is_pad = torch.arange(width)[None] >= torch.tensor(lengths)[:, None]
    return torch.zeros(is_pad.shape).masked_fill_(is_pad, float("-inf"))[:, None, None]


def pad(rows: Sequence[Sequence[int]]) -> tuple[Tensor, list[int]]:
    """Rows of ids as one tensor, filled with EOS on the right, and their lengths."""
    lengths = [len(row) for row in rows]
    width = max(lengths)
    return torch.tensor([[*row, *[EOS] * (width - len(row))] for row in rows]), lengths


def _embedding(size: int, width: int) -> nn.Embedding:
    """Random weights on no device would have torch import its compiler: seconds before the first answer."""
    weight = torch.empty(size, width)
    return nn.Embedding(size, width, _weight=weight if weight.is_meta else weight.normal_())


def build(shape: Shape, weights: dict[str, Tensor]) -> Student:
    """A student with these weights, without making random ones first. Raises ValueError where they do not fit."""
    with torch.device("meta"):
        student = Student(shape)
    wanted = {name: tuple(value.shape) for name, value in student.state_dict().items()}
    if not shape.target_size:
        weights = weights | {"target_embedding.weight": weights["source_embedding.weight"]}
    found = {name: tuple(value.shape) for name, value in weights.items()}
    if found != wanted:
        differing = sorted(name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name))
        raise ValueError(f"weights that do not fit: {', '.join(differing[:3])}")
    student.load_state_dict(weights, assign=True)
    if not shape.target_size:
        student.target_embedding = student.source_embedding
    return student.eval().requires_grad_(False)


def shape_of(table: dict[str, Any]) -> Shape:
    """A Shape from JSON. Raises ValueError where a size is missing or beyond reason."""
    try:
        shape = Shape(**{name: int(table[name]) for name in Shape.__dataclass_fields__})
    except (KeyError, TypeError) as error:
        raise ValueError(f"its shape is not whole: {error}") from None
    limits = {"width": 2048, "heads": 64, "inner": 8192, "encoder_layers": 24, "decoder_layers": 24}
    is_sound = all(0 < getattr(shape, name) <= limit for name, limit in limits.items())
    if not is_sound or shape.width % shape.heads or shape.width % 2 or not 8 <= shape.source_size <= 2**20:
        raise ValueError("its shape is beyond what a student has")
    return shape
