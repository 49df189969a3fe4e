"""Copies that runtimes need are made in the background, one at a time, each in a process of its own."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from engine.backends.loader import runtimes
from engine.catalogue.models import Model
from engine.jobs import process
from engine.settings import Settings

if TYPE_CHECKING:
    from engine.catalogue.store import Store

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.1


class Installs:
    """The copies under way. What failed is not begun again before the next start."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._one = threading.Lock()
        self._known: set[tuple[str, ...]] = set()
        self._threads: list[threading.Thread] = []
        self._is_over = threading.Event()

    def begin(self, model: Model, path: Path, settings: Settings) -> None:
        """Have the copies made that would serve the model faster; returns at once."""
        for runtime in runtimes():
            if command := runtime.install(model, path, settings):
                with self._lock:
                    is_new = tuple(command) not in self._known
                    self._known.add(tuple(command))
                if is_new:
                    self._threads.append(threading.Thread(target=self._make, args=(command,), daemon=True))
                    self._threads[-1].start()

    @property
    def is_busy(self) -> bool:
        """Whether a copy is being made or waits for its turn."""
        return any(thread.is_alive() for thread in self._threads)

    def close(self) -> None:
        """End what is under way; nothing of it stays."""
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def _make(self, command: list[str]) -> None:
        with self._one:
            if self._is_over.is_set():
                return
            child = process.start(process.python(*command))
            try:
                while child.poll() is None and not self._is_over.wait(LOOK_SECONDS):
                    pass
            finally:
                process.end(child)
        if child.returncode == 0:
            with self._lock:
                self._known.discard(tuple(command))  # should the copy be damaged, it is made again


def prepare(store: Store, is_over: threading.Event) -> None:
    """Make the copies that the first answers of embedded models would do without; ends with `is_over`."""
    installs = Installs()
    for model in store.ready_embedded():
        if not is_over.is_set():
            installs.begin(model, store.path(model.id), store.settings)
    while installs.is_busy and not is_over.wait(LOOK_SECONDS):
        pass
    installs.close()
