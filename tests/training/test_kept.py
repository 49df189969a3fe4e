"""What of a run is kept, and by which figures: the better step, its threshold, its labels, its own memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from engine.training import figures, tasks
from engine.training.config import TrainingConfig
from engine.training.lessons.answer import choose_threshold
from engine.training.lessons.classification import in_base_order
from engine.training.trainer import Patience, RunTrainer
from tests.training.runs_on_the_spot import ANIMALS, encoder

Validations = list[tuple[float, float]]
"""Metric and loss of each, at the steps 10, 20, …"""


def lines(task: str, validations: Validations) -> list[dict[str, float]]:
    name = f"eval_{tasks.find(task).metric}"
    return [
        {"step": 10 * number, name: metric, "eval_loss": loss} for number, (metric, loss) in enumerate(validations, 1)
    ]


def kept_step(task: str, validations: Validations) -> int:
    state = SimpleNamespace(global_step=0, best_global_step=None, best_metric=None, log_history=[])
    trainer: Any = SimpleNamespace(state=state, task=tasks.find(task))
    for line in lines(task, validations):
        state.log_history.append(line)
        state.global_step = line["step"]
        RunTrainer._determine_best_metric(trainer, line, None)
    return int(state.best_global_step)


@pytest.mark.parametrize(
    ("task", "validations", "step"),
    [
        ("classification", [(80, 0.5), (90, 0.6), (85, 0.1)], 20),
        ("classification", [(90, 0.5), (90, 0.4), (90, 0.45)], 20),
        ("classification", [(90, 0.4), (90, 0.4), (80, 0.2)], 20),
        ("classification", [(90, 0.4), (90, 0.4), (90, 0.4)], 30),
        ("style", [(9.0, 2.2), (8.0, 2.1), (8.5, 2.15)], 20),
        ("style", [(8.0, 2.1), (8.0, 2.1)], 20),
        ("classification", [(90, float("nan")), (90, 0.9)], 20),
        ("classification", [(90, 0.9), (90, float("nan"))], 10),
        ("classification", [(float("nan"), 0.1), (0.0, 5.0)], 20),
    ],
)
def test_the_kept_step_has_the_better_metric_then_the_lower_loss_then_comes_later(
    task: str, validations: Validations, step: int
) -> None:
    assert kept_step(task, validations) == step


@pytest.mark.parametrize(
    ("validations", "stops_at"),
    [
        ([(90, 0.5), (90, 0.4), (90, 0.3), (90, 0.2), (90, 0.1)], None),
        ([(90, 0.5), (90, 0.4), (90, 0.45), (90, 0.41), (90, 0.3)], 40),
        ([(90, 0.5), (91, 0.9), (90, 0.1), (90, 0.05)], 40),
        ([(90, 0.5), (90, 0.5), (90, 0.5), (95, 0.5)], 30),
        ([(90, 0.5), (90, 0.4999999), (90, 0.4999998)], 30),
    ],
)
def test_patience_counts_the_loss_too(validations: Validations, stops_at: int | None) -> None:
    patience = Patience(tasks.find("classification"), 2)
    state = SimpleNamespace(log_history=[{"step": 0, "eval_accuracy": 99.0, "eval_loss": 0.0}])
    stopped = []
    for line in lines("classification", validations):
        state.log_history.append(line)
        control = SimpleNamespace(should_training_stop=False)
        patience.on_evaluate(None, state, control)
        stopped += [line["step"]] if control.should_training_stop else []
    assert stopped[:1] == ([] if stops_at is None else [stops_at])


@pytest.mark.parametrize(
    ("rows", "threshold"),
    [
        # (F1 of the best span, probability of no answer, whether there is one)
        ([(1.0, 0.2, True), (0.0, 0.6, False)], 0.4),
        ([(1.0, 0.2, True), (0.0, 0.205, False)], 0.2025),
        ([(1.0, 0.5, True), (1.0, 0.4, True), (0.0, 0.3, False)], 0.745),
        ([(1.0, 0.9999, True), (0.0, 0.99999, False)], 0.99),
        ([(1.0, 0.1, True), (1.0, 0.1, True)], 0.99),
        ([(0.0, 0.1, False)], 0.99),
        ([(1.0, 0.0, True), (0.0, 1.0, False)], 0.505),
    ],
)
def test_the_threshold_lies_between_the_rows_and_never_reaches_1(
    rows: list[tuple[float, float, bool]], threshold: float
) -> None:
    f1, null, has = (np.array(column) for column in zip(*rows, strict=True))
    assert choose_threshold(f1, null, has) == pytest.approx(threshold, abs=1e-3)
    assert choose_threshold(f1, null, has) < 1.0


@pytest.mark.parametrize(
    ("known", "labels", "order"),
    [
        (["wolf", "fox"], ["fox", "wolf"], ("wolf", "fox")),
        (["POSITIVE", "NEGATIVE"], ["negative", "positive"], ("positive", "negative")),
        (["wolf", "fox"], ["ant", "fox", "wolf"], ("wolf", "fox", "ant")),
        ([], ["fox", "wolf"], ("fox", "wolf")),
    ],
)
def test_a_bases_own_order_of_labels_is_kept(
    tmp_path: Path, known: list[str], labels: list[str], order: tuple[str, ...]
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"id2label": dict(enumerate(known))} if known else {}))
    config = TrainingConfig("classification", str(tmp_path), "a", "b")
    assert in_base_order(config, labels) == order


def test_a_head_goes_on_meaning_what_it_meant(tmp_path: Path) -> None:
    from engine.training.session import make_lesson

    names = dict(enumerate(sorted(ANIMALS, reverse=True)))
    base = encoder(tmp_path / "base", "SequenceClassification", 1, num_labels=len(names), id2label=names)
    rows = "".join(json.dumps({"text": f"the {name}", "label": name}) + "\n" for name in ANIMALS)
    (tmp_path / "train.jsonl").write_text(rows)
    (tmp_path / "held.jsonl").write_text(rows.split("\n")[0] + "\n")
    files = (str(tmp_path / "train.jsonl"), str(tmp_path / "held.jsonl"))
    lesson = make_lesson(TrainingConfig("classification", str(base), *files, threads=1), tmp_path)
    assert lesson.model.config.id2label == names and not lesson.new_modules
    assert set(lesson.absent_labels) == set(ANIMALS) - {next(iter(ANIMALS))}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux hands its peak on to a child")
def test_memory_is_the_processes_own_and_not_its_parents() -> None:
    held = bytearray(300 * 2**20)
    held[::4096] = b"x" * len(held[::4096])
    script = (
        "import json, resource; from engine.training.run import memory_now\n"
        "print(json.dumps([memory_now()['memory_bytes'], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024]))"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    own, inherited = json.loads(ran.stdout)
    assert 0 < own < 200 * 2**20 < inherited


@pytest.mark.parametrize(
    ("task", "base", "kept", "is_worse"),
    [
        ("classification", (90, 0.5), (85, 0.4), True),
        ("classification", (90, 0.5), (90, 0.6), True),
        ("classification", (90, 0.5), (90, 0.5), False),
        ("classification", (90, 0.5), (95, 0.9), False),
        ("style", (8.0, 2.1), (9.0, 2.2), True),
        ("style", (9.0, 2.2), (8.0, 2.1), False),
    ],
)
def test_worse_than_its_base(task: str, base: tuple[float, float], kept: tuple[float, float], is_worse: bool) -> None:
    before, after = lines(task, [base, kept])
    assert figures.is_worse(after, before, task) == is_worse
    assert not figures.is_worse(after, {}, task) and not figures.is_worse({}, before, task)
