"""Counts of what callers used, for the library `limits`: kept in the storage, and in memory while that is gone."""

from __future__ import annotations

from limits.storage import MemoryStorage
from limits.storage import Storage as LimitsStorage

from engine.storage import Storage, StorageError


class Counts(LimitsStorage):
    """See `limits.storage.Storage`."""

    STORAGE_SCHEME = None

    def __init__(self, storage: Storage) -> None:
        super().__init__()
        self.storage, self.memory = storage, MemoryStorage()

    @property
    def base_exceptions(self) -> type[Exception]:
        return StorageError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        try:
            return self.storage.count(key, amount, expiry)[0]
        except StorageError:
            return self.memory.incr(key, expiry, amount)

    def get(self, key: str) -> int:
        try:
            return self.storage.counted(key)[0]
        except StorageError:
            return self.memory.get(key)

    def get_expiry(self, key: str) -> float:
        try:
            return self.storage.counted(key)[1]
        except StorageError:
            return self.memory.get_expiry(key)

    def check(self) -> bool:
        return True

    def reset(self) -> int | None:
        return None

    def clear(self, key: str) -> None:
        raise NotImplementedError
