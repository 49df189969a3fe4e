"""Base and tuned model on the same held-out rows, for every task, in the process that compares."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.errors import NotFoundError
from engine.training import compare, tasks
from engine.training.compare import ComparedRow, Comparison, change
from engine.training.config import read_config
from engine.training.lessons import causal
from engine.training.measure import measure
from tests.training.runs_on_the_spot import ANIMALS, make_run

ROOT = Path(compare.__file__).parents[2]
TASKS: tuple[str, ...] = ("style", "instructions", "classification", "answer", "translation", "summary")


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(causal, "GENERATED_TOKENS", 6)


def weighted(found: Comparison) -> float:
    """The mean score of the tuned model's rows."""
    return sum(row.tuned_score for row in found.rows) / len(found.rows)


@pytest.mark.parametrize("task", TASKS)
def test_every_task_is_compared_row_by_row(task: str, tmp_path: Path) -> None:
    run = make_run(tmp_path, task)
    done: list[tuple[int, int]] = []
    found = compare.compare(run, 9, lambda *at: done.append(at))
    assert done[-1] == (18, 18) and done == sorted(done)
    assert (found.task, found.metric, found.held_out_rows) == (task, tasks.find(task).metric, 12)
    assert sorted(row.number for row in found.rows) == list(range(1, 10))
    changes = [change(row, found.score) for row in found.rows]
    assert changes == sorted(changes, reverse=True) and changes[0] > 0
    assert set(found.base) == set(found.tuned) >= {tasks.find(task).metric}
    lines = [json.loads(line) for line in (run / "data" / "validation.jsonl").read_text().strip().split("\n")]
    for row in found.rows:
        asked = [lines[row.number - 1][key] for key in tasks.find(task).roles]
        assert all(word == given for word, given in zip(row.input.split(), asked[0].split(), strict=False))
        assert row.input and row.expected
        assert (row.expected == asked[-1]) or (task == "style" and asked[0].endswith(row.expected))
    assert any(row.base != row.tuned for row in found.rows)
    assert found.is_lower_better == (task in ("style", "instructions"))
    assert found.has_new_head == (task in ("classification", "answer"))


@pytest.mark.parametrize("task", ["style", "instructions", "classification", "answer"])
def test_the_figures_are_those_that_training_measures(task: str, tmp_path: Path) -> None:
    run = make_run(tmp_path, task)
    found = compare.compare(run)
    config = read_config(run / "config.json")
    measured = measure(run / "model", run / "data" / "validation.jsonl", threads=1, config=config)
    for name in ("f1", "exact_match") if task == "answer" else (tasks.find(task).metric,):
        assert found.tuned[name] == pytest.approx(measured[f"eval_{name}"], rel=1e-3)


def test_labels_come_with_their_probability(tmp_path: Path) -> None:
    found = compare.compare(make_run(tmp_path, "classification"))
    assert all(row.tuned.split(" (")[0] in ANIMALS and row.tuned.endswith(" %)") for row in found.rows)
    right = [row.tuned.split(" (")[0] == row.expected for row in found.rows]
    assert found.tuned["accuracy"] == pytest.approx(100 * sum(right) / len(right))
    for row, is_right in zip(found.rows, right, strict=True):
        shown = int(row.tuned.split("(")[1].removesuffix(" %)"))
        assert not is_right or shown == pytest.approx(100 * row.tuned_score, abs=0.51)


def test_a_reader_may_say_that_there_is_no_answer(tmp_path: Path) -> None:
    run = make_run(tmp_path, "answer")
    config = json.loads((run / "model" / "config.json").read_text())
    (run / "model" / "config.json").write_text(json.dumps(config | {"null_threshold": 0.0}))
    found = compare.compare(run)
    assert {row.tuned for row in found.rows} == {""} and found.tuned["f1_with_abstention"] == 0
    assert found.tuned["null_threshold"] == 0.0
    assert all(row.base for row in found.rows)


def test_translations_are_scored_by_row_and_together(tmp_path: Path) -> None:
    found = compare.compare(make_run(tmp_path, "translation"))
    assert all(0 <= row.tuned_score <= 100 for row in found.rows)
    assert set(found.tuned) == {"chrf", "bleu"}
    assert min(row.tuned_score for row in found.rows) <= found.tuned["chrf"] + 1


def test_what_began_from_scratch_is_compared_with_the_untrained_model(tmp_path: Path) -> None:
    from engine.training.session import train

    run = make_run(tmp_path, "style")
    config = json.loads((run / "config.json").read_text())
    changes = {"task": "pretraining", "base": "", "base_id": "", "vocabulary_size": 300, "width": 32, "heads": 2}
    changes |= {"layers": 1, "epochs": 8, "learning_rate": 0.01, "is_bf16": False, "sample_tokens": 2}
    (run / "config.json").write_text(json.dumps(config | changes))
    train(run)
    found = compare.compare(run, 6)
    assert found.tuned["perplexity"] < 0.5 * found.base["perplexity"]
    assert all(row.tuned_score < row.base_score for row in found.rows)


def test_perplexities_change_by_their_ratio() -> None:
    rows = [ComparedRow("", "", "", "", old, new) for old, new in ((10.0, 5.0), (1000.0, 900.0), (2.0, 20.0))]
    assert [change(row, "perplexity") for row in rows] == pytest.approx([math.log(2), math.log(10 / 9), math.log(10)])
    assert change(rows[1], "chrf") == 100


def start(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "engine.training.compare", *arguments],
        cwd=ROOT, env=os.environ | {"PARLANCE_TRAINING_NICE": "0"}, capture_output=True, text=True, timeout=250,
    )  # fmt: skip


def test_the_child_writes_a_file_that_needs_no_torch(tmp_path: Path) -> None:
    run = make_run(tmp_path, "classification")
    assert compare.read(run) is None
    ran = start(str(run), "--rows", "4")
    assert ran.returncode == 0, ran.stderr
    found = compare.read(run)
    assert found is not None and len(found.rows) == 4 and isinstance(found.rows[0], ComparedRow)
    assert json.loads(ran.stdout.strip().rpartition("\n")[2])["tuned"] == found.tuned
    script = (
        f"import sys; from engine.training import compare; compare.read({str(run)!r}); print('torch' in sys.modules)"
    )
    script = script.replace(repr(str(run)), f"__import__('pathlib').Path({str(run)!r})")
    loaded = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "False"


def test_a_run_without_a_model_gets_a_sentence(tmp_path: Path, capsys: Any) -> None:
    run = make_run(tmp_path, "classification")
    (run / "model" / "config.json").unlink()
    with pytest.raises(NotFoundError, match="no model yet"):
        compare.compare(run)
    assert compare.main([str(run)]) == 1
    assert "no model yet" in capsys.readouterr().err
    (run / "compare.json").write_text('{"rows": [{"input": 1}]}')
    assert compare.read(run) is None
