"""What ships of a trained head: its layers in int8 with a scale for each output, the rest in float32, no embeddings."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from engine.backends.pytorch.packed import SCALE, in_int8
from engine.files import placed

BASE = "multilingual-e5-small"
TEMPERATURES = torch.exp(torch.linspace(-1.5, 1.5, 61))


def fit_temperature(rows: Sequence[tuple[Tensor, int]]) -> float:
    """Of logits and the right place in each: what to divide them by so that the right ones are likeliest (Guo 2017)."""
    losses = torch.stack([
        sum((torch.nn.functional.cross_entropy(logits[None] / one, torch.tensor([right])) for logits, right in rows),
            torch.tensor(0.0))
        for one in TEMPERATURES
    ])  # fmt: skip
    return float(TEMPERATURES[losses.argmin()])


def export(module: Any, encoder: Path, folder: Path, settings: Mapping[str, Any]) -> None:
    """Write the head's folder; `encoder` is that of the base, whose configuration it keeps."""
    tensors: dict[str, Tensor] = {}
    for name, value in module.state_dict().items():
        if ".embeddings." in name:
            continue
        if ".encoder." in name and value.ndim == 2:
            tensors[name], tensors[name + SCALE] = in_int8(value)
        else:
            tensors[name] = value.float().clone()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with placed(folder) as new:
        save_file(tensors, new / "model.safetensors", {"format": "pt"})
        (new / "config.json").write_text(config_of(module, encoder, settings), encoding="utf-8")


def config_of(module: Any, encoder: Path, settings: Mapping[str, Any]) -> str:
    """The config.json of what is put on an encoder: the encoder's own, its base, and more."""
    config = json.loads((encoder / "config.json").read_text(encoding="utf-8"))
    config |= {"architectures": [type(module).__name__], "base": BASE, **settings}
    return json.dumps(config, indent=1) + "\n"
