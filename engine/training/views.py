"""Runs as people see them: read from their folders, which tell the truth after a crash, a kill or a restart.

Reading only; what changes a run is in `runs`. A folder that cannot be read is shown as broken and never in the way.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from engine.errors import NotFoundError, PeopleError
from engine.jobs import reading
from engine.jobs.folder import json_lines
from engine.jobs.reading import Standing, cached, read_object
from engine.messages import NOTHING, Text
from engine.settings import Settings
from engine.training.config import RUN_ID, TrainingConfig, read_config
from engine.training.findings import Finding, read_finding
from engine.training.run import KEPT, LESS_MEMORY, checkpoints, is_whole, past_weights

log = logging.getLogger(__name__)

MAX_SAMPLES = 500
FINDINGS_FILE = "data/findings.json"
"""What was found in the rows before the start."""


@dataclass(frozen=True, kw_only=True)
class RunView(Standing):
    """One run at one moment."""

    id: str
    title: str
    note: str
    created: float
    """Seconds since 1970."""
    config: TrainingConfig | None
    """None where config.json cannot be read; `error` then says so."""
    metrics: Sequence[Mapping[str, Any]] = ()
    """Lines of metrics.jsonl, later ones in place of superseded ones; empty in a list."""
    samples: Sequence[Mapping[str, Any]] = ()
    """{step, prompt, text}, oldest first; empty in a list."""
    findings: Sequence[Finding] = ()
    """What was found in the rows before the start; empty in a list."""
    log_tail: str = ""
    """The end of the log; empty in a list."""
    queue_position: int | None = None
    """1 for the run whose turn is next; None for one that does not wait."""
    checkpoint_step: int | None = None
    """The step of the last checkpoint, from which a resumed run goes on; None: from the beginning."""
    past_weights: Mapping[int, Path] = field(default_factory=dict)
    """Weights of the steps that can be looked back at, oldest first; empty in a list."""
    has_model: bool = False
    """A trained model is there, to compare, export and use."""
    is_used: bool = False
    """It is in the pickers."""
    is_outdated: bool = False
    """What is in the pickers was made before the model that is kept now."""
    seconds_left: float | None = None
    """Of a live run; None while unknown."""
    seconds_a_step: float | None = None
    """Measured, validations included; None while unknown."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """about.json: also train_rows, validation_rows, and `data`, a digest of both files."""

    @property
    def can_resume(self) -> bool:
        return self.state in ("stopped", "failed") and self.config is not None

    def is_kept(self, step: int) -> bool:
        """Whether the weights of that step are kept to look back at alone, and so can be deleted."""
        return step in self.past_weights and self.past_weights[step].parent.name.startswith(KEPT)

    @property
    def parameters(self) -> int:
        """Of the model that it has kept, by its files; an adapter's are its own alone."""
        from safetensors import safe_open

        count = 0
        for path in (self.folder / "model").glob("*.safetensors"):
            with safe_open(path, "numpy") as file:
                count += sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
        return count

    @property
    def tokens_seen(self) -> float:
        """Tokens that were learned from, about: by the speed and the time between two lines of its metrics."""
        lines = [row for row in self.metrics if "tokens_per_second" in row and "time" in row]
        return sum(later["tokens_per_second"] * (later["time"] - row["time"]) for row, later in pairwise(lines))

    @property
    def model_id(self) -> str:
        """The id of its model in the pickers and the HTTP API."""
        return f"run-{self.id}"


def run_folder(settings: Settings, run_id: str) -> Path:
    """The folder of a run. Raises NotFoundError for what is no id, and for a run that is not there."""
    is_id = isinstance(run_id, str) and RUN_ID.fullmatch(run_id)
    if not is_id or not (folder := settings.runs_folder.absolute() / run_id).is_dir():
        raise NotFoundError("There is no run {name}. Choose one of the list.", name=repr(str(run_id)[:80]), param="run")
    return folder


def listed(settings: Settings) -> list[RunView]:
    """All runs, newest first, without metrics, samples and log: quick enough to be called every second."""
    views = [_safe(folder) for folder in reading.folders(settings.runs_folder.absolute(), RUN_ID)]
    waiting = _queue(views)
    views = [replace(view, queue_position=waiting.get(view.id)) for view in views]
    return sorted(views, key=lambda view: (-view.created, view.id))


def read(settings: Settings, run_id: str) -> RunView:
    """One run with its metrics, samples and the end of its log. Raises NotFoundError."""
    view = _safe(run_folder(settings, run_id), is_detailed=True)
    if view.state != "queued":
        return view
    position = next((other.queue_position for other in listed(settings) if other.id == run_id), None)
    return replace(view, queue_position=position)


