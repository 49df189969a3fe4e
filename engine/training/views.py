"""Runs as people see them: read from their folders, which tell the truth after a crash, a kill or a restart.

Reading only; what changes a run is in `jobs`. A folder that cannot be read is shown as broken and never in the way.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
import signal
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import psutil  # type: ignore[import-untyped]

from engine.errors import NotFoundError
from engine.files import read_json
from engine.settings import Settings
from engine.training.config import RUN_ID, TrainingConfig, read_config
from engine.training.run import LESS_MEMORY, LIVE, State, is_alive, last_checkpoint, read_metrics

log = logging.getLogger(__name__)

GRACE_SECONDS = 60.0
"""For a process that was just started to say its number itself, where its parent was killed before it could."""
LOG_BYTES, LOG_LINES, MAX_SAMPLES = 64 * 1024, 200, 500
SPEED_LINES = 30
"""Lines of metrics over which the time left is reckoned."""
SHORT_BYTES = 256 * 2**20
"""Memory (or less than a tenth of what a run holds) that counts as too little to go on."""
FULL_BYTES = 64 * 2**20
"""Disk space that counts as none."""


@dataclass(frozen=True)
class RunView:
    """One run at one moment."""

    id: str
    title: str
    note: str
    created: float
    """Seconds since 1970."""
    state: State
    config: TrainingConfig | None
    """None where config.json cannot be read; `error` then says so."""
    status: Mapping[str, Any]
    """status.json, with `state`, `error` and `advice` as they are here."""
    error: str = ""
    """What went wrong, in a sentence."""
    advice: str = ""
    """What to change or do next, in a sentence."""
    metrics: Sequence[Mapping[str, Any]] = ()
    """Lines of metrics.jsonl, later ones in place of superseded ones; empty in a list."""
    samples: Sequence[Mapping[str, Any]] = ()
    """{step, prompt, text}, oldest first; empty in a list."""
    log_tail: str = ""
    """The end of the log; empty in a list."""
    queue_position: int | None = None
    """1 for the run whose turn is next; None for one that does not wait."""
    is_alive: bool = False
    can_resume: bool = False
    checkpoint_step: int | None = None
    """The step of the last checkpoint, from which a resumed run goes on; None: from the beginning."""
    has_model: bool = False
    """A trained model is there, to compare, export and use."""
    is_used: bool = False
    """It is in the pickers."""
    progress: float = 0.0
    """0 to 1."""
    seconds_left: float | None = None
    """Of a live run; None while unknown."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """about.json: also train_rows, validation_rows, and `data`, a digest of both files."""

    @property
    def model_id(self) -> str:
        """The id of its model in the pickers and the HTTP API."""
        return f"run-{self.id}"


def run_folder(settings: Settings, run_id: str) -> Path:
    """The folder of a run. Raises NotFoundError for what is no id, and for a run that is not there."""
    folder = settings.runs_folder.absolute() / run_id if _is_id(run_id) else None
    if folder is None or not folder.is_dir():
        raise NotFoundError(f"There is no run {str(run_id)[:80]!r}. Choose one of the list.", param="run")
    return folder


def listed(settings: Settings) -> list[RunView]:
    """All runs, newest first, without metrics, samples and log: quick enough to be called every second."""
    views = [_safe(folder, is_whole=False) for folder in _folders(settings)]
    waiting = _queue(views)
    views = [replace(view, queue_position=waiting.get(view.id)) for view in views]
    return sorted(views, key=lambda view: (-view.created, view.id))


def read(settings: Settings, run_id: str) -> RunView:
    """One run with its metrics, samples and the end of its log. Raises NotFoundError."""
    view = _safe(run_folder(settings, run_id), is_whole=True)
    if view.state != "queued":
        return view
    waiting = _queue([_safe(folder, is_whole=False) for folder in _folders(settings)])
    return replace(view, queue_position=waiting.get(view.id))


def checkpoint_step(folder: Path) -> int | None:
    """The step of the last checkpoint, by its name, which it gets when it is whole."""
    with suppress(OSError):
        ends = [path.name.removeprefix("checkpoint-") for path in (folder / "checkpoints").iterdir()]
        return max((int(end) for end in ends if end.isdecimal()), default=None)
    return None


def _whole_checkpoint_step(folder: Path) -> int | None:
    """As `checkpoint_step`, past those that were damaged later."""
    last = last_checkpoint(folder)
    return int(last.name.rpartition("-")[2]) if last else None


def out_of_memory_kills() -> int:
    """How often the system has ended a process of this container (or machine) for want of memory."""
    for path in (Path("/sys/fs/cgroup/memory.events"), Path("/proc/vmstat")):
        with suppress(OSError, ValueError):
            words = path.read_text(encoding="utf-8").split()
            return int(words[words.index("oom_kill") + 1])
    return 0


def _is_id(run_id: object) -> bool:
    return isinstance(run_id, str) and RUN_ID.fullmatch(run_id) is not None


def _folders(settings: Settings) -> list[Path]:
    with suppress(OSError):
        return [path for path in settings.runs_folder.absolute().iterdir() if _is_id(path.name) and path.is_dir()]
    return []


def _queue(views: Sequence[RunView]) -> dict[str, int]:
    """Place of each waiting run in the trainer's order (`turns`): those in line, then those that still start."""

    def place(view: RunView) -> tuple[bool, float, str]:
        since = view.status.get("queued")
        return since is None, float(since or view.status.get("launched") or 0), view.id

    waiting = sorted((view for view in views if view.state == "queued"), key=place)
    return {view.id: number for number, view in enumerate(waiting, 1)}


