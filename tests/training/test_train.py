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
    from transformers import BertConfig, BertModel

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
    TrainingConfig("sentiment", **values | changes).save(folder / "config.json")
    return folder


def start(folder: Path) -> subprocess.Popen[bytes]:
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    return subprocess.Popen([sys.executable, "-m", "engine.training.train", str(folder)], env=environment)


def metrics(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


ALL_WAYS = [{}, {"method": "lora", "learning_rate": 5e-3, "epochs": 6}, {"average_decay": 0.9}]


@pytest.mark.parametrize("changes", ALL_WAYS, ids=["full", "lora", "averaged"])
def test_it_learns_and_the_saved_model_beats_its_base(tmp_path: Path, base: Path, changes: dict[str, Any]) -> None:
    from engine.training.train import measure

    folder = make_run(tmp_path / "run", base, **changes)
    assert start(folder).wait(120) == 0
    losses = [line["eval_loss"] for line in metrics(folder) if "eval_loss" in line]
    assert losses[-1] < 0.6 * losses[0] or losses[-1] < 0.35
    status = json.loads((folder / "status.json").read_text())
    assert status["state"] == "finished"
    assert measure(folder, folder / "validation.csv")["eval_accuracy"] > 0.9
    saved = json.loads((folder / "model" / "config.json").read_text())
    assert saved["id2label"] == {"0": "negative", "1": "positive"}
    assert (folder / "model" / "model.safetensors").stat().st_size < 1_000_000


def test_a_killed_run_keeps_its_lines_and_goes_on_from_its_checkpoint(tmp_path: Path, base: Path) -> None:
    folder = make_run(tmp_path / "run", base, epochs=60)
    child = start(folder)
    end = time.monotonic() + 100
    while not any((folder / "checkpoints").glob("checkpoint-*/trainer_state.json")):
        assert child.poll() is None and time.monotonic() < end
        time.sleep(0.1)
    child.send_signal(signal.SIGKILL)
    child.wait()
    before = metrics(folder)
    steps = max(line["step"] for line in before)
    assert json.loads((folder / "status.json").read_text())["pid"] == child.pid
    assert not (folder / "model").exists()
    config = json.loads((folder / "config.json").read_text())
    done = max(int(path.name.split("-")[1]) for path in (folder / "checkpoints").glob("checkpoint-*"))
    (folder / "config.json").write_text(json.dumps(config | {"epochs": done // 25 + 2}))
    assert start(folder).wait(120) == 0
    after = metrics(folder)
    assert after[: len(before)] == before
    assert min(line["step"] for line in after[len(before) :]) > min(done, steps) - 10
    assert (folder / "model" / "model.safetensors").exists()


def test_bad_data_ends_as_failed_with_its_sentence(tmp_path: Path, base: Path) -> None:
    folder = make_run(tmp_path / "run", base)
    (folder / "train.csv").write_text("text,label\nx,happy\n")
    assert start(folder).wait(60) != 0
    status = json.loads((folder / "status.json").read_text())
    assert status["state"] == "failed" and "label 'happy'" in status["error"]
