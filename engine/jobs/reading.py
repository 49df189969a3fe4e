"""What a job's folder tells to whoever watches: how it stands, and why its process is gone where it said nothing.

Files are parsed again only when they change.
"""

from __future__ import annotations

import re
import shutil
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import psutil  # type: ignore[import-untyped]

from engine.files import read_json
from engine.jobs.folder import AT_ONCE, LIVE, STOP_FILE, State, is_alive, is_silent
from engine.messages import NOTHING, Text
from engine.messages import read as read_text
from engine.sizes import size_in_words

GRACE_SECONDS = 60.0
"""For a process that was just started to say its number itself, where its parent was killed before it could."""
LOG_BYTES, LOG_LINES = 64 * 1024, 200
SPEED_LINES = 30
"""Lines of metrics over which the time of a step is reckoned."""
SHORT_BYTES = 256 * 2**20
"""Memory (or less than a tenth of what a job holds) that counts as too little to go on."""
FULL_BYTES = 64 * 2**20
"""Disk space that counts as none."""

Cause = Literal["", "never begun", "disk", "memory", "unknown"]


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How a job stands by its files and its process, at one moment."""

    folder: Path
    state: State
    status: Mapping[str, Any]
    """status.json, with that state."""
    error: Text = NOTHING
    """What went wrong."""
    advice: Text = NOTHING
    """What to change or do next."""
    cause: Cause = ""
    """Why its process is gone, where it said nothing itself, or that it has none yet."""
    is_stopping: bool = False
    """It was asked to stop, and has not yet."""
    is_silent: bool = False
    """Its process is there and has not answered for a minute."""

    @property
    def is_alive(self) -> bool:
        return self.state in LIVE

    @property
    def progress(self) -> float:
        """0 to 1."""
        if self.state == "finished":
            return 1.0
        step, steps = self.status.get("step") or 0, self.status.get("max_steps") or 0
        return min(1.0, max(0.0, step / steps)) if steps else 0.0


def standing(folder: Path) -> Standing:
    """How the job in the folder stands. Raises ValueError and others for files that anybody may have damaged."""
    path = folder / "status.json"
    status = dict(read_object(path))

    def stands(state: State, error: Text = NOTHING, cause: Cause = "", **more: Any) -> Standing:
        return Standing(folder=folder, state=state, status=status | {"state": state}, error=error, cause=cause, **more)

    if not path.exists():
        return stands("stopped", cause="never begun")
    state = status.get("state")
    if state not in (*LIVE, "finished", "stopped", "failed"):
        raise ValueError("status.json does not tell how it stands")
    launch = read_object(folder / "launch.json")
    if state in LIVE and "pid" not in status and launch.get("launched") == status.get("launched"):
        status |= {name: launch[name] for name in ("pid", "process_started") if name in launch}
    stop = folder / STOP_FILE
    if state not in LIVE or _is_working(status):
        error, advice = (read_text(status.get(name)) for name in ("error", "advice"))
        is_live = state in LIVE
        silent = is_live and is_silent(folder)
        return stands(state, error, advice=advice, is_stopping=is_live and stop.exists(), is_silent=silent)
    if stop.exists() and stop.read_text(encoding="utf-8") == AT_ONCE:
        return stands("stopped")
    if "pid" not in status:
        return stands("failed", Text("The server ended before the process began."), "never begun")
    return stands("failed", *_ending(folder, status, launch))


def _is_working(status: Mapping[str, Any]) -> bool:
    if "pid" in status:
        return is_alive(status)
    return time.time() - float(status.get("updated") or 0) < GRACE_SECONDS


def folders(parent: Path, name: re.Pattern[str]) -> list[Path]:
    """Folders of jobs, or of runs, by what their names look like."""
    with suppress(OSError):
        return [path for path in parent.iterdir() if name.fullmatch(path.name) and path.is_dir()]
    return []


def _ending(folder: Path, status: Mapping[str, Any], launch: Mapping[str, Any]) -> tuple[Text, Cause]:
    """Why a process is gone that did not say goodbye: the sentence and its kind."""
    ended = read_object(folder / "exit.json")
    ended = ended if ended.get("pid") == status["pid"] else {}
    how = _how_it_ended(ended.get("returncode"), status)
    with suppress(OSError):
        if shutil.disk_usage(folder).free < FULL_BYTES:
            return Text("{how} The disk is full.", how=how), "disk"
    held, free = status.get("memory_bytes"), status.get("free_memory_bytes")
    if isinstance(held, int | float) and isinstance(free, int | float) and held and free:
        how = Text(
            "{how} When last seen it held {held} of memory and {free} were free.",
            how=how, held=size_in_words(held), free=size_in_words(free),
        )  # fmt: skip
    if _was_memory_short(status, launch, ended):
        return Text("{how} Memory was short, so the system most likely ended it.", how=how), "memory"
    return how, "unknown"


def _how_it_ended(code: Any, status: Mapping[str, Any]) -> Text:
    if isinstance(code, int) and code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
        if -code in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            return Text("The process was killed ({signal}).", signal=name)
        return Text("It crashed ({signal}).", signal=name)
    if isinstance(code, int):
        return Text("The process ended with status {code} before it could say why; its log may tell.", code=code)
    if float(status.get("updated") or 0) < psutil.boot_time():
        return Text("The machine was restarted while this was at work.")
    return Text("The process is gone without a word: killed, or its machine or container was restarted.")


def _was_memory_short(status: Mapping[str, Any], launch: Mapping[str, Any], ended: Mapping[str, Any]) -> bool:
    kills_before, kills_then = launch.get("out_of_memory_kills"), ended.get("out_of_memory_kills")
    if isinstance(kills_before, int) and isinstance(kills_then, int) and kills_then > kills_before:
        return True
    free, held = status.get("free_memory_bytes"), status.get("memory_bytes") or 0
    return isinstance(free, int | float) and free < max(SHORT_BYTES, held / 10)


def out_of_memory_kills() -> int:
    """How often the system has ended a process of this container (or machine) for want of memory."""
    for path in (Path("/sys/fs/cgroup/memory.events"), Path("/proc/vmstat")):
        with suppress(OSError, ValueError):
            words = path.read_text(encoding="utf-8").split()
            return int(words[words.index("oom_kill") + 1])
    return 0


def pace(status: Mapping[str, Any], metrics: Sequence[Mapping[str, Any]]) -> tuple[float | None, float | None]:
    """Seconds a step, by the last lines that this process wrote, validations included, and seconds left.

    None before there are two lines.
    """
    since = float(status.get("process_started") or 0)
    points = [(row["step"], row["time"]) for row in metrics if row.get("time", 0) >= since and "step" in row]
    if not points:
        return None, None
    (first, begin), (last, end) = points[-SPEED_LINES:][0], points[-1]
    if last <= first or end <= begin:
        return None, None
    a_step = float((end - begin) / (last - first))
    left = (status["max_steps"] - last) * a_step - (time.time() - end) if status.get("max_steps") else None
    return a_step, None if left is None else max(0.0, left)


MAX_CACHED = 4_000
_files: dict[Path, tuple[tuple[int, int, int], Any]] = {}
"""The last that were asked for, the latest at the end."""
_files_lock = threading.Lock()


def cached(path: Path, parse: Callable[[Path], Any], default: Any) -> Any:
    """What `parse` makes of a file; `default` where there is none."""
    try:
        facts = path.stat()
    except FileNotFoundError:
        return default
    stamp = (facts.st_mtime_ns, facts.st_size, facts.st_ino)
    with _files_lock:
        kept = _files.pop(path, None)
        if kept is not None and kept[0] == stamp:
            _files[path] = kept
            return kept[1]
    value = parse(path)
    with _files_lock:
        _files[path] = (stamp, value)
        while len(_files) > MAX_CACHED:
            del _files[next(iter(_files))]
    return value


def read_object(path: Path) -> Mapping[str, Any]:
    """The object in a JSON file, {} without one."""
    return cast(Mapping[str, Any], cached(path, read_json, {}))


def log_tail(folder: Path) -> str:
    """The end of the job's log."""
    return cast(str, cached(folder / "log.txt", _tail, ""))


def _tail(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - LOG_BYTES))
        text = file.read(LOG_BYTES).decode("utf-8", "replace")
    lines = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text).replace("\r", "\n").split("\n")
    return "\n".join([line for line in lines if line.strip()][-LOG_LINES:])
