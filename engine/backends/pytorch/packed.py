"""Encoders whose matrices are kept packed in four bits: layers are unpacked when they are read, the table of word
embeddings row by row when a piece is met."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import torch
import transformers
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from engine.backends.e5.conversion import CODES, SCALES
from engine.files import read_json

WEIGHTS, SCALE = "model.safetensors", ".scale"
"""A file's name, and what follows the name of a matrix in int8: its scale for each row."""
LOW, LOWS = ".lora_a", ".lora_b"
"""What follows the name of a matrix that an adapter changes: the factors (rank, columns) and (rows, rank) of what is
added to it."""
SCALES_DTYPE = torch.float16
WORDS = "embeddings.word_embeddings.weight"
LOCAL: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}


class PackedEmbedding(nn.Module):
    """A frozen table of (pieces, width): 54 MB of 384 for the encoder. To unpack the rows of a batch takes about a
    hundredth of its pass through the layers."""

    codes: Tensor
    scales: Tensor

    def __init__(self, codes: Tensor, scales: Tensor, dtype: torch.dtype) -> None:
        super().__init__()
        self.register_buffer("codes", codes, persistent=False)
        self.register_buffer("scales", scales.view(torch.int16), persistent=False)  # a cast would not be for them
        self.dtype = dtype

    def forward(self, ids: Tensor) -> Tensor:
        """Rows of these pieces: (…) to (…, width)."""
        met, places = ids.unique(return_inverse=True)
        return unpacked(self.codes[met], self.scales[met].view(SCALES_DTYPE)).to(self.dtype)[places]


_tables: WeakValueDictionary[tuple[str, int, torch.dtype], PackedEmbedding] = WeakValueDictionary()
_reading = threading.Lock()


def _table(file: Path, dtype: torch.dtype) -> PackedEmbedding:
    """The table of a file of weights, which all models on it share."""
    key = str(file.resolve()), file.stat().st_mtime_ns, dtype
    with _reading:
        table = _tables.get(key)
        if table is None:
            with safe_open(file, "pt") as opened:
                table = PackedEmbedding(opened.get_tensor(WORDS + CODES), opened.get_tensor(WORDS + SCALES), dtype)
            _tables[key] = table
        return table


def unpacked(codes: Tensor, scales: Tensor) -> Tensor:
    """Numbers of four bits, as `e5.published.Packed` has them, in float32: (…, columns / 2) to (…, columns)."""
    blocks = codes.unflatten(-1, (scales.shape[-1], -1))
    numbers = torch.cat([blocks & 15, blocks >> 4], -1).float() - 8
    return (numbers * scales.float()[..., None]).flatten(-2)


def table_bytes(module: nn.Module) -> int:
    """Memory of the tables in a module, which others may share."""
    tables = (part for part in module.modules() if isinstance(part, PackedEmbedding))
    return sum(value.numel() * value.element_size() for table in tables for value in table.buffers())


def is_packed(folder: Path) -> bool:
    """Whether a folder's weights are for this module."""
    return bool(read_json(folder / "config.json").get("is_packed"))


def in_int8(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """A matrix (rows, columns) in int8, and the scale (rows,) of each row."""
    scales = matrix.abs().amax(1).clamp(min=1e-12).float() / 127
    return (matrix / scales[:, None]).round().to(torch.int8), scales


def load(
    folder: Path, auto_class: str, dtype: torch.dtype = torch.float32, base: Path | None = None, **options: Any
) -> Any:
    """The encoder, or a class with a head on it, with its table packed; `options` go to the configuration.

    A head's folder holds its layers alone; the embeddings are in the folder of its base, and so are the layers where it
    holds an adapter. Raises OSError, SafetensorError, KeyError or RuntimeError where files are missing or damaged.
    """
    module, new = load_with_new(folder, auto_class, dtype, base, **options)
    if base and new:
        raise KeyError(new[0])
    return module


def load_with_new(
    folder: Path, auto_class: str, dtype: torch.dtype = torch.float32, base: Path | None = None, **options: Any
) -> tuple[Any, list[str]]:
    """As `load`, and the names of what is new: what the folder lacks beside the encoder, or has in another shape."""
    config = transformers.AutoConfig.from_pretrained(folder, **LOCAL, **options)
    pieces = config.vocab_size
    config.vocab_size = 1 + (config.pad_token_id or 0)  # no table of floats is made to be thrown away
    arguments = {"add_pooling_layer": False} if auto_class == "AutoModel" else {}
    module = getattr(transformers, auto_class).from_config(config, **arguments)
    config.vocab_size = pieces
    encoder = module.base_model
    own = _head(folder / WEIGHTS) if base else {}
    part = "embeddings." if base and not any(name.endswith(LOW) for name in own) else ""
    tensors, encoder.embeddings.word_embeddings = _read((base or folder) / WEIGHTS, dtype, part)
    prefix = "" if encoder is module else f"{module.base_model_prefix}."
    tensors = _adapted({prefix + name: value for name, value in tensors.items()}, own)
    shapes = {name: value.shape for name, value in module.state_dict().items()}
    fitting = {name: value for name, value in tensors.items() if shapes.get(name) == value.shape}
    missing = module.load_state_dict(fitting, strict=False).missing_keys
    if damaged := [name for name in missing if ".layer." in name or "embeddings." in name]:
        raise KeyError(damaged[0])
    return module.to(dtype), missing


def _head(file: Path) -> dict[str, Tensor]:
    tensors = load_file(file)
    scales = {name: tensors.pop(name) for name in list(tensors) if name.endswith(SCALE)}
    for name, scale in scales.items():
        matrix = name.removesuffix(SCALE)
        tensors[matrix] = tensors[matrix].float() * scale[:, None]
    return tensors


def _adapted(tensors: dict[str, Tensor], own: dict[str, Tensor]) -> dict[str, Tensor]:
    """An encoder's tensors with what a head or an adapter has of its own."""
    for name in [name for name in own if name.endswith(LOW)]:
        matrix = name.removesuffix(LOW)
        low, lows = own.pop(name).float(), own.pop(matrix + LOWS).float()
        own[matrix] = tensors[matrix] + lows @ low
    return tensors | own


def _read(file: Path, dtype: torch.dtype, part: str) -> tuple[dict[str, Tensor], PackedEmbedding]:
    """The encoder's tensors whose names begin so, unpacked, and the table of its word embeddings."""
    tensors = {}
    with safe_open(file, "pt") as opened:
        for name in (name for name in opened.keys() if name.startswith(part)):  # noqa: SIM118, it is no mapping
            matrix = name.removesuffix(CODES)
            if matrix != name and matrix != WORDS:
                tensors[matrix] = unpacked(opened.get_tensor(name), opened.get_tensor(matrix + SCALES))
            elif matrix == name and not name.endswith(SCALES):
                tensors[name] = opened.get_tensor(name)
    return tensors, _table(file, dtype)
