"""Tensors in files small enough to come back from the GPU: a safetensors file in parts, and what it is about."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from engine.errors import InputError, NotFoundError

PART_BYTES = 15 * 2**20
"""The machine hands back files of at most 16 MiB, eight of them, 64 MiB together."""
ABOUT = "about.json"


def write(folder: Path, tensors: Mapping[str, torch.Tensor], about: Mapping[str, Any]) -> None:
    """Replace the folder by one with these tensors; a kill at any moment leaves the old one or the new one."""
    data = save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    part, old = folder.with_name(f"{folder.name}.part"), folder.with_name(f"{folder.name}.old")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    starts = range(0, len(data), PART_BYTES)
    for number, start in enumerate(starts):
        (part / f"{number:02d}").write_bytes(data[start : start + PART_BYTES])
    described = {**about, "parts": len(starts), "sha256": hashlib.sha256(data).hexdigest()}
    (part / ABOUT).write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")
    if folder.exists():
        shutil.rmtree(old, ignore_errors=True)
        folder.rename(old)
    part.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def exists(folder: Path) -> bool:
    """Whether there is a parcel, or one that a kill left half replaced."""
    return (folder / ABOUT).is_file() or (folder.with_name(f"{folder.name}.old") / ABOUT).is_file()


def read(folder: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Tensors, and what they are about.

    Raises NotFoundError where there is none, InputError for a part that is missing or damaged.
    """
    if not (folder / ABOUT).is_file():
        folder = folder.with_name(f"{folder.name}.old")
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        data = b"".join((folder / f"{number:02d}").read_bytes() for number in range(about["parts"]))
        if hashlib.sha256(data).hexdigest() != about["sha256"]:
            raise ValueError("its parts are not those that were written")
        return load(data), about
    except FileNotFoundError as error:
        raise NotFoundError(f"There is no whole parcel in {folder.name}: {error.filename} is missing.") from None
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise InputError(f"The parcel in {folder.name} is damaged ({error}). Fetch it again.", "run") from None
