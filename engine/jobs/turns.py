"""Jobs of one queue work one at a time, first come first served; in a folder of jobs each queue has a lock."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from engine.files import read_json
from engine.jobs.folder import Job, Stopped, is_alive, is_silent

LOCK_FILE = ".lock"
"""Of a folder of runs, whose queue is one."""
LOOK_SECONDS = 0.5


@contextmanager
def turn(job: Job, is_stopped: Callable[[], bool], queue: str = "") -> Iterator[None]:
    """Wait until no other of the queue works and none came before. Raises Stopped when stopped while waiting.

    The kernel gives the turn back when this process ends in any way.
    """
    folder = job.folder.resolve()
    lock = FileLock(folder.parent / (f".{queue}{LOCK_FILE}" if queue else LOCK_FILE))
    job.update("queued", queued=time.time(), queue=queue)
    while not is_stopped():
        if next(iter(waiting(folder.parent, queue)), folder.name) == folder.name:
            with suppress(Timeout):
                lock.acquire(timeout=0)
                break
        time.sleep(LOOK_SECONDS)
    if not lock.is_locked:
        raise Stopped
    try:
        yield
    finally:
        lock.release()


def waiting(folder: Path, queue: str = "") -> list[str]:
    """Names of the jobs that wait for their turn, in the order in which they get it."""
    queued = []
    for path in folder.glob("*/status.json"):
        with suppress(OSError, ValueError, KeyError):
            status = read_json(path)
            # For a process that is gone, or hangs, nobody waits.
            is_there = is_alive(status) and not is_silent(path.parent)
            if status["state"] == "queued" and status.get("queue", "") == queue and is_there:
                queued.append((float(status["queued"]), path.parent.name))
    return [name for _, name in sorted(queued)]
