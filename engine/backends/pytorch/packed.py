"""Encoders whose matrices are kept packed in four bits: layers are unpacked when they are read, the table of word
embeddings row by row when a piece is met."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import safe_open
from torch import Tensor, nn

from engine.backends.e5.conversion import CODES, SCALES
from engine.files import read_json

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
        return unpacked(self.codes[met], self.scales[met].view(torch.float16)).to(self.dtype)[places]


def unpacked(codes: Tensor, scales: Tensor) -> Tensor:
    """Numbers of four bits, as `e5.published.Packed` has them, in float32: (…, columns / 2) to (…, columns)."""
    blocks = codes.unflatten(-1, (scales.shape[-1], -1))
    numbers = torch.cat([blocks & 15, blocks >> 4], -1).float() - 8
    return (numbers * scales.float()[..., None]).flatten(-2)


def is_packed(folder: Path) -> bool:
    """Whether a folder's weights are for this module."""
    return bool(read_json(folder / "config.json").get("is_packed"))


def load(folder: Path, auto_class: str, dtype: torch.dtype = torch.float32, **options: Any) -> Any:
    """The encoder, or a class with a head on it that is new, with its table packed; `options` go to the configuration.

    Raises OSError, SafetensorError, KeyError or RuntimeError where files are missing or damaged.
    """
    config = transformers.AutoConfig.from_pretrained(folder, **LOCAL, **options)
    pieces = config.vocab_size
    config.vocab_size = 1 + (config.pad_token_id or 0)  # no table of floats is made to be thrown away
    arguments = {"add_pooling_layer": False} if auto_class == "AutoModel" else {}
    module = getattr(transformers, auto_class).from_config(config, **arguments)
    config.vocab_size = pieces
    tensors, table = _read(folder / "model.safetensors", dtype)
    base = module.base_model
    base.embeddings.word_embeddings = table
    report = base.load_state_dict(tensors, strict=False)
    if missing := [name for name in report.missing_keys if not name.startswith("pooler.")]:
        raise KeyError(missing[0])
    return module.to(dtype)


def _read(file: Path, dtype: torch.dtype) -> tuple[dict[str, Tensor], PackedEmbedding]:
    tensors = {}
    with safe_open(file, "pt") as opened:
        for name in opened.keys():  # noqa: SIM118, it is no mapping
            if name.endswith(CODES):
                matrix = name.removesuffix(CODES)
                if matrix != WORDS:
                    tensors[matrix] = unpacked(opened.get_tensor(name), opened.get_tensor(matrix + SCALES))
            elif not name.endswith(SCALES):
                tensors[name] = opened.get_tensor(name)
        table = PackedEmbedding(opened.get_tensor(WORDS + CODES), opened.get_tensor(WORDS + SCALES), dtype)
    return tensors, table
