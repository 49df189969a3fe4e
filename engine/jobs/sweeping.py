"""What nobody needs any more in a folder of jobs: old ones, those beyond the limit, and what a kill left halfway.

A server looks a minute after its start, and whoever begins a job before that.
"""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from engine.files import finish_deletions, read_json, set_aside, settle
from engine.jobs import reading
from engine.jobs.folder import BEAT_FILE, LIVE, SILENT_SECONDS
from engine.jobs.kinds import JobKind, kinds

MAKING = ".making"
"""In the folder of jobs, of those that are still being made."""
LEFT_SECONDS = 3600.0
"""After this long, what an interrupted creation left is swept away."""
MAX_KEPT = 200
"""Jobs of one kind whose folders are kept after their end, as long as the kind says. Whoever begins very many of those
that visitors may begin has nobody's work of another kind swept away."""


def sweep(folders: Iterable[Path], jobs: Path) -> None:
    """Drop jobs that ended long ago, those beyond the limit, and what was left halfway; `folders` are all jobs'."""
    drop_left((jobs / MAKING).glob("*"))
    finish_deletions(jobs)
    counts, known = Counter[str](), kinds()
    for path in sorted(folders, key=lambda path: -path.stat().st_mtime):
        kind = str(read_json(path / "job.json").get("kind"))
        counts[kind] += 1
        kept_seconds = known.get(kind, JobKind).kept_seconds
        is_old = counts[kind] > MAX_KEPT or time.time() - path.stat().st_mtime > kept_seconds
        if is_old and not is_at_work(path):
            with suppress(OSError):
                shutil.rmtree(set_aside(path), ignore_errors=True)


def drop_left(paths: Iterable[Path]) -> None:
    """Delete what was left halfway long ago."""
    for path in paths:
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > LEFT_SECONDS:
                shutil.rmtree(path, ignore_errors=True)


def tidy(folder: Path, *inside: str) -> None:
    """Settle what a process that was killed left half-written in a job's folder, and in these of its folders."""
    if not is_at_work(folder):
        for path in (folder, *(found for name in inside for found in folder.glob(name))):
            with suppress(OSError):
                settle(path)


def is_at_work(folder: Path) -> bool:
    """Whether the job in the folder is, here or in another container; one that cannot be read is not."""
    with suppress(Exception):
        if read_json(folder / "status.json").get("state") not in LIVE:
            return False
        if reading.standing(folder).is_alive:
            return True
        return time.time() - (folder / BEAT_FILE).stat().st_mtime < SILENT_SECONDS
    return False
