"""One model judged row by row: what it makes of each held-out row, and how good that is. Part of the compare child.

How a model is judged is its task's; reading the rows takes no torch.
"""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from engine.settings import available_cores
from engine.training import tasks
from engine.training.config import TrainingConfig, located
from engine.training.data import Row, read_rows
from engine.training.verdicts import SHOWN_CHARACTERS, Report, Verdict


def read(config: TrainingConfig, folder: Path, limit: int) -> tuple[list[Row], int]:
    """The first `limit` held-out rows of a run, and how many there are. Raises InputError."""
    path, task = Path(located(config, folder).validation_file), tasks.find(config.task)
    rows = task.read(path) if task.read else read_rows(path, task.roles)
    return rows[:limit], len(rows)


def shown(task_id: str, row: Row) -> tuple[str, str]:
    """What a person is shown of a row: what went in, and what is right."""
    task = tasks.find(task_id)
    given, right = task.shown(row) if task.shown else (row[task.roles[0]], row[task.roles[-1]])
    return given[:SHOWN_CHARACTERS], right[:SHOWN_CHARACTERS]


def judge(config: TrainingConfig, folder: Path, base: str, rows: Sequence[Row], report: Report) -> Verdict:
    """Judge the model in the folder or GGUF file `base` ("" is the untrained one) in float32.

    Raises PeopleError where it cannot be loaded.
    """
    import torch

    torch.set_num_threads(config.threads or available_cores())
    torch.manual_seed(config.seed)
    config, task = located(config, folder), tasks.find(config.task)
    if base and not task.takes_base:
        # What was trained from scratch is a base now.
        task = tasks.find(task.continued_as)
    config = replace(config, task=task.id, base=base, method="full", is_bf16=False)
    try:
        with torch.inference_mode():
            return task.judge(config, folder, rows, report)
    finally:
        gc.collect()
