"""Base against tuned on the same held-out rows: `python -m engine.training.compare RUN [--rows N]` writes compare.json.

The file tells how far it is while the child works. Reading it takes no torch; the models are judged in `rowwise`.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from engine.errors import NotFoundError
from engine.files import read_json, write_json
from engine.jobs.folder import Job
from engine.training import tasks
from engine.training.config import TrainingConfig, read_config
from engine.training.failures import as_command
from engine.training.failures import describe as describe
from engine.training.turns import step_back

Progress = Callable[[int, int], None]
"""Called with what is done and the whole."""

FILE = "compare.json"
MAX_ROWS = 2_000
WRITE_SECONDS = 1.0


@dataclass(frozen=True)
class ComparedRow:
    """One held-out row: what was asked, what is right, what both models make of it, and how good that is."""

    input: str
    expected: str
    base: str
    tuned: str
    base_score: float
    tuned_score: float
    number: int = 0
    """Of the row in its file."""


@dataclass(frozen=True)
class Comparison:
    """Both models on the same rows, the most changed first. `score` names what scores are, `metric` the run's own."""

    task: str
    metric: str
    score: str
    is_lower_better: bool
    base: Mapping[str, float]
    """Metrics of the base over all compared rows."""
    tuned: Mapping[str, float]
    rows: tuple[ComparedRow, ...]
    held_out_rows: int
    """Rows in the validation file, of which the first were compared."""
    has_new_head: bool
    """The base brings no head for this task, so its answers are random."""
    step: int | None = None
    """Of the tuned model; None in what an earlier version wrote."""


def compare(folder: Path, limit: int = 0, progress: Progress = lambda done, total: None) -> Comparison:
    """Judge base and tuned model of the run in `folder` on its first `limit` held-out rows; 0 takes the task's default.

    Needs torch. Raises NotFoundError without a model, InputError for files that cannot be read, MemoryShortError.
    """
    from engine.training import rowwise

    config = read_config(folder / "config.json")
    if not (folder / "model" / "config.json").is_file():
        raise NotFoundError("This run has no model yet. Wait until it has saved one.", param="run")
    rows, held_out = rowwise.read(config, folder, rows_of(config, limit))
    half = len(rows)
    before = rowwise.judge(config, folder, config.base, rows, lambda done: progress(done, 2 * half))
    after = rowwise.judge(config, folder, str(folder / "model"), rows, lambda done: progress(half + done, 2 * half))
    compared = [
        ComparedRow(
            *rowwise.shown(config.task, row), old.text, new.text, old.score, new.score, int(row["#"]),
        )
        for row, old, new in zip(rows, before.rows, after.rows, strict=True)
    ]  # fmt: skip
    task = tasks.find(config.task)
    return Comparison(
        task=config.task,
        metric=task.metric,
        score=task.score,
        is_lower_better=task.is_lower_better,
        base=before.metrics,
        tuned=after.metrics,
        rows=tuple(sorted(compared, key=lambda row: (-change(row, task.score), row.number))),
        held_out_rows=held_out,
        has_new_head=before.has_new_head,
        step=read_json(folder / "status.json").get("best_step"),
    )


def rows_of(config: TrainingConfig, limit: int) -> int:
    """How many rows are compared."""
    return min(limit or tasks.find(config.task).compared_rows, MAX_ROWS)


def change(row: ComparedRow, score: str) -> float:
    """How much a row's score changed, in whatever direction; perplexities by their ratio, as they multiply."""
    if score == "perplexity":
        return abs(math.log(max(row.tuned_score, 1e-9)) - math.log(max(row.base_score, 1e-9)))
    return abs(row.tuned_score - row.base_score)


def read(folder: Path) -> Comparison | None:
    """The last whole comparison of a run, or None."""
    content = read_json(folder / FILE)
    with suppress(KeyError, TypeError):
        rows = tuple(ComparedRow(**row) for row in content.pop("rows"))
        return Comparison(**content, rows=rows)
    return None


def write(folder: Path, limit: int = 0, progress: Progress = lambda done, total: None) -> dict[str, Any]:
    """Compare as `compare` does, write compare.json into the run's folder, and return the metrics of both."""
    comparison = compare(folder, limit, progress)
    write_json(folder / FILE, asdict(comparison))
    return {"base": comparison.base, "tuned": comparison.tuned}


def work(job: Job) -> dict[str, Any]:
    """The work of a job: compare the models of the run that its config names."""
    last = 0.0

    def tell(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= WRITE_SECONDS or done == total:
            last = time.monotonic()
            job.advance(done, total)

    return write(job.folder.parents[1] / job.config["run"], progress=tell)


def main(arguments: list[str] | None = None) -> int:
    """Compare as the command line says and print the metrics. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m engine.training.compare", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=0)
    given = parser.parse_args(arguments)
    return as_command(lambda: json.dumps(write(given.folder, max(given.rows, 0))))


if __name__ == "__main__":
    step_back()
    sys.exit(main())