def _safe(folder: Path, is_whole: bool) -> RunView:
    """The view of a folder, whatever is in it."""
    try:
        return _view(folder, is_whole)
    except Exception as error:  # files that anybody may have damaged in any way
        log.warning("run %s cannot be read: %r", folder.name, error)
        words = f"This run's folder is damaged ({type(error).__name__}). Its files are as they were."
        status = {"state": "failed", "error": words, "advice": BROKEN_ADVICE}
        return RunView(folder.name, folder.name, "", _created({}, folder), "failed", None, status, words, BROKEN_ADVICE)


BROKEN_ADVICE = "Repair the file in its folder, or delete the run."


def _view(folder: Path, is_whole: bool) -> RunView:
    about, status = _object(folder / "about.json"), _status(folder)
    state, alive = cast(State, status["state"]), status["state"] in LIVE
    config, problem = cast(tuple[TrainingConfig | None, str], _cached(folder / "config.json", _config, (None, LOST)))
    step = _whole_checkpoint_step(folder) if is_whole else checkpoint_step(folder)
    metrics = _metrics(folder) if is_whole or state == "running" else []
    error = problem or str(status.get("error") or "")
    advice = BROKEN_ADVICE if problem else str(status.get("advice") or "")
    return RunView(
        id=folder.name,
        title=str(about.get("title") or folder.name),
        note=str(about.get("note") or ""),
        created=_created(about, folder),
        state=state,
        config=config,
        status=dict(status) | {"error": error, "advice": advice},
        error=error,
        advice=advice,
        metrics=metrics if is_whole else (),
        samples=cast(list[Any], _cached(folder / "samples.jsonl", _samples, [])) if is_whole else (),
        log_tail=cast(str, _cached(folder / "log.txt", _tail, "")) if is_whole else "",
        is_alive=alive,
        can_resume=state in ("stopped", "failed") and config is not None,
        checkpoint_step=step,
        has_model=(folder / "model" / "config.json").is_file(),
        is_used=(folder / "served" / "model.json").is_file(),
        progress=_progress(status),
        seconds_left=_seconds_left(status, metrics) if alive else None,
        facts=about,
    )


LOST = "config.json is not there, so that nobody knows what this run was to do."


def _config(path: Path) -> tuple[TrainingConfig | None, str]:
    try:
        return read_config(path), ""
    except Exception as error:
        return None, str(error)


def _created(about: Mapping[str, Any], folder: Path) -> float:
    created = about.get("created")
    if isinstance(created, int | float) and not isinstance(created, bool):
        return float(created)
    with suppress(OSError):
        return folder.stat().st_mtime
    return 0.0


def _progress(status: Mapping[str, Any]) -> float:
    if status["state"] == "finished":
        return 1.0
    step, steps = status.get("step") or 0, status.get("max_steps") or 0
    return min(1.0, max(0.0, step / steps)) if steps else 0.0


def _seconds_left(status: Mapping[str, Any], metrics: Sequence[Mapping[str, Any]]) -> float | None:
    """From the pace of the last lines that this process wrote, validations included."""
    since = float(status.get("process_started") or 0)
    points = [(row["step"], row["time"]) for row in metrics if row.get("time", 0) >= since and "step" in row]
    points = points[-SPEED_LINES:]
    if not points or not status.get("max_steps"):
        return None
    steps, seconds = points[-1][0] - points[0][0], points[-1][1] - points[0][1]
    if steps <= 0 or seconds <= 0:
        return None
    left = (status["max_steps"] - points[-1][0]) * seconds / steps - (time.time() - points[-1][1])
    return max(0.0, float(left))


# What became of the process.


def _status(folder: Path) -> dict[str, Any]:
    """status.json, with the state `failed`, a cause and advice where it tells of a process that is gone."""
    path = folder / "status.json"
    status = dict(_object(path))
    if not path.exists():
        return {"state": "stopped", "error": "", "advice": "This run was never started. Press Resume to start it."}
    if status.get("state") not in (*LIVE, "finished", "stopped", "failed"):
        raise ValueError("status.json does not tell the run's state")
    if status["state"] not in LIVE:
        return status
    launch = _object(folder / "launch.json")
    if "pid" not in status and launch.get("launched") == status.get("launched"):
        status |= {name: launch[name] for name in ("pid", "process_started") if name in launch}
    if "pid" not in status:
        is_young = time.time() - float(status.get("updated") or 0) < GRACE_SECONDS
        return status if is_young else status | _never_began()
    return status if is_alive(status) else status | {"state": "failed"} | _cause(folder, status, launch)


