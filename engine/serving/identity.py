"""Which weights a model has on the disk, so that what they answered is told from what others would."""

from __future__ import annotations

import hashlib
from pathlib import Path

from engine.catalogue.cache import MANIFEST
from engine.catalogue.models import Model


def identify(model: Model, path: Path) -> str | None:
    """The sha256 of a model's entry and of its files' names, sizes and times; None when they are not there."""
    try:
        files = [path] if path.is_file() else [file for file in sorted(path.iterdir()) if _is_weights(file)]
        stamps = [(file.name, status.st_size, status.st_mtime_ns) for file in files if (status := file.stat())]
    except OSError:
        return None
    return hashlib.sha256(repr((model, str(path), stamps)).encode()).hexdigest() if stamps else None


def _is_weights(file: Path) -> bool:
    """Whether a file is the model's own: the manifest's time tells of its use, and copies for a runtime are folders."""
    return file.is_file() and file.name != MANIFEST and not file.name.startswith(".")