def _queue(views: Sequence[RunView]) -> dict[str, int]:
    """Place of each waiting run in the trainer's order (`turns`): those in line, then those that still start."""

    def place(view: RunView) -> tuple[bool, float, str]:
        since = view.status.get("queued")
        return since is None, float(since or view.status.get("launched") or 0), view.id

    waiting = sorted((view for view in views if view.state == "queued"), key=place)
    return {view.id: number for number, view in enumerate(waiting, 1)}


def _safe(folder: Path, is_detailed: bool = False) -> RunView:
    """The view of a folder, whatever is in it."""
    try:
        return _view(folder, is_detailed)
    except Exception as error:  # files that anybody may have damaged in any way
        log.warning("run %s cannot be read: %r", folder.name, error)
        words = Text("This run's folder is damaged ({kind}). Its files are as they were.", kind=type(error).__name__)
        return RunView(
            folder=folder, id=folder.name, title=folder.name, note="", created=_created({}, folder), config=None,
            state="failed", status={"state": "failed"}, error=words, advice=BROKEN_ADVICE,
        )  # fmt: skip


BROKEN_ADVICE = Text("Repair the file in its folder, or delete the run.")
LOST = Text("config.json is not there, so that nobody knows what this run was to do.")


def _view(folder: Path, is_detailed: bool) -> RunView:
    about, found = read_object(folder / "about.json"), reading.standing(folder)
    config, problem = cached(folder / "config.json", _config, (None, LOST))
    step = next((step for step, path in checkpoints(folder).items() if not is_detailed or is_whole(path)), None)
    metrics = cached(folder / "metrics.jsonl", _metrics, []) if is_detailed or found.state == "running" else []
    seconds_a_step, seconds_left = reading.pace(found.status, metrics) if found.is_alive else (None, None)
    advice = BROKEN_ADVICE if problem else _advice(found, step)
    view = RunView(
        **vars(found) | {"error": problem or found.error, "advice": advice},
        id=folder.name,
        title=str(about.get("title") or folder.name),
        note=str(about.get("note") or ""),
        created=_created(about, folder),
        config=config,
        checkpoint_step=step,
        has_model=(folder / "model" / "config.json").is_file(),
        is_used=(folder / "served" / "model.json").is_file(),
        is_outdated=_is_older(folder / "served" / "model.json", folder / "model" / "config.json"),
        seconds_left=seconds_left,
        seconds_a_step=seconds_a_step,
        facts=about,
    )
    if not is_detailed:
        return view
    samples = cached(folder / "samples.jsonl", _samples, [])
    found = cached(folder / FINDINGS_FILE, _findings, [])
    view = replace(view, metrics=metrics, samples=samples, findings=found, past_weights=past_weights(folder))
    return replace(view, log_tail=reading.log_tail(folder))


def _config(path: Path) -> tuple[TrainingConfig | None, Text]:
    try:
        return read_config(path), NOTHING
    except PeopleError as error:
        return None, error.text
    except Exception as error:
        return None, Text("{words}", words=str(error))


def _is_older(path: Path, other: Path) -> bool:
    with suppress(OSError):
        return path.stat().st_mtime < other.stat().st_mtime
    return False


def _created(about: Mapping[str, Any], folder: Path) -> float:
    created = about.get("created")
    if isinstance(created, int | float) and not isinstance(created, bool):
        return float(created)
    with suppress(OSError):
        return folder.stat().st_mtime
    return 0.0


def _advice(found: Standing, step: int | None) -> Text:
    """What to change or do next."""
    if found.cause == "never begun":
        if found.state == "stopped":
            return Text("This run was never started. Press Resume to start it.")
        return Text("Press Resume to start it.")
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
    return found.advice


def _metrics(path: Path) -> list[dict[str, Any]]:
    """By step; of training and of validation the last line of each, because a resumed run takes some steps again."""
    rows = [row for row in json_lines(path) if isinstance(row.get("step"), int)]
    kept = {(row["step"], "eval_loss" in row, "loss" in row): row for row in rows}
    return sorted(kept.values(), key=lambda row: row["step"])


def _findings(path: Path) -> list[Finding]:
    return [read_finding(finding) for finding in read_object(path).get("findings", ())]


def _samples(path: Path) -> list[dict[str, Any]]:
    return [row for row in json_lines(path)[-MAX_SAMPLES:] if {"step", "prompt", "text"} <= set(row)]
