"""One training at a time per folder of runs, first come first served, and below everything else on the processor."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from engine import SPIN_COUNT, priority
from engine.training.run import Run, read_status

LOCK_FILE = ".lock"
LOOK_SECONDS = 0.5
DEFAULT_NICE = 10
"""Yields to answers, yet still gets on where nothing else works."""


@contextmanager
def turn(run: Run, is_stopped: Callable[[], bool]) -> Iterator[bool]:
    """Wait until no other run of the folder trains and none came before; yields False when stopped while waiting.

    The kernel gives the turn back when this process ends in any way.
    """
    folder = run.folder.resolve()
    lock = FileLock(folder.parent / LOCK_FILE)
    run.update("queued", queued=time.time())
    while not is_stopped():
        if next(iter(waiting(folder.parent)), folder.name) == folder.name:
            with suppress(Timeout):
                lock.acquire(timeout=0)
                break
        time.sleep(LOOK_SECONDS)
    try:
        yield lock.is_locked
    finally:
        lock.release()


def is_asked_to_stop(run: Run, stop: threading.Event) -> bool:
    """Whether a signal or the folder's stop file asked the run to end."""
    return stop.is_set() or run.is_stop_asked


def waiting(runs_folder: Path) -> list[str]:
    """Names of the runs that wait for their turn, in the order in which they get it."""
    queued = []
    for path in runs_folder.glob("*/status.json"):
        with suppress(OSError, ValueError, KeyError):
            status: dict[str, Any] = read_status(path.parent)
            if status["state"] == "queued":  # of a process that is gone the state reads failed
                queued.append((float(status["queued"]), path.parent.name))
    return [name for _, name in sorted(queued)]


def spin_freely() -> None:
    """Before torch is imported: threads wait as OpenMP has it by default, a tenth faster than as the engine has it.

    What computes at a lower priority hinders no answer by it.
    """
    if os.environ.get("GOMP_SPINCOUNT") == SPIN_COUNT:
        del os.environ["GOMP_SPINCOUNT"]


def step_back() -> None:
    """Lower this process's priority to that of trainings."""
    level = DEFAULT_NICE
    with suppress(ValueError):
        level = int(os.environ.get("PARLANCE_TRAINING_NICE") or DEFAULT_NICE)
    priority.step_back(level)
