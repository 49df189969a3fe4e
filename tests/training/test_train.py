"""A real, tiny run: it learns, it beats its base, and its folder tells the truth, also after a kill."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tokenizers_on_the_spot import wordpiece

from engine.training.config import TrainingConfig
from engine.training.measure import measure
from engine.training.run import read_metrics, read_status
from engine.training.train import main, train

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


def wait_for_a_checkpoint(folder: Path, child: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not any((folder / "checkpoints").glob("checkpoint-*/trainer_state.json")):
        assert child.poll() is None and time.monotonic() < end
        time.sleep(0.1)


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


def test_a_killed_run_keeps_its_lines_and_goes_on_from_its_checkpoint(tmp_path: Path, base: Path) -> None:
    folder = make_run(tmp_path / "run", base, epochs=60)
    child = start(folder)
    wait_for_a_checkpoint(folder, child)
    assert read_status(folder)["state"] == "running"
    child.send_signal(signal.SIGKILL)
    child.wait()
    before, status = read_metrics(folder), read_status(folder)
    assert status["state"] == "failed" and "killed" in status["error"] and status["pid"] == child.pid
    assert not (folder / "model").exists()
    config = json.loads((folder / "config.json").read_text())
    done = max(int(path.parent.name.split("-")[1]) for path in folder.glob("checkpoints/*/trainer_state.json"))
    (folder / "config.json").write_text(json.dumps(config | {"epochs": done // 25 + 2}))
    train(folder)
    after = read_metrics(folder)
    assert after[: len(before)] == before
    assert after[len(before)]["step"] > done
    assert (folder / "model" / "model.safetensors").exists()


def test_a_stopped_run_keeps_the_best_so_far(tmp_path: Path, base: Path) -> None:
    folder = make_run(tmp_path / "run", base, epochs=500)
    child = start(folder)
    wait_for_a_checkpoint(folder, child)
    child.send_signal(signal.SIGTERM)
    assert child.wait(PATIENCE_SECONDS) == 0
    status = read_status(folder)
    assert status["state"] == "stopped" and status["step"] < status["max_steps"]
    assert (folder / "model" / "model.safetensors").exists()


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
