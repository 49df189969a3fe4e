"""A GGUF whose K-quants keep answers from repeating becomes one that repeats, once, beside the file it came from."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path
from typing import Any

from engine.backends.gguf import Header

log = logging.getLogger(__name__)

SUFFIX = ".repeatable2.gguf"
"""With another number when this module makes other copies."""
MAX_GROWTH = 1.25
"""Most that the copy may be larger than the file; a model of K-quants throughout would double and slow down."""


def repeatable(path: Path, header: Header) -> Path:
    """The file itself, or a copy of it with its K-quants as Q4_1 and Q8_0, made now if it is not there.

    llama.cpp multiplies K-quants with rows of 1,024 and more in another way from four tokens in a batch on, so that a
    seed's text depends on who else is answered; the products of Q4_1 and Q8_0 do not. The copy appears by renaming,
    also when two processes make it at once. Where it would grow too much or the disk is full, the file itself stays in
    use.
    """
    if not header.has_wide_k_quants:
        return path
    copy = path.with_name(path.stem + SUFFIX)
    if copy.is_file():
        return copy
    draft, whole = (path.with_name(f".{path.stem}.{os.getpid()}.{end}") for end in ("draft", "part"))
    try:
        _copy(path, draft)
        if draft.stat().st_size > MAX_GROWTH * header.size_bytes:
            return path
        # Once more in large pieces: of a file written tensor by tensor Linux keeps small pages in memory, and
        # llama.cpp, which maps it, wrote a sixth fewer tokens a second (35 to 42).
        shutil.copyfile(draft, whole)
        whole.replace(copy)
    except OSError as error:
        log.warning("%s could not be made repeatable (%s)", path.name, error)
        return path
    finally:
        draft.unlink(missing_ok=True)
        whole.unlink(missing_ok=True)
    return copy


def _copy(path: Path, target: Path) -> None:
    from gguf import GGMLQuantizationType, GGUFReader, GGUFWriter
    from gguf.quants import dequantize, quantize

    reader = GGUFReader(path)
    writer: Any = GGUFWriter(target, reader.fields["general.architecture"].contents())
    for name, field in reader.fields.items():
        if not name.startswith("GGUF.") and name != "general.architecture":
            kind, *inner = field.types
            writer.add_key_value(name, field.contents(), kind, inner[0] if inner else None)
    for tensor in reader.tensors:
        kind, values = tensor.tensor_type, tensor.data
        if kind is GGMLQuantizationType.Q4_K:
            kind, values = GGMLQuantizationType.Q4_1, _as_q4_1(values)
        elif kind.name.endswith("_K"):
            kind = GGMLQuantizationType.Q8_0
            values = quantize(dequantize(tensor.data, tensor.tensor_type), kind)
        writer.add_tensor(tensor.name, values, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _as_q4_1(rows: Any) -> Any:
    """Rows of Q4_K blocks (rows, bytes) as Q4_1: the same 4 bits a weight, 32 with a scale and a minimum in float16.

    In Q4_K these are products of 6 bits with two numbers that 256 weights share: only their rounding is lost.
    """
    import numpy as np
    from gguf.quants import Q4_K

    blocks = np.ascontiguousarray(rows).view(np.uint8).reshape(-1, 144)
    shared = blocks[:, :4].copy().view(np.float16).astype(np.float32)
    scales, minima = Q4_K.get_scale_min(blocks[:, 4:16])
    steps = np.stack([shared[:, :1] * scales, -shared[:, 1:] * minima], axis=-1).astype(np.float16)
    bits = blocks[:, 16:].reshape(-1, 4, 1, 32) >> np.array([0, 4], np.uint8).reshape(1, 1, 2, 1) & 15
    bits = bits.reshape(-1, 2, 16)
    packed = bits[:, 0] | bits[:, 1] << 4
    return np.concatenate([steps.reshape(-1, 2).view(np.uint8), packed], axis=1).reshape(len(rows), -1)
