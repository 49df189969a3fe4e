"""What of a run is kept, and by which figures: the better step, its threshold, its labels, its own memory."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from engine.errors import NotFoundError
from engine.jobs.folder import Job
from engine.settings import Settings
from engine.training import cards, compare, export, figures, retelling, tasks
from engine.training import runs as jobs
from engine.training.config import TrainingConfig, looked_back_at
from engine.training.data import read_texts
from engine.training.lessons.answer import choose_threshold
from engine.training.lessons.classification import in_base_order
from engine.training.run import Run
from engine.training.trainer import Patience, RunTrainer
from tests.training.runs_on_the_spot import ANIMALS, encoder, make_run
from tests.training.told import read_metrics

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
        RunTrainer.note_best(trainer, line)
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


def test_separators_of_lines_that_json_leaves_alone_cut_no_row(tmp_path: Path) -> None:
    odd = "a\u2028b\x85c\u2029d\x0be\x1cf"
    rows = [{"text": f"{odd} {number}", "label": label} for number, label in enumerate(("x", "y", "x", "y"))]
    settings = Settings(runs_folder=tmp_path)
    run_id = jobs.create(settings, {"task": "classification", "base": "b"}, rows, rows[:2], title=f"A {odd}")
    folder = jobs.run_folder(settings, run_id)
    assert [row["text"] for row in read_texts(folder / "data" / "train.jsonl")] == [row["text"] for row in rows]
    run = Run(folder)
    run.update("finished")
    run.show(5, [(odd, odd)])
    run.record({"step": 5, "eval_loss": 1.0, "note": odd})
    view = jobs.read(settings, run_id)
    assert view.samples == [{"step": 5, "prompt": odd, "text": odd}] and view.metrics[0]["note"] == odd


LOOKING_BACK: dict[str, dict[str, Any]] = {
    "full": {}, "lora": {"method": "lora", "average_decay": 0.5},
}  # fmt: skip


@pytest.mark.parametrize("way", LOOKING_BACK)
def test_a_checkpoint_from_the_middle_becomes_a_run_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    from engine.training.session import train

    settings, base = Settings(runs_folder=tmp_path / "runs"), encoder(tmp_path / "base", "", 0)
    rows = [{"text": f"the {name}", "label": name} for name in ANIMALS] * 4
    values = {"task": "classification", "base": str(base), "batch_size": 8, "epochs": 6, "threads": 1, "is_bf16": False}
    values |= {"kept_checkpoints": 2, "learning_rate": 5e-3} | LOOKING_BACK[way]
    run_id = jobs.create(settings, values, rows, rows[:6], title="Animals")
    folder = jobs.run_folder(settings, run_id)
    train(folder)
    past = jobs.read(settings, run_id).past_weights
    assert {6, 12, 18} <= set(past), "two from the middle of 18 steps, and the last"
    line = next(row for row in read_metrics(folder) if row["step"] == 6 and "eval_loss" in row)
    early = jobs.create_step(settings, run_id, 6)
    assert train(jobs.run_folder(settings, early))["eval_loss"] == pytest.approx(line["eval_loss"], rel=1e-4)
    view = jobs.read(settings, early)
    assert (view.title, view.status["best_step"], view.has_model) == ("Animals, step 6", 6, True)
    assert view.status["baseline"] == jobs.read(settings, run_id).status["baseline"]
    card = cards.card(cards.read_facts(view.folder), "safetensors")
    assert f"Its weights are those of step 6 of the run {run_id}." in card
    jobs.delete_step(settings, run_id, 6)
    assert 6 not in jobs.read(settings, run_id).past_weights
    for act in (jobs.delete_step, jobs.create_step):
        with pytest.raises(NotFoundError, match="no weights of step 6"):
            act(settings, run_id, 6)
    with pytest.raises(NotFoundError, match="no weights of step 18"):
        jobs.delete_step(settings, run_id, 18)  # resuming needs the last


def test_one_prompt_goes_through_the_kept_weights_as_the_run_wrote_it(tmp_path: Path) -> None:
    from engine.training.session import train

    settings, prompt = Settings(runs_folder=tmp_path / "runs"), "The cat is"
    rows = [{"text": f"The {name} is in the garden, and the bird waits for the {name}."} for name in ANIMALS] * 12
    values = {"task": "pretraining", "base": "", "batch_size": 4, "epochs": 6, "threads": 1, "is_bf16": False}
    values |= {"kept_checkpoints": 2, "layers": 1, "width": 16, "heads": 2, "vocabulary_size": 300, "max_length": 32}
    values |= {"sample_prompts": (prompt,), "sample_tokens": 8, "learning_rate": 1e-2}
    run_id = jobs.create(settings, values, rows, rows[:6], title="Tiny")
    train(jobs.run_folder(settings, run_id))
    folder = settings.runs_folder / ".jobs" / "retell-1"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"run": run_id, "prompt": prompt}))
    told = retelling.work(Job(folder))["samples"]
    view = jobs.read(settings, run_id)
    assert [row["step"] for row in told] == [0, *retelling.moments(list(view.past_weights))] and len(told) == 3
    written = {row["step"]: row["text"] for row in view.samples}
    assert [row["text"] for row in told] == [written[row["step"]] for row in told]
    weights = load_file(view.folder / "model" / "model.safetensors")
    assert view.parameters == sum(weight.numel() for weight in weights.values()) and view.tokens_seen > 0


@pytest.mark.parametrize(("steps", "found"), [([], []), ([9], [9]), ([2, 5, 9], [5, 9]), ([8, 9], [8, 9])])
def test_moments_of_a_run(steps: list[int], found: list[int]) -> None:
    assert retelling.moments(steps) == found


@pytest.mark.parametrize(
    ("count", "most", "steps"),
    [(0, 9, []), (1, 9, [50]), (2, 9, [40, 70]), (3, 9, [30, 50, 80]), (10, 9, [10, 20, 30, 40, 50, 60, 70, 80, 90]),
     (3, 1, [50]), (3, 0, [])],
)  # fmt: skip
def test_kept_checkpoints_lie_evenly_within_their_size(count: int, most: int, steps: list[int]) -> None:
    config = TrainingConfig("classification", "b", "t", "v", batch_size=10, epochs=10.0, kept_checkpoints=count)
    assert looked_back_at(config, 100, most) == steps


def test_two_runs_get_two_names(tmp_path: Path) -> None:
    settings, rows = Settings(runs_folder=tmp_path), [{"text": "a", "label": "b"}, {"text": "c", "label": "d"}]

    def title(wanted: str) -> str:
        values = {"task": "classification", "base": "b"}
        return jobs.read(settings, jobs.create(settings, values, rows, rows, title=wanted)).title

    assert [title(name) for name in ("A run", "a run", "A run", "A run (2)")] == [
        "A run", "a run (2)", "A run (3)", "A run (2) (2)"]  # fmt: skip
    assert [title("x" * 80), title("x" * 80)] == ["x" * 80, "x" * 76 + " (2)"]
    first = jobs.create(settings, {"task": "classification", "base": "b"}, rows, rows, title="Mine")
    jobs.annotate(settings, first, "Mine", "the same again")
    assert jobs.read(settings, first).title == "Mine"
    jobs.annotate(settings, first, "A run", "")
    assert jobs.read(settings, first).title == "A run (4)"


@pytest.mark.parametrize("head", ["", "SequenceClassification"])
def test_a_classifiers_adapter_opens_with_its_own_snippet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, head: str
) -> None:
    """A base without a head, and one whose head has other labels; a label's backticks stay in the block of code."""
    from transformers import AutoModelForSequenceClassification

    from engine.training.session import train

    base, names = encoder(tmp_path / "base", head, 0), [*list(ANIMALS)[:3], 'it\'s "```"\n']
    rows = [{"text": f"the {name}", "label": name.strip()} for name in names] * 4
    values = {"task": "classification", "base": str(base), "base_id": "base", "method": "lora", "max_steps": 3}
    settings = Settings(runs_folder=tmp_path / "runs")
    run_id = jobs.create(settings, values | {"threads": 1, "learning_rate": 0.05}, rows, rows[:4], title="Animals")
    folder = jobs.run_folder(settings, run_id)
    train(folder)
    with zipfile.ZipFile(export.export(folder, "adapter", tmp_path)) as archive:
        archive.extractall(tmp_path)
    top = tmp_path / f"{run_id}-adapter"
    shutil.copytree(base, top / "base")
    monkeypatch.chdir(top)
    code = (top / "README.md").read_text(encoding="utf-8").partition("```python\n")[2].partition("\n```\n")[0]
    opened: dict[str, Any] = {}
    exec(code, opened)
    kept = AutoModelForSequenceClassification.from_pretrained(folder / "model", dtype=torch.float32)
    assert opened["model"].config.id2label == kept.config.id2label == dict(enumerate(opened["labels"]))
    assert set(opened["labels"]) == {name.strip() for name in names}
    texts = opened["tokenizer"]([row["text"] for row in rows[:4]], padding=True, return_tensors="pt")
    with torch.inference_mode():
        torch.testing.assert_close(opened["model"](**texts).logits, kept(**texts).logits, atol=1e-2, rtol=1e-2)


def test_the_card_names_the_step_and_what_its_figures_leave_out(tmp_path: Path) -> None:
    folder = make_run(tmp_path, "classification")
    status = json.loads((folder / "status.json").read_text())
    status |= {"baseline": {"eval_accuracy": 90.0, "eval_loss": 0.2}, "absent_labels": ["fox", "a|b"]}
    status |= {"metrics": {"eval_accuracy": 80.0, "eval_loss": 0.1}, "best_step": 30}
    (folder / "status.json").write_text(json.dumps(status))
    card = cards.card(cards.read_facts(folder), "safetensors")
    assert "| metric | base, untrained | this model, step 30 |" in card and "| accuracy | 90 | 80 |" in card
    assert r"No row held out has fox, a\|b, so no figure" in card
    assert "worse than what it began with: Accuracy 80 after training, 90 before" in card
    assert compare.compare(folder, 2).step == 30
    status["metrics"]["eval_accuracy"] = 90.0
    (folder / "status.json").write_text(json.dumps(status | {"absent_labels": []}))
    card = cards.card(cards.read_facts(folder), "safetensors")
    assert "No row held out" not in card and "worse than" not in card
