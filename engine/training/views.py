"""Runs as people see them: read from their folders, which tell the truth after a crash, a kill or a restart.

Reading only; what changes a run is in `runs`. A folder that cannot be read is shown as broken and never in the way.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from engine.errors import NotFoundError, PeopleError
from engine.jobs import reading
from engine.jobs.folder import State
from engine.jobs.reading import Standing, cached, read_object
from engine.messages import Text
from engine.settings import Settings
from engine.training.config import RUN_ID, TrainingConfig, read_config
from engine.training.run import LESS_MEMORY, last_checkpoint, read_metrics

log = logging.getLogger(__name__)

MAX_SAMPLES = 500
NOTHING = Text("")


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
    """status.json."""
    error: Text = NOTHING
    """What went wrong."""
    advice: Text = NOTHING
    """What to change or do next."""
    metrics: Sequence[Mapping[str, Any]] = ()
    """Lines of metrics.jsonl, later ones in place of superseded ones; empty in a list."""
    samples: Sequence[Mapping[str, Any]] = ()
    """{step, prompt, text}, oldest first; empty in a list."""
    log_tail: str = ""
    """The end of the log; empty in a list."""
    queue_position: int | None = None
    """1 for the run whose turn is next; None for one that does not wait."""
    is_alive: bool = False
    is_stopping: bool = False
    """It was asked to stop, and has not yet."""
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
    seconds_a_step: float | None = None
    """Measured, validations included; None while unknown."""
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
        raise NotFoundError("There is no run {name}. Choose one of the list.", name=repr(str(run_id)[:80]), param="run")
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
        words = Text("This run's folder is damaged ({kind}). Its files are as they were.", kind=type(error).__name__)
        created = _created({}, folder)
        return RunView(folder.name, folder.name, "", created, "failed", None, {"state": "failed"}, words, BROKEN_ADVICE)


BROKEN_ADVICE = Text("Repair the file in its folder, or delete the run.")
LOST = Text("config.json is not there, so that nobody knows what this run was to do.")


def _view(folder: Path, is_whole: bool) -> RunView:
    about, found = read_object(folder / "about.json"), reading.standing(folder)
    config, problem = cast(tuple[TrainingConfig | None, Text], cached(folder / "config.json", _config, (None, LOST)))
    step = _whole_checkpoint_step(folder) if is_whole else checkpoint_step(folder)
    metrics = _metrics(folder) if is_whole or found.state == "running" else []
    return RunView(
        id=folder.name,
        title=str(about.get("title") or folder.name),
        note=str(about.get("note") or ""),
        created=_created(about, folder),
        state=found.state,
        config=config,
        status=dict(found.status) | {"state": found.state},
        error=problem or found.error,
        advice=BROKEN_ADVICE if problem else _advice(found, folder),
        metrics=metrics if is_whole else (),
        samples=cast(list[Any], cached(folder / "samples.jsonl", _samples, [])) if is_whole else (),
        log_tail=reading.log_tail(folder) if is_whole else "",
        is_alive=found.is_alive,
        is_stopping=found.is_alive and reading.is_stopping(folder),
        can_resume=found.state in ("stopped", "failed") and config is not None,
        checkpoint_step=step,
        has_model=(folder / "model" / "config.json").is_file(),
        is_used=(folder / "served" / "model.json").is_file(),
        progress=reading.share_done(found),
        seconds_left=reading.seconds_left(found.status, metrics) if found.is_alive else None,
        seconds_a_step=reading.seconds_a_step(found.status, metrics) if found.is_alive else None,
        facts=about,
    )


def _config(path: Path) -> tuple[TrainingConfig | None, Text]:
    try:
        return read_config(path), NOTHING
    except PeopleError as error:
        return None, error.text
    except Exception as error:
        return None, Text("{words}", words=str(error))


def _created(about: Mapping[str, Any], folder: Path) -> float:
    created = about.get("created")
    if isinstance(created, int | float) and not isinstance(created, bool):
        return float(created)
    with suppress(OSError):
        return folder.stat().st_mtime
    return 0.0


def _advice(found: Standing, folder: Path) -> Text:
    """What to change or do next."""
    if found.cause == "never begun":
        if not found.status:
            return Text("This run was never started. Press Resume to start it.")
        return Text("Press Resume to start it.")
    step = checkpoint_step(folder)
    then = (
        Text("Resume goes on from step {step}", step=step)
        if step
        else Text("Resume begins again, as there is no checkpoint yet")
    )
    if found.cause == "disk":
        return Text("Free some space. {then}.", then=then)
    if found.cause == "memory":
        return Text("{less}; unloading models frees memory too. {then}.", less=LESS_MEMORY, then=then)
    if found.cause == "unknown":
        return Text("{then}. If it ends this way again, the log may tell why.", then=then)
    return reading.told(found.status, "advice")


def _metrics(folder: Path) -> list[dict[str, Any]]:
    return cast(
        list[dict[str, Any]], cached(folder / "metrics.jsonl", lambda path: _latest(read_metrics(path.parent)), [])
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
