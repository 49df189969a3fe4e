"""Values as files, one each. A file's time of change is its end, so that old ones are found without opening them."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from engine.files import read_json

log = logging.getLogger(__name__)

MAX_VALUE_BYTES = 2 * 2**20
SWEEP_SECONDS = 600.0
"""Between two looks for what has ended."""


class Files:
    """At most `limit_bytes` of them (0 keeps nothing); what ends soonest makes room. `now` in seconds since 1970."""

    def __init__(self, folder: Path, limit_bytes: int, now: Callable[[], float] = time.time) -> None:
        self.folder, self.limit_bytes, self.now = folder, limit_bytes, now
        self._used_bytes, self._swept = 0, 0.0
        self._lock = threading.Lock()

    def read(self, name: str) -> dict[str, Any] | None:
        """The value under that name; None when there is none, or none any more."""
        path = self._path(name)
        with suppress(OSError):
            return (read_json(path) or None) if path.stat().st_mtime > self.now() else None
        return None

    def write(self, name: str, value: Mapping[str, Any], seconds: float) -> bool:
        """Keep a value for so long, in place of an earlier one; False where it is too large, or cannot be kept."""
        content = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        if len(content) > min(MAX_VALUE_BYTES, self.limit_bytes):
            return False
        end, new = self.now() + seconds, self.folder / f"{secrets.token_hex(8)}.new"
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)  # texts are for nobody else on the machine
            new.write_bytes(content)
            os.utime(new, (end, end))
            new.replace(self._path(name))
        except OSError as error:
            log.warning("nothing is kept in %s: %s", self.folder, error)
            return False
        with self._lock:
            self._used_bytes += len(content)
            if self._used_bytes > self.limit_bytes or self.now() - self._swept > SWEEP_SECONDS:
                self._sweep()
        return True

    def delete(self, name: str) -> None:
        """Let go of it; nothing happens where there is none."""
        self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        """A name may hold anything, also what a visitor typed."""
        return self.folder / f"{hashlib.sha256(name.encode('utf-8', 'replace')).hexdigest()}.json"

    def _sweep(self) -> None:
        """Delete what has ended, then what ends soonest until a tenth of the room is free."""
        self._swept, now = self.now(), self.now()
        files = sorted(_files(self.folder))
        used, aim = sum(size for _, size, _ in files), 0.9 * self.limit_bytes
        is_short = used > self.limit_bytes
        for end, size, path in files:
            if end > now and not (is_short and used > aim):
                break
            with suppress(OSError):
                os.unlink(path)
            used -= size
        self._used_bytes = used


def _files(folder: Path) -> list[tuple[float, int, str]]:
    """End, size and path of each."""
    found = []
    for entry in os.scandir(folder):
        with suppress(OSError):
            found.append((entry.stat().st_mtime, entry.stat().st_size, entry.path))
    return found
