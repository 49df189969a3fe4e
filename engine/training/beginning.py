"""From rows and settings to a run at work: what a page and the HTTP API do when somebody presses Start."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from engine.errors import InputError, not_among
from engine.messages import Text
from engine.serving import access
from engine.serving.compose import House
from engine.serving.protocol import Caller
from engine.training import columns, formats, runs, splitting, tasks
from engine.training.config import SETTINGS, TrainingConfig, defaults, make_config
from engine.training.findings import Finding
from engine.training.splits import Splits

FILES = {"train_file": "train.jsonl", "validation_file": "validation.jsonl"}
FIXED = ("task", "base", "base_id", "train_file", "validation_file", "mean_of", "step_of", "step")
"""Fields of a config that nobody sets by name."""
SHARE = 0.15
"""Of the rows, held out where none are given for that."""


def check(values: Mapping[str, Any], made: Splits) -> list[Finding]:
    """What the preflight says of rows and settings, errors first. Raises InputError naming a setting."""
    return splitting.check(make_config(dict(values) | FILES), made)


def begin(
    house: House, values: Mapping[str, Any], made: Splits, found: Sequence[Finding], title: str, note: str,
    caller: Caller,
) -> str:  # fmt: skip
    """Make the run and start it; returns its id. `found` is what `check` found; `title` may be too long.

    Raises InputError where an error is among it, and as `runs.create` and `runs.start`.
    """
    faults = [finding for finding in found if finding.level == "error"]
    if faults:
        words = faults[0].message
        for finding in faults[1:]:
            words = Text("{sentence} {next}", sentence=words, next=finding.message)
        raise InputError(words, param=faults[0].field)
    settings, rows = house.settings, (made.usable_train, made.usable_validation)
    title = runs.fitting_title(title)
    run_id = runs.create(settings, values, *rows, title=title, note=note, findings=found, caller=caller)
    runs.start(settings, run_id, caller)
    return run_id


def begin_with_rows(
    house: House, task: str, base: str, rows: Sequence[Mapping[str, Any]], held_out: Sequence[Mapping[str, Any]],
    chosen: Mapping[str, Any], title: str, note: str, caller: Caller,
) -> str:  # fmt: skip
    """Begin a run with rows as they come in a request, whose columns are guessed as those of a file are.

    `base` is a model's id, "" for one from scratch; `chosen` are fields of TrainingConfig. Raises as `begin`.
    """
    access.check(caller, "train")
    table = _table(rows, "rows.json")
    others = _table(held_out, "held_out.json") if held_out else None
    if unknown := [name for name in chosen if name in FIXED or name not in SETTINGS]:
        raise not_among("settings", unknown[0], [name for name in SETTINGS if name not in FIXED])
    learned, mapping = tasks.find(task), columns.guess(table, task)
    start = {"base": str(runs.base_folder(house, base)), "base_id": base} if base else {"base": "", "base_id": ""}
    values = {"seed": TrainingConfig.seed} | defaults(task, has_base=bool(base)) | dict(learned.settings_in(mapping))
    values |= dict(chosen) | {"task": task} | start
    make_config(values | FILES)
    made = splitting.make(task, table, others, mapping, SHARE, False, int(values["seed"]))
    return begin(house, values, made, check(values, made), title or str(learned.title), note, caller)


def _table(rows: Sequence[Mapping[str, Any]], name: str) -> formats.Table:
    """As if they were a file of that name. Raises InputError, TooLargeError."""
    return formats.read_table(json.dumps(list(rows)).encode(), name)
