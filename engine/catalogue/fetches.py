"""One download of the store: how far it is, and the note of it in the cache from which other processes read that."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from pathlib import Path

from engine.catalogue.models import Model
from engine.catalogue.sources import Availability, State
from engine.catalogue.transfer import Transfer
from engine.errors import PeopleError
from engine.files import read_json, write_json
from engine.messages import Text, read

HEARTBEAT_SECONDS = 0.5
FRESH_SECONDS = 10.0
"""A progress file older than this belongs to a process that is gone."""


class Fetch:
    """One model on its way: written by its thread, read by anybody."""

    def __init__(self, model: Model, is_owners: bool = False) -> None:
        self.model, self.is_owners = model, is_owners
        self.transfer = Transfer(model.source.download_bytes(model))
        self.state: State = "fetching"
        self.error: PeopleError | None = None
        self.is_waiting = True
        """For its turn here, or for another process that fetches the same model."""
        self.is_over = threading.Event()
        self._noted = 0.0

    @property
    def progress(self) -> Availability:
        now = self.transfer
        step = Text("waiting for its turn") if self.is_waiting else now.step
        return _under_way(now.done_bytes, now.total_bytes, now.bytes_per_second, step)

    def end(self, error: PeopleError | None = None) -> None:
        self.error = error
        self.state = "failed" if error else "ready"
        self.is_over.set()

    def note(self, path: Path, *, is_going: bool = True) -> None:
        """Keep the progress file fresh, and at the end say in it that nobody works on it any more."""
        if is_going and time.monotonic() - self._noted < HEARTBEAT_SECONDS:
            return
        self._noted, now = time.monotonic(), self.transfer
        note = {"id": self.model.id, "is_going": is_going, "done": now.done_bytes, "total": now.total_bytes}
        write_json(path, note | {"speed": now.bytes_per_second, "step": now.step.as_json()})


def read_progress(path: Path) -> Availability | None:
    """The progress of another process; None where nobody works on it."""
    with suppress(OSError, LookupError, TypeError, ValueError, AttributeError):  # whatever is in it
        if time.time() - path.stat().st_mtime < FRESH_SECONDS:
            note = read_json(path)
            if note.get("is_going"):
                return _under_way(note["done"], note["total"], note["speed"], read(note["step"]))
    return None


def _under_way(done: int, total: int, speed: float | None, step: Text) -> Availability:
    left = (total - done) / speed if speed and total else None
    return Availability("fetching", done, total, speed, left, step if step.template else Text("downloading"))
