"""The header of a GGUF file, read without loading it: what the model is, whether the file is whole, what it will need.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (versions 2 and 3, little-endian).
"""

from __future__ import annotations

import math
import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import InputError, NotFoundError

if TYPE_CHECKING:
    from engine.settings import Settings

SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
STRING, ARRAY = 8, 9
ARRAY_HEAD, PAIRS_START = 12, 24
"""Bytes before the items of an array, and before the metadata."""
CONTROL = (2, 3)
"""`tokenizer.ggml.token_type` of what is no text: unknown, control."""
MAX_KEPT_ITEMS = 4096
BLOCKS = {0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 30: (1, 2)} | {
    10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210),
}  # fmt: skip
"""ggml type -> values in a block, bytes of a block. A type that is not listed is only checked for where it starts."""
FILE_TYPES = {
    0: "f32", 1: "f16", 2: "q4_0", 3: "q4_1", 7: "q8_0", 8: "q5_0", 9: "q5_1", 10: "q2_k", 11: "q3_k_s", 12: "q3_k_m",
    13: "q3_k_l", 14: "q4_k_s", 15: "q4_k_m", 16: "q5_k_s", 17: "q5_k_m", 18: "q6_k", 32: "bf16",
}  # fmt: skip
"""`general.file_type` -> its usual name."""


@dataclass(frozen=True)
class Tensor:
    """One tensor's entry: its dimensions, the row's length first, its ggml type, and where it is in the tensor data."""

    name: str
    shape: tuple[int, ...]
    kind: int
    offset: int

    @property
    def count(self) -> int:
        """Values in it."""
        return math.prod(self.shape)

    @property
    def size_bytes(self) -> int:
        """Bytes of its data, 0 for a type that is not in `BLOCKS`."""
        return size_of(self.count, self.kind)


def size_of(count: int, kind: int) -> int:
    """Bytes of so many values of a ggml type, 0 for one that is not in `BLOCKS`."""
    block, size = BLOCKS.get(kind, (1, 0))
    return count // block * size


@dataclass(frozen=True)
class Header:
    """Metadata by key (a long array is kept as its length), the file's size in bytes, and where its parts are."""

    metadata: dict[str, Any]
    size_bytes: int
    tensors: tuple[Tensor, ...] = ()
    metadata_end: int = 0
    """Offset in the file of what comes behind the metadata: the tensors' entries."""
    entries_end: int = 0
    """Offset in the file of what comes behind those entries: the tensor data, from the next multiple of `alignment`."""

    @property
    def alignment(self) -> int:
        """What the offsets of tensors are multiples of, in bytes."""
        return int(self.metadata.get("general.alignment", 32)) or 32

    @property
    def data_start(self) -> int:
        """Offset in the file of the tensor data."""
        return self.aligned(self.entries_end)

    def aligned(self, offset: int) -> int:
        """The next multiple of `alignment`."""
        return math.ceil(offset / self.alignment) * self.alignment

    @property
    def dtype(self) -> str:
        """Usual name of the weights' type."""
        return FILE_TYPES.get(self.metadata.get("general.file_type", -1), "mixed")

    @property
    def trained_context(self) -> int:
        """Longest sequence that the model was trained on, in tokens."""
        return int(self.of_architecture("context_length", 2048))

    def context_tokens(self, settings: Settings) -> int:
        """Longest prompt plus answer: what is set, within what the model was trained on."""
        return min(settings.context_tokens, self.trained_context)

    @property
    def vocabulary_size(self) -> int:
        """Number of tokens."""
        return _length(self.metadata.get("tokenizer.ggml.tokens", 0))

    def of_architecture(self, key: str, default: Any = 0) -> Any:
        """Value of `<architecture>.<key>`."""
        return self.metadata.get(f"{self.metadata.get('general.architecture')}.{key}", default)

    def cache_bytes(self, context_tokens: int, slots: int, value_bytes: int = 2) -> int:
        """Memory of the attention cache of `slots` sequences: keys and values of every layer, 16 bits each."""
        layers, heads = int(self.of_architecture("block_count")), self.of_architecture("attention.head_count", 1)
        per_layer = self.of_architecture("attention.head_count_kv", heads)
        counts = list(per_layer) if isinstance(per_layer, tuple) else [int(per_layer)] * layers
        head_size = self.of_architecture("embedding_length") // max(_largest(heads), 1)
        keys = self.of_architecture("attention.key_length", head_size)
        values = self.of_architecture("attention.value_length", head_size)
        return sum(count * (keys + values) for count in counts) * value_bytes * context_tokens * slots


