"""What is kept for a while, in SQLite or PostgreSQL: values under names, each with an end, and counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from engine.errors import NotReadyError
from engine.settings import Settings

FOR_EVER = float("inf")
"""Seconds of what has no end."""
HOSTS_OWN = frozenset({"key", "sign-in", "switch", "report", "feedback"})
"""Kinds that are kept for the host: the room for what visitors leave is not theirs, and they do not make way for it."""


class StorageError(NotReadyError):
    """What is kept cannot be reached for the moment."""

    kind = "storage"


@dataclass(frozen=True)
class Entry:
    """A value with what is known of it; `id` is a hash of its name. Times in seconds since 1970."""

    id: str
    kind: str
    made: float
    ends: float
    bytes: int
    value: dict[str, Any]


class Storage(Protocol):
    """Values for JSON by name. Whoever knows a name may read its value: a secret is a name that nobody can guess.

    Names and owners are kept as hashes. All but `write` raise StorageError while the database cannot be reached.
    """

    def read(self, name: str) -> dict[str, Any] | None:
        """The value under that name; None when there is none, or none any more."""
        ...

    def entry(self, name: str) -> Entry | None:
        """The value under that name with what is known of it."""
        ...

    def extend(self, name: str, seconds: float) -> None:
        """Have what is there end so long from now, instead of when it was to."""
        ...

    def write(self, name: str, value: Mapping[str, Any], seconds: float, *, kind: str = "", owner: str = "") -> bool:
        """Keep a value for so long, in place of an earlier one; False where it is too large, or cannot be kept."""
        ...

    def delete(self, name: str) -> None:
        """Let go of it; nothing happens where there is none."""
        ...

    def listed(self, kind: str, owner: str | None = None, most: int = 100) -> list[Entry]:
        """What is kept of a kind, of all owners or of one, the latest first."""
        ...

    def remove(self, id: str) -> None:
        """Let go of what `listed` showed."""
        ...

    def forget(self, owner: str) -> int:
        """Let go of all that an owner has, and tell how much it was."""
        ...

    def usage(self) -> dict[str, tuple[int, int]]:
        """Values and bytes by kind."""
        ...

    def count(self, name: str, amount: int, seconds: float) -> tuple[int, float]:
        """Add to a count that begins anew so long after its first; the sum, and when it ends."""
        ...

    def counted(self, name: str) -> tuple[int, float]:
        """The sum and the end of a count; (0, 0) of one that is not there."""
        ...

    def prepare(self) -> None:
        """Open it before anybody waits for that, and take over what an earlier version kept in files."""
        ...

    def close(self) -> None:
        """Let go of all connections."""
        ...


def at_hand(storage: Storage, name: str) -> dict[str, Any] | None:
    """The value under that name, None also while it cannot be reached: for what can be made again."""
    try:
        return storage.read(name)
    except StorageError:
        return None


def open_storage(settings: Settings) -> Storage:
    """Where these settings say; nothing is opened before it is asked for."""
    from engine.storage.database import Database

    return Database(settings.database, settings.storage_folder, settings.storage_bytes)
