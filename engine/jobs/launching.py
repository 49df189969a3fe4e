"""A job's process: started with a note of its number, watched to its end, ended where nobody waits for it any more."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from engine.files import write_json
from engine.jobs import process, reading
from engine.jobs.folder import AT_ONCE, BEAT_FILE, STOP_FILE
from engine.jobs.kinds import JobKind
from engine.settings import Settings

IsHere = Callable[[], bool] | None
"""Says, from any thread, whether the asker still is there; None where nobody looks."""
GONE_SECONDS, LOOK_SECONDS = 15.0, 1.0
"""For so long an asker may be away, as while a page is loaded anew; between two looks."""


def launch(
    settings: Settings, folder: Path, kind: JobKind, launched: float, secret: str, is_here: IsHere = None
) -> None:
    """Start the child and note its number, for the time until it says it itself; it ends when `is_here` says no."""
    (folder / BEAT_FILE).touch()
    kills, nice = reading.out_of_memory_kills(), settings.training_nice
    child = process.start(
        process.python(kind.program, str(folder)),
        log=folder / "log.txt",
        environment={"PARLANCE_TRAINING_NICE": str(nice)},
        has_network=kind.has_network,
        nice=nice,
        order=secret,
    )
    note = {"launched": launched, "pid": child.pid, "out_of_memory_kills": kills}
    with suppress(psutil.NoSuchProcess):
        note["process_started"] = psutil.Process(child.pid).create_time()
    threading.Thread(target=_reap, args=(child, folder, is_here), name="job-watch", daemon=True).start()
    write_json(folder / "launch.json", note)


def _reap(child: process.Process, folder: Path, is_here: IsHere) -> None:
    """Wait for the child's end and note how it came, which only its parent is told; end it where nobody waits."""
    if is_here:
        seen = time.monotonic()
        while child.poll() is None and time.monotonic() - seen < GONE_SECONDS:
            seen = time.monotonic() if is_here() else seen
            time.sleep(LOOK_SECONDS)
        if child.poll() is None:
            _end_at_once(folder, child.pid)
    code, kills = child.wait(), reading.out_of_memory_kills()
    note = {"pid": child.pid, "returncode": code, "time": time.time(), "out_of_memory_kills": kills}
    with suppress(OSError):
        write_json(folder / "exit.json", note)


def _end_at_once(folder: Path, pid: int) -> None:
    with suppress(OSError):
        (folder / STOP_FILE).write_text(AT_ONCE, encoding="utf-8")
    process.signal_group(pid, signal.SIGKILL)
