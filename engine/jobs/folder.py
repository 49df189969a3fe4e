"""A job's folder: config.json, job.json, status.json, metrics.jsonl, log.txt and, last, what came of it.

The process that does the work writes it through `Job`, and touches `beat` as long as it answers; `reading` is for
whoever watches.
"""

from __future__ import annotations

import json
import logging
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import psutil  # type: ignore[import-untyped]

from engine.files import placed, read_json, settle
from engine.messages import Text
from engine.serving.protocol import Caller, Role

State = Literal["queued", "preparing", "running", "finished", "stopped", "failed"]
LIVE: tuple[State, ...] = ("queued", "preparing", "running")
STOP_FILE, AT_ONCE = "stop", "now"
"""The file that asks a job to stop, and what is in it where its process was ended at once."""

BEAT_FILE, BEAT_SECONDS = "beat", 5.0
"""The file that a process touches, and how often."""
SILENT_SECONDS = 60.0
"""A process that has not touched it for so long does not answer."""

KEPT_FIELDS = ("started", "baseline", "metrics", "best_step")
"""What of the status outlives a restart."""


class Stopped(BaseException):
    """Whoever wanted the work has stopped it; no `except Exception` may hold it up."""


class Interrupted(BaseException):
    """The server ends: its work stands where it stood, and is taken up when a server begins anew."""


class Job:
    """The writing side: replaces the status, appends metrics, puts results in place last."""

    def __init__(self, folder: Path, secret: str = "") -> None:
        self.folder, self.secret = folder, secret
        before = read_json(folder / "status.json")
        self._status: dict[str, Any] = {name: before[name] for name in KEPT_FIELDS if name in before}
        self._status |= {"pid": os.getpid(), "process_started": psutil.Process().create_time()}
        self._status.setdefault("started", time.time())
        self.writing = threading.RLock()
        """Held by whoever replaces the status; a watch that writes the last one keeps it."""
        end_last_line(folder / "metrics.jsonl")

    @property
    def config(self) -> dict[str, Any]:
        """What it is to do."""
        return read_json(self.folder / "config.json")

    @property
    def about(self) -> dict[str, Any]:
        """job.json: kind, title, subject, caller, created."""
        return read_json(self.folder / "job.json")

    @property
    def caller(self) -> Caller:
        """Who wanted it; what it asks of models lets everybody else's go first."""
        given = self.about.get("caller") or {}
        role = str(given.get("role"))
        known: Role = "host" if role == "host" else "member" if role == "member" else "visitor"
        address = str(given.get("address", ""))
        return Caller(str(given.get("id", "")), known, "low", address=address, call=self.folder.name)

    def record(self, values: Mapping[str, Any]) -> None:
        """Append one line to `metrics.jsonl`; it is on the disk when this returns. Infinite numbers become null."""
        finite = {n: None if isinstance(v, float) and not math.isfinite(v) else v for n, v in values.items()}
        self._append("metrics.jsonl", [finite])

    def _append(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        with (self.folder / name).open("a", encoding="utf-8") as file:
            file.write("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
            file.flush()
            os.fsync(file.fileno())

    def update(self, state: State, **values: Any) -> None:
        """Replace `status.json` by one with this state and these values changed."""
        with self.writing:
            told = {name: value.as_json() if isinstance(value, Text) else value for name, value in values.items()}
            self._status |= {"state": state, **told, "updated": time.time()}
            words = json.dumps(self._status, indent=2)
            temporary = self.folder / "status.json.part"
            temporary.write_text((words.replace(self.secret, "…") if self.secret else words) + "\n", encoding="utf-8")
            temporary.replace(self.folder / "status.json")

    def advance(self, done: int, total: int) -> None:
        """Tell how far it is. Raises Stopped where it was asked to stop."""
        if self.is_stop_asked:
            raise Stopped
        self.update("running", step=done, max_steps=total)

    @property
    def is_stop_asked(self) -> bool:
        """Whether somebody put the stop file into the folder."""
        return (self.folder / STOP_FILE).exists()

    def forget_stop(self) -> None:
        """Remove the stop file of an earlier life; one that came after this process began is meant for it."""
        path = self.folder / STOP_FILE
        if path.exists() and path.stat().st_mtime < self._status["process_started"] - 1:
            path.unlink(missing_ok=True)

    def placed(self, name: str) -> AbstractContextManager[Path]:
        """A new folder to fill, as `files.placed`."""
        return placed(self.folder / name)

    def clean(self) -> None:
        """Remove what a kill or a full disk left half-written."""
        settle(self.folder)


def is_silent(folder: Path) -> bool:
    """Whether the process of the job in the folder has given no sign of life for a minute; one in a server has none."""
    with suppress(OSError):
        last = max((folder / name).stat().st_mtime for name in (BEAT_FILE, "status.json"))
        return time.time() - last > SILENT_SECONDS
    return False


@contextmanager
def beating(folder: Path, look: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Give signs of life in a thread of its own, which a stopped or hung process has no more; `look` goes with each."""
    is_over = threading.Event()

    def beat() -> None:
        while not is_over.wait(BEAT_SECONDS):
            with suppress(OSError):
                (folder / BEAT_FILE).touch()
            look()

    (folder / BEAT_FILE).touch()
    threading.Thread(target=beat, name="job-beat", daemon=True).start()
    try:
        yield
    finally:
        is_over.set()


def is_alive(status: Mapping[str, Any]) -> bool:
    """Whether the job's own process still works; the start time tells it from a later process with its number."""
    try:
        process = psutil.Process(status["pid"])
        is_same = abs(process.create_time() - status["process_started"]) < 1.0
        return is_same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def json_lines(path: Path) -> list[dict[str, Any]]:
    """The objects in all whole lines of a file, oldest first; a line that a kill cut in two is left out."""
    rows: list[Any] = []
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n") if path.exists() else ():
        with suppress(ValueError):
            rows.append(json.loads(line))
    return [row for row in rows if isinstance(row, dict)]


def end_last_line(path: Path) -> None:
    """End a line that a kill cut off, so that the next one stands for itself."""
    if path.exists() and path.read_bytes()[-1:] not in (b"", b"\n"):
        with path.open("ab") as file:
            file.write(b"\n")


@contextmanager
def logged(path: Path) -> Iterator[None]:
    """Log into a file of the job; where standard error goes there already, once is enough."""
    path.touch()
    handler: logging.Handler
    try:
        is_same = os.path.samestat(os.fstat(sys.stderr.fileno()), path.stat())
    except (OSError, ValueError):
        is_same = False
    handler = logging.StreamHandler() if is_same else logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logging.getLogger().addHandler(handler)
    logging.getLogger("engine").setLevel(logging.INFO)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()
