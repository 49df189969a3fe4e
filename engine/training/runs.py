"""Runs as a person handles them: create, start, stop, resume, delete, annotate, use. No torch here.

The work is a child process of its own session (`train`), which goes on when the server ends; `views` reads what it
writes, `serving` brings its model into the pickers. Every function checks again what its caller was to check.
"""

from __future__ import annotations

import hashlib
import json
import shlex
import shutil
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from engine.errors import BusyError, ConflictError, InputError, NotFoundError
from engine.files import finish_deletions, read_json, set_aside, write_json
from engine.jobs import askers, reading
from engine.jobs import work as jobs
from engine.jobs.folder import Job, json_lines
from engine.jobs.sweeping import drop_left, is_at_work, tidy
from engine.messages import Text, counted
from engine.requests import clean_text
from engine.serving import access
from engine.serving.protocol import Caller
from engine.settings import Settings
from engine.training import average, serving, tasks
from engine.training.config import RUN_ID, TrainingConfig, make_config
from engine.training.findings import Finding
from engine.training.run import KEPT
from engine.training.views import FINDINGS_FILE, RunView, listed, read, run_folder

if TYPE_CHECKING:
    from engine.serving.compose import House
    from engine.serving.protocol import Engine

__all__ = ["RunView", "listed", "read", "run_folder"]

MAX_TITLE_CHARACTERS, MAX_NOTE_CHARACTERS = 80, 2_000
MAX_LIVE = 4
"""Runs at work and waiting; each is a process that has its libraries in memory."""
_naming = threading.Lock()


def create(
    settings: Settings,
    config_values: Mapping[str, Any],
    train: Sequence[Mapping[str, Any]],
    validation: Sequence[Mapping[str, Any]],
    *,
    title: str,
    note: str = "",
    findings: Sequence[Finding] = (),
    caller: Caller = jobs.HOST,
) -> str:
    """Make a run's folder, whole or not at all, and return its id; `start` starts it.

    `config_values` are fields of TrainingConfig without the files; rows have the task's keys; `findings` stay with the
    run. A title that another run has gets a number. Raises InputError naming the field, ConflictError (for who may not,
    too many runs), NotReadyError (disk full).
    """
    access.check(caller, "train")
    askers.check_today(settings, caller)
    title, note = _words(title, note)
    files = {"train_file": "data/train.jsonl", "validation_file": "data/validation.jsonl"}
    shared = {} if config_values.get("threads") else {"threads": settings.training_threads}
    config = make_config(dict(config_values) | shared | files)
    lines = {"train": _lines(train, config, "train_file"), "validation": _lines(validation, config, "validation_file")}
    runs = settings.runs_folder.absolute()
    with jobs.disk_explained():
        runs.mkdir(parents=True, exist_ok=True)
        _sweep(runs)
        if len(listed(settings)) >= settings.max_runs:
            raise ConflictError(
                counted("There is {count} run already. Delete it, or raise PARLANCE_MAX_RUNS.",
                        "There are {count} runs already. Delete some, or raise PARLANCE_MAX_RUNS.", settings.max_runs),
                param="run",
            )  # fmt: skip
        digest = hashlib.sha256(b"".join(lines.values())).hexdigest()[:12]
        facts = {"train_rows": len(train), "validation_rows": len(validation), "data": digest}
        run_id = jobs.new_id()
        folder = runs / f".new-{run_id}"
        try:
            (folder / "data").mkdir(parents=True)
            for name, content in lines.items():
                (folder / "data" / f"{name}.jsonl").write_bytes(content)
            # Where the rows stand in the file that they came from, for findings that name rows.
            numbers = {"train": getattr(train, "numbers", ()), "validation": getattr(validation, "numbers", ())}
            write_json(folder / "data" / "rows.json", {name: list(found) for name, found in numbers.items()})
            write_json(folder / FINDINGS_FILE, {"findings": [finding.as_json() for finding in findings]})
            config.save(folder / "config.json")
            with _naming:
                title = _own_title(settings, title)
                write_json(folder / "about.json", {"created": time.time(), "title": title, "note": note} | facts)
                askers.describe(
                    folder, "average" if config.mean_of or config.step_of else "training", title, caller=caller
                )
                folder.rename(runs / run_id)
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    return run_id


