"""A GGUF becomes another, once, beside the file it came from: with weights that this processor multiplies faster, and
that keep a seed's text from depending on who else is answered.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from engine.backends.gguf import BLOCKS, Header, Tensor, read_header, size_of
from engine.catalogue.copies import Copy, command
from engine.errors import PeopleError
from engine.settings import expected_device

if TYPE_CHECKING:
    from engine.catalogue.models import Model
    from engine.settings import Settings

log = logging.getLogger(__name__)

SUFFIX = ".requantized4.gguf"
"""With another number when this module makes other copies."""
Q4_1, Q8_0, Q4_K = 3, 8, 12
K_QUANTS = range(10, 15)
SLOW = (Q4_1, 7)
"""ggml types (7 is Q5_1) for which llama.cpp has no product of matrices on a CPU, only one row with one token. Nor has
it one for K-quants, but Gemma with Q8_0 for all of them writes only 1.03 times as fast, for 10 MB more memory."""
LITTLE_BYTES = 64 * 2**20
"""Growth up to which slow weights become Q8_0. SmolLM2 (46 MB more) then writes 1.03 times the tokens a second for
one, 1.13 for 8 and 1.34 for 32; a large model would have to read twice its bytes for each token."""
WIDE_ROW, MOST_GROWTH = 1024, 1.25
"""Rows of K-quants from which on a token's numbers depend on how many are in the batch, and how many times as large the
copy may be that mends it: one of Q6_K throughout would be a third larger."""
CHUNK = 2**22
"""Values that are converted at a time."""


def requantized(path: Path, header: Header) -> Path:
    """The file itself, or its copy with other weights, made now if it is not there.

    Where little is added, slow weights become Q8_0. Wide K-quants make all K-quants Q4_1 and Q8_0: llama.cpp
    multiplies them in another way from four tokens in a batch on, so that a seed's text depends on who else is
    answered. Where it would grow too much or the disk is full, the file itself stays in use.
    """
    if not _is_wanted(header):
        return path
    try:
        return COPY.made(path)
    except OSError as error:
        log.warning("%s could not be requantized (%s)", path.name, error)
        return path


def missing_copy(model: Model, path: Path, settings: Settings) -> list[str]:
    """The command that makes the copy; none where there is no need."""
    if model.runtime != "llamacpp" or expected_device(settings.device) != "cpu" or COPY.find(path):
        return []
    try:
        return command(__name__, path) if _is_wanted(read_header(path)) else []
    except PeopleError:  # whoever asks for the model is told
        return []


def _is_wanted(header: Header) -> bool:
    return _new_kinds(header) != [tensor.kind for tensor in header.tensors]


def _new_kinds(header: Header) -> list[int]:
    """The type that each tensor shall have."""
    old = [tensor.kind for tensor in header.tensors]
    if not BLOCKS.keys() >= set(old):
        return old

    def growth(kinds: list[int]) -> int:
        pairs = zip(header.tensors, kinds, strict=True)
        return sum(size_of(tensor.count, kind) - tensor.size_bytes for tensor, kind in pairs)

    fast = [Q8_0 if kind in SLOW else kind for kind in old]
    kinds = fast if growth(fast) <= LITTLE_BYTES else old
    if any(tensor.kind in K_QUANTS and tensor.shape[:1] >= (WIDE_ROW,) for tensor in header.tensors):
        same = [Q4_1 if kind == Q4_K else Q8_0 if kind in K_QUANTS else kind for kind in kinds]
        if header.size_bytes + growth(same) <= MOST_GROWTH * header.size_bytes:
            return same
    return kinds


def _write(path: Path, target: Path) -> None:
    header = read_header(path)
    _copy(path, header, _new_kinds(header), target)


def _copy(path: Path, header: Header, kinds: list[int], target: Path) -> None:
    """Write the file with its metadata as it is and its tensors in these types."""
    tensors, offset = [], 0
    for tensor, kind in zip(header.tensors, kinds, strict=True):
        tensors.append(replace(tensor, kind=kind, offset=offset))
        offset = header.aligned(offset + tensors[-1].size_bytes)
    with path.open("rb") as source, target.open("wb") as copy:
        copy.write(source.read(header.metadata_end))
        copy.write(b"".join(map(_entry, tensors)))
        for old, new in zip(header.tensors, tensors, strict=True):
            copy.write(bytes(-copy.tell() % header.alignment))
            source.seek(header.data_start + old.offset)
            for piece in _converted(source, old, new.kind):
                copy.write(piece)
        copy.write(bytes(-copy.tell() % header.alignment))


def _entry(tensor: Tensor) -> bytes:
    name = tensor.name.encode()
    numbers = (*tensor.shape, tensor.kind, tensor.offset)
    form = f"<Q{len(name)}sI{len(tensor.shape)}QIQ"
    return struct.pack(form, len(name), name, len(tensor.shape), *numbers)


def _converted(source: BinaryIO, tensor: Tensor, kind: int) -> Iterator[bytes]:
    """A tensor's data in another type, piece by piece."""
    convert = _conversion(tensor.kind, kind)
    for start in range(0, tensor.count, CHUNK):
        yield convert(source.read(size_of(min(CHUNK, tensor.count - start), tensor.kind)))


def _conversion(old: int, new: int) -> Callable[[bytes], bytes]:
    if old == new:
        return bytes
    import numpy as np
    from gguf import GGMLQuantizationType
    from gguf.quants import dequantize, quantize

    def convert(data: bytes) -> bytes:
        blocks = np.frombuffer(data, np.uint8).reshape(-1, BLOCKS[old][1])
        if (old, new) == (Q4_K, Q4_1):
            return bytes(_as_q4_1(blocks))
        return bytes(quantize(dequantize(blocks, GGMLQuantizationType(old)), GGMLQuantizationType(new)))

    return convert


def _as_q4_1(blocks: Any) -> Any:
    """Blocks of Q4_K (number, 144 bytes) as Q4_1 (number, 160): the same 4 bits, 32 with a scale and a minimum.

    In Q4_K these are products of 6 bits with two numbers that 256 weights share: only their rounding is lost.
    """
    import numpy as np
    from gguf.quants import Q4_K as Reader

    shared = blocks[:, :4].copy().view(np.float16).astype(np.float32)
    scales, minima = Reader.get_scale_min(blocks[:, 4:16])
    steps = np.stack([shared[:, :1] * scales, -shared[:, 1:] * minima], axis=-1).astype(np.float16)
    bits = blocks[:, 16:].reshape(-1, 4, 1, 32) >> np.array([0, 4], np.uint8).reshape(1, 1, 2, 1) & 15
    bits = bits.reshape(-1, 2, 16)
    packed = bits[:, 0] | bits[:, 1] << 4
    return np.concatenate([steps.reshape(-1, 2).view(np.uint8), packed], axis=1).reshape(len(blocks), -1)


COPY = Copy(SUFFIX, _write)
