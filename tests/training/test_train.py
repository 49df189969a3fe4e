"""A real, tiny run: it learns, it beats its base, and its folder tells the truth, also after a kill."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from safetensors.torch import load_file, save_file
from tokenizers_on_the_spot import wordpiece

from engine.jobs.folder import STOP_FILE
from engine.jobs.turns import waiting
from engine.training.config import TrainingConfig
from engine.training.measure import measure
from engine.training.recording import Recorder
from engine.training.run import Run, last_checkpoint
from engine.training.session import train
from engine.training.train import main
from tests.training.told import read_metrics, read_status

PATIENCE_SECONDS = 240
"""For a child process on a machine that others keep busy."""

GOOD, BAD = ("lovely", "bright", "kind", "superb"), ("dull", "awful", "grim", "tired")
FILLER = ("the", "film", "was", "story", "actor", "music", "an", "evening", "with", "very")


def sentences(count: int, seed: int) -> list[tuple[str, str]]:
    """Filler words around one word of judgement, which decides the label."""
    rng = random.Random(seed)
    rows = []
    for _ in range(count):
        label = rng.choice(("negative", "positive"))
        words = rng.choices(FILLER, k=6)
        words.insert(rng.randrange(7), rng.choice(GOOD if label == "positive" else BAD))
        rows.append((" ".join(words), label))
    return rows


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT of two layers beside a tokenizer made on the spot."""
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)

    folder = tmp_path_factory.mktemp("base")
    tokenizer = wordpiece([" ".join((*GOOD, *BAD, *FILLER))] * 20)
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    BertModel(BertConfig(vocab_size=len(tokenizer), **shape)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_run(folder: Path, base: Path, **changes: Any) -> Path:
    folder.mkdir()
    for name, count, seed in (("train", 400, 1), ("validation", 100, 2)):
        lines = ["text,label", *(f"{text},{label}" for text, label in sentences(count, seed))]
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
    values: dict[str, Any] = {
        "base": str(base),
        "train_file": str(folder / "train.csv"),
        "validation_file": str(folder / "validation.csv"),
        "labels": ("negative", "positive"),
        "learning_rate": 5e-3,
        "epochs": 4,
        "threads": 1,
        "is_bf16": False,
    }
    TrainingConfig("classification", **values | changes).save(folder / "config.json")
    return folder


def start(folder: Path) -> subprocess.Popen[bytes]:
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    return subprocess.Popen([sys.executable, "-m", "engine.training.train", str(folder)], env=environment)


ALL_WAYS = [{}, {"method": "lora", "epochs": 12, "learning_rate": 2e-3}, {"average_decay": 0.9}]


@pytest.mark.parametrize("changes", ALL_WAYS, ids=["full", "lora", "averaged"])
def test_it_learns_and_the_saved_model_beats_its_base(tmp_path: Path, base: Path, changes: dict[str, Any]) -> None:
    folder = make_run(tmp_path / "run", base, **changes)
    train(folder)
    losses = [line["loss"] for line in read_metrics(folder) if "loss" in line]
    assert losses[-1] < 0.5 * losses[0]
    assert read_status(folder)["state"] == "finished"
    held_out = folder / "validation.csv"
    assert measure(folder / "model", held_out, 1)["eval_accuracy"] > 90
    saved = json.loads((folder / "model" / "config.json").read_text())
    assert saved["id2label"] == {"0": "negative", "1": "positive"}
    assert (folder / "model" / "model.safetensors").stat().st_size < 1_000_000


def test_a_kept_model_can_learn_on(tmp_path: Path, base: Path) -> None:
    """Kept models are fp16; learning goes on in float32."""
    first = make_run(tmp_path / "first", base, epochs=1)
    train(first)
    second = make_run(tmp_path / "second", first / "model", epochs=3, average_decay=0.9)
    metrics = train(second)
    assert metrics["eval_accuracy"] > 90


def test_a_reader_learns_and_rows_are_judged_in_their_own_order(tmp_path: Path, base: Path) -> None:
    """Passages differ in length, so a judge that takes predictions in another order than the rows' scores badly."""
    folder = tmp_path / "run"
    folder.mkdir()
    for name, count, seed in (("train", 300, 1), ("validation", 80, 2)):
        (folder / f"{name}.json").write_text(json.dumps(questions(count, seed)))
    TrainingConfig(
        "answer",
        base=str(base),
        train_file=str(folder / "train.json"),
        validation_file=str(folder / "validation.json"),
        max_length=32,
        stride=8,
        learning_rate=5e-3,
        epochs=4,
        threads=1,
        is_bf16=False,
    ).save(folder / "config.json")
    metrics = train(folder)
    assert metrics["eval_f1"] > 90 and metrics["eval_null_recall"] > 80 and metrics["eval_f1_with_abstention"] > 85
    assert measure(folder / "model", folder / "validation.json", 1)["eval_f1"] == pytest.approx(
        metrics["eval_f1"], abs=2
    )
    saved = json.loads((folder / "model" / "config.json").read_text())
    assert 0 < saved["null_threshold"] <= 1 and (saved["window_tokens"], saved["window_stride"]) == (32, 8)


def questions(count: int, seed: int) -> dict[str, Any]:
    """Filler around one word of judgement, which is the answer; every fifth passage lacks it and holds no answer."""
    rng = random.Random(seed)
    paragraphs = []
    for number in range(count):
        words, answers = rng.choices(FILLER, k=rng.randrange(3, 45)), []
        if number % 5:
            words.insert(rng.randrange(len(words)), word := rng.choice(GOOD + BAD))
            answers = [{"text": word, "answer_start": f" {' '.join(words)} ".index(f" {word} ")}]
        paragraphs.append({"context": " ".join(words), "qas": [{"question": "was the film", "answers": answers}]})
    return {"data": [{"paragraphs": paragraphs}]}


class Killed(BaseException):
    """Stands for a kill inside one process."""


def kill_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """The next training ends without a word after so many steps."""
    original = Recorder.on_step_end

    def on_step_end(self: Any, args: Any, state: Any, control: Any, **rest: Any) -> None:
        original(self, args, state, control, **rest)
        if state.global_step == step:
            monkeypatch.setattr(Recorder, "on_step_end", original)
            raise Killed

    monkeypatch.setattr(Recorder, "on_step_end", on_step_end)


HARD_WAYS: dict[str, dict[str, Any]] = {
    "dropouts": {"token_dropout": 0.2, "attention_dropout": 0.1},
    "averaged": {"average_decay": 0.9, "is_length_grouped": False},
    "adapters": {"method": "lora", "accumulation_steps": 2, "batch_size": 8, "schedule": "cosine"},
    "bf16": {"is_bf16": True, "is_gradient_checkpointed": True, "patience": 3},
}


@pytest.mark.parametrize("way", HARD_WAYS)
def test_a_resumed_run_goes_the_way_of_an_uninterrupted_one(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """Killed inside an epoch and at the end of one: the same losses, figures and weights as without."""
    changes = {"epochs": 3, "evaluations_per_epoch": 2} | HARD_WAYS[way]
    whole, torn = (make_run(tmp_path / name, base, **changes) for name in ("whole", "torn"))
    expected = train(whole)
    for step in (17, 51):
        kill_at(monkeypatch, step)
        with pytest.raises(Killed):
            train(torn)
    assert train(torn) == expected
    assert told(torn) == told(whole)
    assert (torn / "model" / "model.safetensors").read_bytes() == (whole / "model" / "model.safetensors").read_bytes()
    assert read_status(torn)["baseline"] == read_status(whole)["baseline"]


@pytest.mark.parametrize("step", [1, 9])
def test_a_stopped_run_goes_on_as_if_it_had_not_been_stopped(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """Before the first validation, where stopping adds one, and after it."""
    whole, torn = (make_run(tmp_path / name, base, max_steps=20, evaluations_per_epoch=2) for name in ("whole", "torn"))
    train(whole)
    with monkeypatch.context() as stopping:
        on_step_end = Recorder.on_step_end

        def stop(self: Any, args: Any, state: Any, control: Any, **rest: Any) -> None:
            if state.global_step == step:
                (torn / STOP_FILE).touch()
            on_step_end(self, args, state, control, **rest)

        stopping.setattr(Recorder, "on_step_end", stop)
        train(torn)
    (torn / STOP_FILE).unlink()
    assert read_status(torn)["state"] == "stopped"
    train(torn)
    both = told(torn)
    assert {key: both[key] for key in told(whole)} == told(whole)


def told(folder: Path) -> dict[tuple[int, bool], Any]:
    """What the metrics say of each step, the last line of each kind; times and speeds left out."""
    lines = {(line["step"], "eval_loss" in line): dict(line) for line in read_metrics(folder)}
    return {
        key: {n: v for n, v in line.items() if n not in ("time", "tokens_per_second")} for key, line in lines.items()
    }


def test_a_run_that_is_killed_at_any_moment_loses_nothing(tmp_path: Path, base: Path) -> None:
    """kill -9 of the real process at random moments; then on, to the losses of an uninterrupted run."""
    whole, folder = (make_run(tmp_path / name, base, epochs=8) for name in ("whole", "torn"))
    train(whole)
    chance = random.Random(os.getpid())
    for _ in range(2):
        seen = len(read_metrics(folder))
        child = start(folder)
        wait_for(lambda seen=seen: len(read_metrics(folder)) > seen)
        time.sleep(chance.uniform(0, 1.0))
        child.kill()
        child.wait()
        before, done = read_metrics(folder), last_checkpoint(folder)
        status = read_status(folder)
        assert status["state"] in ("failed", "finished") and status["pid"] == child.pid
        assert before, "what was written before the kill can be read"
        if status["state"] == "finished":  # it was quicker than the kill
            break
    train(folder)
    after = read_metrics(folder)
    assert after[: len(before)] == before
    if done is not None:
        assert all(line["step"] > int(done.name.partition("-")[2]) for line in after[len(before) :])
    assert told(folder) == told(whole)
    assert (folder / "model" / "model.safetensors").read_bytes() == (whole / "model" / "model.safetensors").read_bytes()


def test_half_written_checkpoints_are_passed_over(tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_run(tmp_path / "run", base, epochs=3)
    kill_at(monkeypatch, 60)
    with pytest.raises(Killed):
        train(folder)
    best = last_checkpoint(folder)
    assert best is not None and best.name == "checkpoint-50"
    checkpoints = folder / "checkpoints"
    for name, change in (("55", 0), ("56", -1)):
        shutil.copytree(best, checkpoints / f"checkpoint-{name}")
        weights = checkpoints / f"checkpoint-{name}" / "weights.safetensors"
        weights.write_bytes(weights.read_bytes()[:change] if change else b"")
    shutil.copytree(best, checkpoints / "checkpoint-60.part")
    (checkpoints / "checkpoint-57").mkdir()
    assert last_checkpoint(folder) == best
    assert train(folder)["eval_accuracy"] > 90
    left = {path.name for path in checkpoints.glob("checkpoint-*")}
    assert not left & {"checkpoint-55", "checkpoint-56", "checkpoint-57"} and "checkpoint-75" in left


def test_a_moved_folder_still_finds_its_best_checkpoint(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_run(tmp_path / "run", base, epochs=2)
    kill_at(monkeypatch, 30)
    with pytest.raises(Killed):
        train(folder)
    moved = folder.rename(tmp_path / "moved")
    config = json.loads((moved / "config.json").read_text())
    files = {name: str(moved / Path(config[name]).name) for name in ("train_file", "validation_file")}
    # Nothing learned after the move is better than before it.
    (moved / "config.json").write_text(json.dumps(config | files | {"learning_rate": 1e-8}))
    train(moved)
    assert read_status(moved)["state"] == "finished" and (moved / "model").is_dir()


def wait_for(condition: Any) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_run_stopped_by_a_signal_keeps_the_best_so_far(tmp_path: Path, base: Path) -> None:
    folder = make_run(tmp_path / "run", base, epochs=500)
    (folder / "stop").touch()
    os.utime(folder / "stop", (0, 0))  # of an earlier life: forgotten at the start
    child = start(folder)
    wait_for(lambda: last_checkpoint(folder) is not None or child.poll() is not None)
    child.send_signal(signal.SIGTERM)
    assert child.wait(PATIENCE_SECONDS) == 0
    status = read_status(folder)
    assert status["state"] == "stopped" and 0 < status["step"] < status["max_steps"]
    assert status["best_step"] <= status["step"] and "eval_accuracy" in status["metrics"]
    assert status["memory_bytes"] > 10**8 and status["free_memory_bytes"] > 0 and status["tokens_per_second"] > 0
    assert (folder / "model" / "model.safetensors").exists()


@pytest.mark.parametrize("step", [10, 40])
def test_a_run_stopped_by_a_file_keeps_the_best_so_far_and_goes_on_later(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    folder = make_run(tmp_path / "run", base, epochs=3)
    monkeypatch.setattr(Run, "is_stop_asked", property(lambda run: read_status(folder).get("step", 0) >= step))
    monkeypatch.setattr("engine.training.recording.STATUS_SECONDS", 0.0)
    metrics = train(folder)
    status = read_status(folder)
    assert status["state"] == "stopped" and step <= status["step"] <= step + 2 and status["metrics"] == metrics
    assert status["best_step"] == (25 if step > 25 else status["step"]), (
        "judged once more only where nothing was judged"
    )
    monkeypatch.undo()
    assert train(folder)["eval_accuracy"] > 90
    assert read_status(folder)["state"] == "finished" and read_status(folder)["step"] == 75
    assert not list(folder.glob("model.*")), "the earlier model is gone when the later one is there"


def test_two_runs_train_one_after_the_other(tmp_path: Path, base: Path) -> None:
    first, second, third = (make_run(tmp_path / name, base, epochs=500) for name in ("a", "c", "b"))
    children = [start(first)]
    wait_for(lambda: (first / "status.json").exists() and read_status(first)["state"] == "running")
    for folder in (second, third):
        children.append(start(folder))
        wait_for(lambda folder=folder: (folder / "status.json").exists())
    assert waiting(tmp_path) == ["c", "b"], "first come, first served, whatever their names"
    assert [read_status(folder)["state"] for folder in (first, second, third)] == ["running", "queued", "queued"]
    assert psutil.Process(children[0].pid).nice() == 19
    (second / "stop").touch()
    assert children[1].wait(PATIENCE_SECONDS) == 0 and read_status(second)["state"] == "stopped"
    assert not (second / "model").exists()
    children[0].kill()  # the kernel gives its turn on
    wait_for(lambda: read_status(third)["state"] in ("preparing", "running"))
    children[2].kill()
    for child in children:
        child.wait()


FAILURES = {
    "memory": (
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
        "Memory ran out",
        "batch_size",
    ),
    "disk": (OSError(errno.ENOSPC, "No space left on device"), "disk is full", "Free disk space"),
    "bug": (ZeroDivisionError("division by zero"), "ZeroDivisionError", "log"),
}


@pytest.mark.parametrize("kind", FAILURES)
def test_a_failure_is_told_with_what_to_change(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    error, sentence, advice = FAILURES[kind]
    folder = make_run(tmp_path / "run", base, epochs=2)

    def save(folder: Path, *_: Any) -> None:
        folder.with_name("checkpoint-1.part").mkdir(parents=True)
        raise error

    monkeypatch.setattr("engine.training.checkpoints.save", save)
    assert main([str(folder)]) == 1
    status = read_status(folder)
    assert status["state"] == "failed" and sentence in status["error"] and advice in status["advice"]
    assert not list((folder / "checkpoints").iterdir()), "what was half-written takes no more space"
    monkeypatch.undo()
    assert main([str(folder)]) == 0
    assert read_status(folder)["error"] == ""


def test_a_diverged_run_says_so(tmp_path: Path, base: Path) -> None:
    folder = make_run(tmp_path / "run", base, learning_rate=1.0, max_grad_norm=0.0, weight_decay=1.0)
    weights = load_file(base / "model.safetensors")
    broken = tmp_path / "broken"
    shutil.copytree(base, broken)
    save_file({n: w * float("nan") for n, w in weights.items()}, broken / "model.safetensors", {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"base": str(broken)}))
    assert main([str(folder)]) == 1
    status = read_status(folder)
    assert "diverged" in status["error"] and "learning_rate" in status["advice"]
    json.loads((folder / "metrics.jsonl").read_text().split("\n")[0], parse_constant=pytest.fail)


def test_early_stopping_and_a_number_of_steps(tmp_path: Path, base: Path) -> None:
    still = make_run(tmp_path / "still", base, epochs=50, learning_rate=1e-8, patience=2)
    train(still)
    status = read_status(still)
    assert status["state"] == "finished" and status["step"] <= 100 < status["max_steps"]
    short = make_run(tmp_path / "short", base, max_steps=7)
    train(short)
    steps = [line["step"] for line in read_metrics(short) if "loss" in line]
    assert steps == [1, 2, 3, 4, 5, 6, 7] and read_status(short)["max_steps"] == 7


def test_tensorboard_reads_the_curves(tmp_path: Path, base: Path) -> None:
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.record_writer import masked_crc32c

    folder = make_run(tmp_path / "run", base, epochs=1)
    train(folder)
    (path,) = (folder / "tensorboard").iterdir()
    data, at, tags = path.read_bytes(), 0, {}
    while at < len(data):
        (length,) = struct.unpack("<Q", data[at : at + 8])
        assert struct.unpack("<I", data[at + 8 : at + 12])[0] == masked_crc32c(data[at : at + 8])
        for value in Event.FromString(data[at + 12 : at + 12 + length]).summary.value:
            tags.setdefault(value.tag, []).append(value.simple_value)
        at += length + 16
    losses = [line["loss"] for line in read_metrics(folder) if "loss" in line]
    assert tags["train/loss"] == pytest.approx(losses)
    assert {"eval/loss", "eval/accuracy", "train/learning_rate", "train/grad_norm"} <= set(tags)


def test_bad_data_ends_as_failed_with_its_sentence(
    tmp_path: Path, base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_run(tmp_path / "run", base)
    (folder / "train.csv").write_text("text,label\nx,happy\n")
    assert main([str(folder / "config.json")]) == 1
    status = read_status(folder)
    assert status["state"] == "failed" and "label 'happy'" in status["error"]
    assert "label 'happy'" in (folder / "log.txt").read_text()
    assert capsys.readouterr().err.strip().endswith("train.csv, row 2: label 'happy' is none of negative, positive.")