def _never_began() -> dict[str, str]:
    words = "The server ended before the training process began."
    return {"state": "failed", "error": words, "advice": "Press Resume to start it."}


def _cause(folder: Path, status: Mapping[str, Any], launch: Mapping[str, Any]) -> dict[str, str]:
    """Why a process is gone that did not say goodbye, and what to change."""
    ended = _object(folder / "exit.json")
    ended = ended if ended.get("pid") == status["pid"] else {}
    how, is_short = _how_it_ended(ended.get("returncode"), status), _was_memory_short(status, launch, ended)
    step = checkpoint_step(folder)
    goes_on = f"goes on from step {step}" if step else "begins again, as there is no checkpoint yet"
    with suppress(OSError):
        if shutil.disk_usage(folder).free < FULL_BYTES:
            return {"error": f"{how} The disk is full.", "advice": f"Free some space; Resume then {goes_on}."}
    held, free = _show(status.get("memory_bytes")), _show(status.get("free_memory_bytes"))
    seen = f" When last seen it held {held} of memory and {free} were free." if held and free else ""
    if is_short:
        cause = " Memory was short, so the system most likely ended it."
        return {
            "error": how + seen + cause,
            "advice": f"{LESS_MEMORY}; unloading models frees memory too. Resume {goes_on}.",
        }
    return {"error": how + seen, "advice": f"Resume {goes_on}. If it ends this way again, the log may tell why."}


def _how_it_ended(code: Any, status: Mapping[str, Any]) -> str:
    if isinstance(code, int) and code < 0:
        names = {number.value: number.name for number in signal.Signals}
        name = names.get(-code, f"signal {-code}")
        verb = "killed" if -code in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP) else "crashed"
        return f"The training process was killed ({name})." if verb == "killed" else f"It crashed ({name})."
    if isinstance(code, int):
        return f"The training process ended with status {code} before it could say why; its log may tell."
    if float(status.get("updated") or 0) < psutil.boot_time():
        return "The machine was restarted while the run was at work."
    return "The training process is gone without a word: killed, or its machine or container was restarted."


def _was_memory_short(status: Mapping[str, Any], launch: Mapping[str, Any], ended: Mapping[str, Any]) -> bool:
    kills_before, kills_then = launch.get("out_of_memory_kills"), ended.get("out_of_memory_kills")
    if isinstance(kills_before, int) and isinstance(kills_then, int) and kills_then > kills_before:
        return True
    free, held = status.get("free_memory_bytes"), status.get("memory_bytes") or 0
    return isinstance(free, int | float) and free < max(SHORT_BYTES, held / 10)


def _show(size_bytes: Any) -> str:
    return f"{size_bytes / 2**30:.1f} GiB" if isinstance(size_bytes, int | float) and size_bytes else ""


# Files, parsed again only when they change.

MAX_CACHED = 4_000
_files: OrderedDict[Path, tuple[tuple[int, int, int], Any]] = OrderedDict()
_files_lock = threading.Lock()


def _cached(path: Path, parse: Callable[[Path], Any], default: Any) -> Any:
    """What `parse` makes of a file; `default` where there is none."""
    try:
        facts = path.stat()
    except FileNotFoundError:
        return default
    stamp = (facts.st_mtime_ns, facts.st_size, facts.st_ino)
    with _files_lock:
        kept = _files.get(path)
        if kept is not None and kept[0] == stamp:
            _files.move_to_end(path)
            return kept[1]
    value = parse(path)
    with _files_lock:
        _files[path] = (stamp, value)
        while len(_files) > MAX_CACHED:
            _files.popitem(last=False)
    return value


def _object(path: Path) -> Mapping[str, Any]:
    return cast(Mapping[str, Any], _cached(path, read_json, {}))


def _metrics(folder: Path) -> list[dict[str, Any]]:
    return cast(
        list[dict[str, Any]], _cached(folder / "metrics.jsonl", lambda path: _latest(read_metrics(path.parent)), [])
    )


def _latest(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """By step; of training and of validation the last line of each, because a resumed run takes some steps again."""
    kept = {(row["step"], "eval_loss" in row, "loss" in row): row for row in rows if isinstance(row.get("step"), int)}
    return sorted(kept.values(), key=lambda row: row["step"])


def _samples(path: Path) -> list[dict[str, Any]]:
    rows = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines()[-MAX_SAMPLES:]:
        with suppress(ValueError):
            row = json.loads(line)
            if isinstance(row, dict) and {"step", "prompt", "text"} <= set(row):
                rows.append(row)
    return rows


def _tail(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - LOG_BYTES))
        text = file.read(LOG_BYTES).decode("utf-8", "replace")
    lines = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text).replace("\r", "\n").split("\n")
    return "\n".join([line for line in lines if line.strip()][-LOG_LINES:])