def _largest(value: Any) -> int:
    return max(value) if isinstance(value, tuple) else int(value)


def _length(value: Any) -> int:
    return len(value) if isinstance(value, tuple) else int(value)


class _Cursor:
    """Reads values one after the other; struct.error or IndexError where the file ends too early."""

    def __init__(self, data: mmap.mmap) -> None:
        self.data, self.at = data, 0

    def scalar(self, form: str) -> Any:
        (value,) = struct.unpack_from(form, self.data, self.at)
        self.at += struct.calcsize(form)
        return value

    def skip_string(self) -> None:
        length = self.scalar("<Q")
        self.at += length
        if self.at > len(self.data):
            raise IndexError("a string ends behind the file")

    def string(self) -> str:
        start = self.at + 8
        self.skip_string()
        return self.data[start : self.at].decode("utf-8", "replace")

    def value(self, kind: int) -> Any:
        if kind == STRING:
            return self.string()
        return self.array() if kind == ARRAY else self.scalar(SCALARS[kind])

    def array(self) -> tuple[Any, ...] | int:
        kind, count = self.scalar("<I"), self.scalar("<Q")
        if count > len(self.data):
            raise IndexError("an array is longer than the file")
        if count <= MAX_KEPT_ITEMS:
            return tuple(self.value(kind) for _ in range(count))
        if kind == STRING:
            for _ in range(count):
                self.skip_string()
        else:
            self.at += count * struct.calcsize(SCALARS[kind])
        return int(count)

    def tensor(self) -> Tensor:
        name = self.string()
        shape = tuple(self.scalar("<Q") for _ in range(self.scalar("<I")))
        return Tensor(name, shape, self.scalar("<I"), self.scalar("<Q"))


def read_header(path: Path) -> Header:
    """Read the header and check that every tensor lies inside the file.

    Raises NotFoundError when there is no such file, InputError when it is not GGUF, damaged or cut short.
    """
    if not path.is_file():
        raise NotFoundError(
            "The model file {file} is not there. Download the model again.", param="model", file=path.name
        )
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _parse(_Cursor(data), len(data))
    except (struct.error, IndexError, KeyError, ValueError, OverflowError) as error:
        raise InputError(
            "The model file {file} is damaged or incomplete ({reason}). Delete the model and download it again.",
            param="model", file=path.name, reason=str(error),
        ) from error  # fmt: skip


def read_control_tokens(path: Path) -> list[str]:
    """The tokens of a whole GGUF file that steer a model, as they are written."""
    places: dict[str, int] = {}
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        cursor = _Cursor(data)
        cursor.at = PAIRS_START
        for _ in range(struct.unpack_from("<Q", data, PAIRS_START - 8)[0]):
            key, kind = cursor.string(), cursor.scalar("<I")
            places[key] = cursor.at
            cursor.value(kind)
        kinds = _kinds(data, places.get("tokenizer.ggml.token_type"))
        if not set(CONTROL) & set(kinds):
            return []
        cursor.at = places["tokenizer.ggml.tokens"] + ARRAY_HEAD
        return [token for kind in kinds if (token := _token(cursor, kind in CONTROL))]


def _kinds(data: mmap.mmap, place: int | None) -> tuple[int, ...]:
    """The kind of each token, of the array at that place."""
    if place is None:
        return ()
    count = struct.unpack_from("<Q", data, place + 4)[0]
    return struct.unpack_from(f"<{count}i", data, place + ARRAY_HEAD)


def _token(cursor: _Cursor, is_wanted: bool) -> str:
    if is_wanted:
        return cursor.string()
    cursor.skip_string()
    return ""


def _parse(cursor: _Cursor, size_bytes: int) -> Header:
    if cursor.data[:4] != b"GGUF":
        raise ValueError("it does not start with GGUF")
    cursor.at = 4
    version, tensors, pairs = cursor.scalar("<I"), cursor.scalar("<Q"), cursor.scalar("<Q")
    if version not in (2, 3) or max(tensors, pairs) > size_bytes:
        raise ValueError(f"version {version}, {tensors} tensors")
    metadata: dict[str, Any] = {}
    for _ in range(pairs):
        key = cursor.string()
        metadata[key] = cursor.value(cursor.scalar("<I"))
    metadata_end = cursor.at
    entries = tuple(cursor.tensor() for _ in range(tensors))
    header = Header(metadata, size_bytes, entries, metadata_end, cursor.at)
    whole = header.data_start + max((entry.offset + entry.size_bytes for entry in entries), default=0)
    if whole > size_bytes:
        raise ValueError(f"{size_bytes:,} of {whole:,} bytes")
    return header
