"""Copies that runtimes need are made in the background, one at a time, each in a process of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from engine.catalogue.models import Model
from engine.jobs import process
from engine.priority import LAST
from engine.settings import Settings

Commands = Callable[[Model, Path, Settings], Iterable[list[str]]]
"""What is to be run (arguments of `python -m`) for the copies that runtimes want of a model and have not got."""
LOOK_SECONDS = 0.1
MAX_SECONDS = 3600.0
"""Of one copy; a process that hangs does not hold the others for ever."""
NICE: int | None = LAST
"""Copies are made behind all other work."""


class Installs:
    """The copies under way. What failed is not begun again before the next start."""

    def __init__(self, commands: Commands, settings: Settings) -> None:
        self._commands, self._settings = commands, settings
        self._lock = threading.Lock()
        self._one = threading.Lock()
        self._known: set[tuple[str, Path]] = set()
        """Under way, or failed."""
        self._threads: list[threading.Thread] = []
        self._is_over = threading.Event()

    def begin(self, model: Model, path: Path) -> None:
        """Have the copies made that would serve the model faster; returns at once."""
        with self._lock:
            if (model.id, path) in self._known:
                return
            self._known.add((model.id, path))
            thread = threading.Thread(target=self._work, args=(model, path), name="store-install", daemon=True)
            self._threads = [other for other in self._threads if other.is_alive()] + [thread]
            thread.start()

    @property
    def is_busy(self) -> bool:
        """Whether a copy is being made or waits for its turn."""
        return any(thread.is_alive() for thread in self._threads)

    def close(self) -> None:
        """End what is under way; nothing of it stays."""
        self._is_over.set()
        with self._lock:  # one that is listed is also started then
            threads = list(self._threads)
        for thread in threads:
            thread.join()

    def _work(self, model: Model, path: Path) -> None:
        with self._one:
            if all(map(self._run, self._commands(model, path, self._settings))):
                with self._lock:
                    self._known.discard((model.id, path))  # should a copy be damaged, it is made again

    def _run(self, command: list[str]) -> bool:
        if self._is_over.is_set():
            return False
        child, end = process.start(process.python(*command), nice=NICE), time.monotonic() + MAX_SECONDS
        try:
            with process.watched(child):
                while child.poll() is None and time.monotonic() < end and not self._is_over.wait(LOOK_SECONDS):
                    pass
        finally:
            process.end(child)
        return child.returncode == 0