def create_mean(settings: Settings, run_ids: Sequence[str], caller: Caller = jobs.HOST) -> str:
    """Make the run whose model is the mean of these runs' models, and return its id; `start` has it made and judged.

    It has the first run's rows and settings. Raises ConflictError where they have no mean, and as `create`.
    """
    access.check(caller, "train")
    check_mean(settings, run_ids)
    views = [read(settings, id) for id in run_ids]
    config = cast(TrainingConfig, views[0].config)
    train, held_out = (json_lines(views[0].folder / file) for file in (config.train_file, config.validation_file))
    title = f"Mean of {len(views)}: {views[0].title}"[:MAX_TITLE_CHARACTERS]
    note = f"The mean of the weights of {', '.join(f'{view.title} ({view.id})' for view in views)}."
    values = asdict(config) | {"mean_of": list(run_ids)}
    return create(settings, values, train, held_out, title=title, note=note, caller=caller)


def check_mean(settings: Settings, run_ids: Sequence[str]) -> None:
    """Raise ConflictError, saying why, where these runs' models have no mean that makes sense."""
    average.check_mean([read(settings, id) for id in run_ids])


def create_step(settings: Settings, run_id: str, step: int, caller: Caller = jobs.HOST) -> str:
    """Make the run whose model is that of an earlier step of a run, and return its id; `start` has it made and judged.

    Raises NotFoundError where that step's weights are not kept, and as `create`.
    """
    access.check(caller, "train")
    view = read(settings, run_id)
    if view.config is None or step not in view.past_weights:
        raise _no_weights(step)
    config = view.config
    train, held_out = (json_lines(view.folder / file) for file in (config.train_file, config.validation_file))
    end = f", step {step:,}"
    title = f"{view.title[: MAX_TITLE_CHARACTERS - len(end)]}{end}"
    values = asdict(config) | {"step_of": run_id, "step": step}
    return create(settings, values, train, held_out, title=title, caller=caller)


def delete_step(settings: Settings, run_id: str, step: int, caller: Caller = jobs.HOST) -> None:
    """Delete the weights that a run keeps of an earlier step. Raises NotFoundError where it keeps none of that step."""
    with _held(settings, run_id, caller) as folder:
        view = read(settings, run_id)
        if not view.is_kept(step):
            raise _no_weights(step)
        shutil.rmtree(folder / "checkpoints" / f"{KEPT}{step}")


def _no_weights(step: int) -> NotFoundError:
    return NotFoundError("This run keeps no weights of step {step} any more. Choose another.", param="step", step=step)


def start(settings: Settings, run_id: str, caller: Caller = jobs.HOST) -> None:
    """Start a run, or go on with one from its last checkpoint, in the same order of rows; it waits for its turn.

    Raises NotFoundError, ConflictError (alive, finished, for who may not), BusyError, NotReadyError (disk full).
    """
    with _held(settings, run_id, caller) as folder:
        _check_start(settings, read(settings, run_id), folder)
        jobs.start(settings, folder)


def stop(settings: Settings, run_id: str, is_now: bool = False, caller: Caller = jobs.HOST) -> Text:
    """Ask a live run to end after the step it is in and to keep the best so far, or end it at once.

    Returns at once, and says when it ends. A run that was ended at once goes on from its last checkpoint. Raises
    NotFoundError, ConflictError.
    """
    access.check(caller, "train")
    run = read(settings, run_id)
    return jobs.stop(run.folder, run.seconds_a_step, is_now, caller)


def delete(settings: Settings, run_id: str, engine: Engine | None = None, caller: Caller = jobs.HOST) -> None:
    """Delete a run with everything in its folder; with `engine` its model leaves the pickers first.

    Raises NotFoundError, ConflictError (alive, its model is answering, for who may not).
    """
    with _held(settings, run_id, caller) as folder:
        if read(settings, run_id).is_alive:
            raise ConflictError("This run is at work. Stop it first, then delete it.", param="run")
        if any(job.is_alive and job.subject.split("/")[0] == run_id for job in jobs.listed(settings)):
            raise ConflictError("This run's model is at work. Stop that first, then delete the run.", param="run")
        if engine is not None:
            serving.forget(engine, run_id, caller)
        trash = set_aside(folder)
    shutil.rmtree(trash, ignore_errors=True)


