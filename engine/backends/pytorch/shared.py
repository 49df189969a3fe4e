"""What models on one encoder share in memory: its tokenizer, with the lock that guards it, and its word embeddings."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from weakref import WeakSet, WeakValueDictionary

_bases: WeakValueDictionary[tuple[str, int], Base] = WeakValueDictionary()
_looking = threading.Lock()


class Base:
    """Of one folder; it lasts as long as a model on it does."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer, self.lock = tokenizer, threading.Lock()
        self.bytes_held = 0
        self.users: WeakSet[Any] = WeakSet()

    def share(self) -> int:
        """Bytes that each of its users answers for, so that they add up to what is held."""
        return self.bytes_held // max(1, len(self.users))


def base_of(folder: Path, user: Any, read: Callable[[], Any]) -> Base:
    """The base in a folder, read by the first of its users. Raises as `read` does, which makes its tokenizer."""
    key = str(folder.resolve()), (folder / "tokenizer.json").stat().st_mtime_ns
    with _looking:
        base = _bases.get(key)
        if base is None:
            base = _bases[key] = Base(read())
        base.users.add(user)
        return base
