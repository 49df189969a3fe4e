"""Doing a job's work: in a process of its own (`python -m engine.jobs.child FOLDER`), or in a thread of the server.

The status says how it ended whatever happens, but for a kill, which the reader recognises.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from importlib import import_module
from pathlib import Path
from typing import Any

from engine.errors import PeopleError
from engine.jobs import failures
from engine.jobs.folder import Interrupted, Job, Stopped, beating, logged
from engine.jobs.kinds import JobKind, kinds
from engine.jobs.process import kill_group
from engine.jobs.turns import turn
from engine.messages import Text
from engine.sizes import seconds_in_words


def perform(job: Job, kind: JobKind, *house: Any) -> bool:
    """Have the kind's module do the work in its turn; says whether it came to its end."""
    try:
        with turn(job, lambda: job.is_stop_asked, kind.queue) if kind.queue else nullcontext():
            job.update("running")
            result = import_module(kind.module).work(job, *house)
            job.update("finished", result=dict(result or {}))
            return True
    except Stopped:
        job.update("stopped")
    except Interrupted:
        job.update("queued")
    except Exception as error:
        _fail(job, kind, error)
    return False


def _fail(job: Job, kind: JobKind, error: Exception) -> None:
    """Say what went wrong, as the kind's own module explains it."""
    job.clean()
    sentence, advice = getattr(sys.modules.get(kind.module), "describe", failures.describe)(error)
    if not isinstance(error, PeopleError) and not job.secret:
        failures.note(job.folder / "log.txt", error)
    facts = {"error_type": type(error).__name__, "param": getattr(error, "param", None)}
    job.update("failed", error=sentence, advice=advice, **facts)


@contextmanager
def _limited(job: Job, seconds: float) -> Iterator[None]:
    """End this process and what it has started when it takes longer than that; 0 is never."""

    def give_up() -> None:
        words = Text("It took more than {time} and was ended. Try again.", time=seconds_in_words(seconds))
        with job.writing:
            job.update("failed", error=words, advice="")
            kill_group(os.getpid())

    timer = threading.Timer(seconds, give_up)
    timer.daemon = True
    if seconds:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


def main(arguments: list[str]) -> int:
    """Do the work of the job in the given folder. Returns the exit status."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    job = Job(Path(arguments[0]), secret="" if sys.stdin.isatty() else sys.stdin.read())
    kind = kinds()[str(job.about["kind"])]
    job.forget_stop()
    job.clean()
    signal.signal(signal.SIGTERM, _ended)
    with logged(job.folder / "log.txt"), beating(job.folder, _orphan_watch(job, kind)), _limited(job, kind.max_seconds):
        return 0 if perform(job, kind) else 1


def _orphan_watch(job: Job, kind: JobKind) -> Callable[[], None]:
    """Ends the work of a visitor or member that leaves nothing when the server is gone, which would end it when its
    asker goes."""
    parent = os.getppid()

    def look() -> None:
        if os.getppid() != parent and not kind.is_kept and job.caller.role != "host":
            with job.writing:
                job.update("stopped")
                kill_group(os.getpid())

    return look


def _ended(*_: Any) -> None:
    raise Stopped


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