def annotate(settings: Settings, run_id: str, title: str, note: str, caller: Caller = jobs.HOST) -> None:
    """Give a run another title and note; a title that another run has gets a number.

    A model in use keeps its name in the pickers until it is used anew.
    """
    title, note = _words(title, note)
    with _held(settings, run_id, caller) as folder, _naming:
        title = _own_title(settings, title, run_id)
        write_json(folder / "about.json", read_json(folder / "about.json") | {"title": title, "note": note})


def fitting_title(words: str) -> str:
    """Words, such as the name of a file, as a title: on one line and of its length."""
    title = " ".join("".join(char if char.isprintable() else " " for char in words).split())
    return title if len(title) <= MAX_TITLE_CHARACTERS else f"{title[: MAX_TITLE_CHARACTERS - 20]}…{title[-19:]}"


def command(run_id: str, settings: Settings) -> str:
    """The command line that does the same as `start`, from the project's folder."""
    runs = settings.runs_folder
    with suppress(ValueError):
        runs = runs.absolute().relative_to(Path.cwd())
    return shlex.join(["python", "-m", "engine.training.train", (runs / run_id).as_posix()])


def differing(settings: Settings, run_ids: Sequence[str]) -> list[dict[str, Any]]:
    """One row for each setting (and fact of the data) in which the runs differ: {setting, <id>: value, ...}."""
    views = [read(settings, run_id) for run_id in run_ids]
    tables = {view.id: _settings_of(view) for view in views}
    names = dict.fromkeys(name for table in tables.values() for name in table)
    rows = [{"setting": name} | {id: table.get(name) for id, table in tables.items()} for name in names]
    return [row for row in rows if len({json.dumps(row[view.id]) for view in views}) > 1]


def base_folder(house: House, model_id: str) -> Path:
    """Where the weights of a base are: a folder or a GGUF file. A run in use gives the weights that it trained.

    Raises NotFoundError, and as `Store.path` where the model is not there.
    """
    model = house.catalogue.find(model_id)
    if model.id.startswith("run-"):
        folder = run_folder(house.settings, model.id.removeprefix("run-"))
        if (folder / "model" / "config.json").is_file():
            return folder / "model"
    return house.store.path(model.id)


def use(settings: Settings, engine: Engine, run_id: str, job: Job | None = None, caller: Caller = jobs.HOST) -> str:
    """Bring a run's model into the pickers of the pages that it serves; returns the model's id.

    A language model is converted for llama.cpp where it runs on the processor, which takes up to a minute; pages have
    it done by a job. Raises NotFoundError, ConflictError (no model yet, for who may not), UnsupportedError,
    NotReadyError, and Stopped where the job was stopped.
    """
    with _held(settings, run_id, caller) as folder:
        return serving.use(settings, engine, read(settings, run_id), folder, caller, job)


def begin_use(settings: Settings, house: House, run_id: str, caller: Caller) -> str:
    """Have a job do `use`; returns the job's id at once. Raises as `use` where that can be told at once."""
    access.check(caller, "train")
    view = read(settings, run_id)
    serving.check_model(view)
    return jobs.begin(settings, "use", {"run": run_id}, title=view.title, subject=run_id, house=house, caller=caller)


def work(job: Job, house: House) -> dict[str, str]:
    """The work of a job of the kind `use`, in the server."""
    return {"model": use(house.settings, house.engine, job.config["run"], job, job.caller)}


def retire(settings: Settings, engine: Engine, run_id: str, caller: Caller = jobs.HOST) -> None:
    """Take a run's model out of the pickers; the run stays. Raises ConflictError while the model is answering."""
    with _held(settings, run_id, caller) as folder:
        serving.retire(engine, run_id, folder, caller)


