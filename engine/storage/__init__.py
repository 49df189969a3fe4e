"""What is kept for a while: values under names, each with an end. Files do it now; a database can promise the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from engine.settings import Settings


class Storage(Protocol):
    """Values for JSON by name. Whoever knows a name may read its value: a secret is a name that nobody can guess."""

    def read(self, name: str) -> dict[str, Any] | None:
        """The value under that name; None when there is none, or none any more."""
        ...

    def write(self, name: str, value: Mapping[str, Any], seconds: float) -> bool:
        """Keep a value for so long, in place of an earlier one; False where it is too large, or cannot be kept."""
        ...

    def delete(self, name: str) -> None:
        """Let go of it; nothing happens where there is none."""
        ...


def open_storage(settings: Settings) -> Storage:
    """Where these settings say; nothing is written before somebody keeps something."""
    from engine.storage.files import Files

    return Files(settings.storage_folder, settings.storage_bytes)