def _words(title: object, note: object) -> tuple[str, str]:
    clean = " ".join(clean_text(title, "title", MAX_TITLE_CHARACTERS).split())
    return clean, clean_text(note, "note", MAX_NOTE_CHARACTERS, can_be_empty=True).strip()


def _own_title(settings: Settings, title: str, run_id: str = "") -> str:
    """The title, with a number behind it where another run has it: lists and pickers tell runs by it."""
    others = {view.title.casefold() for view in listed(settings) if view.id != run_id}
    ends = ("", *(f" ({number})" for number in range(2, len(others) + 3)))
    numbered = (f"{title[: MAX_TITLE_CHARACTERS - len(end)].rstrip()}{end}" for end in ends)
    return next(name for name in numbered if name.casefold() not in others)


def _lines(rows: Sequence[Mapping[str, Any]], config: TrainingConfig, param: str) -> bytes:
    """Rows as JSONL with the task's keys alone. Raises InputError naming the row."""
    if not rows:
        raise InputError("{field} has no rows. Give it at least one.", field=param, param=param)
    keys, optional = tasks.find(config.task).roles, tasks.find(config.task).optional_roles
    kept = []
    for number, row in enumerate(rows, 1):
        if missing := [key for key in keys if not isinstance(row.get(key), str)]:
            raise InputError(
                "{field}, row {row}: {key} must be a text.", field=param, row=number, key=missing[0], param=param
            )
        kept.append({key: row[key] for key in (*keys, *optional) if row.get(key) is not None})
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in kept).encode("utf-8", "replace")


def _check_start(settings: Settings, view: RunView, folder: Path) -> None:
    if view.is_alive:
        raise ConflictError("This run is at work or waits for its turn already.", param="run")
    if view.state == "finished":
        raise ConflictError("This run is finished. Make a new one to train on.", param="run")
    if view.config is None:
        raise ConflictError("This run cannot be started: {why}", why=view.error, param="run")
    if sum(other.is_alive for other in listed(settings)) >= MAX_LIVE:
        raise BusyError(
            counted("{count} run is at work or waiting. Wait for its end, or stop it.",
                    "{count} runs are at work or waiting. Wait for one to end, or stop one.", MAX_LIVE),
            retry_seconds=60,
        )  # fmt: skip
    jobs.check_room(folder)


@contextmanager
def _held(settings: Settings, run_id: str, caller: Caller) -> Iterator[Path]:
    """The folder of a run that is to be changed, by whoever may; two clicks, tabs or servers do not do so at once.

    Raises NotFoundError, and ConflictError (for who may not, somebody else is at it).
    """
    access.check(caller, "train")
    folder = run_folder(settings, run_id)
    busy = Text("Somebody is busy with this run just now. Try again in a moment.")
    with jobs.held(folder.with_name(f".{folder.name}.lock"), busy), jobs.disk_explained():
        if not folder.is_dir():
            raise NotFoundError("This run was just deleted.", param="run")
        yield folder


def sweep(settings: Settings) -> None:
    """What a server does after its start: as before a creation, and settle what kills left half-written in runs."""
    runs = settings.runs_folder.absolute()
    _sweep(runs)
    at_work = {job.subject.split("/")[0] for job in jobs.listed(settings) if is_at_work(job.folder)}
    for folder in reading.folders(runs, RUN_ID):
        if folder.name not in at_work:
            tidy(folder, "checkpoints", "exports/*")


def _sweep(runs: Path) -> None:
    """Finish deletions that were interrupted, and drop what creations left halfway and locks of runs that are gone."""
    finish_deletions(runs)
    for path in runs.glob(".?*.lock"):
        if not (runs / path.name[1:].removesuffix(".lock")).exists():
            path.unlink(missing_ok=True)
    drop_left(runs.glob(".new-*"))


def _settings_of(view: RunView) -> dict[str, Any]:
    table = (asdict(view.config) if view.config else {}) | dict(view.facts)
    hidden = ["train_file", "validation_file", "created", "title", "note", *(["base"] if table.get("base_id") else [])]
    return {name: value for name, value in table.items() if name not in hidden}
