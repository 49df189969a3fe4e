"""The trial of a run on small real models: counts are exact, estimates near what the run then takes."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tokenizers_on_the_spot import wordpiece
from torch.utils.flop_counter import FlopCounterMode
from transformers import BertConfig, BertModel

from engine.errors import NotFoundError
from engine.jobs.folder import Job
from engine.settings import Settings
from engine.training import probe, tasks
from engine.training import runs as jobs
from engine.training.columns import Rows, apply, guess, split
from engine.training.config import read_config
from engine.training.findings import read_finding
from engine.training.formats import Table, read_table
from engine.training.probe import token_texts, work
from engine.training.session import make_lesson, make_trainer
from engine.training.session import train as learn
from tests.training.told import read_metrics


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT of two layers with words of the samples."""
    folder = tmp_path_factory.mktemp("base")
    words = [row["text"] for row in read_table(tasks.find_sample("tickets").file, "tickets.jsonl").rows]
    tokenizer = wordpiece(words, vocabulary=600)
    torch.manual_seed(0)
    shape = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 256}
    BertModel(BertConfig(vocab_size=len(tokenizer), **shape)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def sample_rows(task: str, count: int) -> tuple[Rows, Rows]:
    sample = tasks.find(task).samples[0]
    table = read_table(sample.file, sample.file.name)
    rows = apply(table, task, guess(table, task))
    train, held = split(rows, 0.2, 1, tasks.find(task).split_by)
    return train[:count], held[: count // 4]


def make_run(folder: Path, task: str, train: Rows, held: Rows, base: Path | str = "", **changes: Any) -> Path:
    """A run as the page makes it."""
    values = {"task": task, "base": str(base), "threads": 1, "is_bf16": False, "batch_size": 8, "epochs": 3} | changes
    settings = Settings(runs_folder=folder)
    return folder / jobs.create(settings, values, train, held, title="A run")


def tried(folder: Path) -> dict[str, Any]:
    work(Job(folder))
    result: dict[str, Any] = json.loads((folder / "probe.json").read_text())
    return result


def joined(pieces: list[list[Any]]) -> str:
    return "".join(text for text, _ in pieces)


def test_counts_and_the_first_batch_are_those_of_the_trainer(tmp_path: Path, base: Path) -> None:
    train, held = sample_rows("classification", 60)
    folder = make_run(tmp_path, "classification", train, held, base, max_length=64, accumulation_steps=2)
    found = tried(folder)
    config = read_config(folder / "config.json")
    lesson = make_lesson(config, folder)
    trainer = make_trainer(config, lesson, tmp_path / "x")
    assert found["steps"] == 12 == trainer.args.num_train_epochs * -(-60 // 16)
    assert found["lengths"] == [feature["length"] for feature in (lesson.train_set[i] for i in range(60))]
    assert found["tokens_per_epoch"] == sum(found["lengths"])
    tokens = found["batch"][0]["tokens"]
    assert len(found["batch"]) == 8 and tokens[-1] == [train[0]["label"], True]
    assert not any(is_learned for _, is_learned in tokens[:-1])
    assert train[0]["text"].split()[0].lower() in joined(tokens)
    assert not (folder / "probe.part").exists() and not (folder / "model").exists()
    assert not list(folder.glob("checkpoints/*"))


def test_rows_cut_off_have_the_numbers_of_their_file(tmp_path: Path, base: Path) -> None:
    texts = ["the parcel was late " * (30 if n in (4, 9) else 2) + str(n) for n in range(40)]
    cells = [{"text": text, "label": "ab"[n % 2]} for n, text in enumerate(texts)]
    rows = apply(Table(("text", "label"), cells, range(11, 51)), "classification", {"text": "text", "label": "label"})
    folder = make_run(tmp_path, "classification", rows, rows[:8], base, max_length=32, epochs=1.0)
    found = tried(folder)
    assert found["cut_rows"] == [15, 20]
    messages = [str(read_finding(finding).message) for finding in found["findings"]]
    assert any(m.startswith("Rows 15 and 20 are longer than max_length (32 tokens)") for m in messages)
    assert any("only 5 steps" in message for message in messages)


def test_what_is_learned_of_each_task(tmp_path: Path, base: Path) -> None:
    """Marked tokens: the answer's span; all of running text; the target alone."""
    train, held = sample_rows("answer", 40)
    found = tried(make_run(tmp_path, "answer", train, held, base, max_length=128, stride=32, epochs=1.0))
    learned = "".join(text for text, is_learned in found["batch"][0]["tokens"] if is_learned)
    assert "".join(learned.split()) == "".join(train[0]["answer"].lower().split())

    small = {"layers": 1, "width": 32, "heads": 2, "vocabulary_size": 400, "max_length": 48, "epochs": 1.0}
    train, held = sample_rows("pretraining", 12)
    found = tried(make_run(tmp_path, "pretraining", train, held, **small))
    assert all(is_learned for _, is_learned in found["batch"][0]["tokens"])
    assert train[0]["text"].startswith(joined(found["batch"][0]["tokens"]))

    train, held = sample_rows("translation", 40)
    languages = {"source_language": "en", "target_language": "fr", "max_target_length": 24}
    found = tried(make_run(tmp_path, "translation", train, held, **small, **languages))
    tokens = found["batch"][0]["tokens"]
    source, target = ("".join(text for text, is_learned in tokens if is_learned is kind) for kind in (False, True))
    assert train[0]["source"] in source and train[0]["target"] in target


@pytest.mark.parametrize("task", ["pretraining", "classification"])
def test_estimates_are_within_a_factor_of_two(
    tmp_path: Path, base: Path, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that counts operations of the model, so that what else the machine does cannot matter."""
    changes: dict[str, Any] = {"epochs": 6.0, "evaluations_per_epoch": 1, "max_length": 64, "accumulation_steps": 2}
    if task == "pretraining":
        changes |= {"layers": 2, "width": 64, "heads": 2, "vocabulary_size": 500, "sample_prompts": ("One day",)}
        changes |= {"sample_tokens": 8, "epochs": 4.0}
    train, held = sample_rows(task, 30 if task == "pretraining" else 120)
    folder = make_run(tmp_path, task, train, held, "" if task == "pretraining" else base, **changes)
    trial, run = FlopCounterMode(display=False), FlopCounterMode(display=False)
    monkeypatch.setattr(probe, "now", lambda: trial.get_total_flops() / 1e6)
    with trial:
        found = tried(folder)
    with run:
        learn(folder)
    took = run.get_total_flops() / 1e6
    assert 0.67 < (found["estimated_seconds"] - found["preparing_seconds"]) / took < 1.5
    size = sum(path.stat().st_size for path in (folder / "checkpoints").rglob("*") if path.is_file())
    assert size <= found["estimated_disk_bytes"] <= 4 * size
    assert found["estimated_memory_bytes"] >= 100e6


def test_too_small_a_machine_is_said(tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train, held = sample_rows("classification", 20)
    folder = make_run(tmp_path, "classification", train, held, base, max_length=32, epochs=1.0)
    monkeypatch.setattr(probe, "_free_memory", lambda: 1000)
    monkeypatch.setattr("engine.training.probe.shutil.disk_usage", lambda path: SimpleNamespace(free=1000))
    levels = {finding["field"]: finding["level"] for finding in tried(folder)["findings"]}
    assert levels["batch_size"] == levels["disk"] == "error"


def test_memory_is_near_what_the_child_then_holds(tmp_path: Path, base: Path) -> None:
    train, held = sample_rows("classification", 60)
    folder = make_run(tmp_path, "classification", train, held, base, max_length=64, epochs=1.0)
    for module in ("probe", "train"):
        command = [sys.executable, "-m", f"engine.training.{module}", str(folder)]
        subprocess.run(
            command,
            env=os.environ | {"HF_HUB_OFFLINE": "1", "PARLANCE_TRAINING_NICE": "0"},
            check=True,
            capture_output=True,
        )
    found = json.loads((folder / "probe.json").read_text())
    status = json.loads((folder / "status.json").read_text())
    assert 0.5 < found["estimated_memory_bytes"] / status["memory_bytes"] < 2


def test_a_trial_does_not_change_the_run(tmp_path: Path, base: Path) -> None:
    """With a trial before it, a run learns exactly as without."""
    train, held = sample_rows("classification", 40)
    losses = []
    for is_tried in (True, False):
        folder = make_run(tmp_path, "classification", train, held, base, max_length=32, epochs=1.0)
        if is_tried:
            tried(folder)
        learn(folder)
        losses.append([line["loss"] for line in read_metrics(folder) if "loss" in line])
    assert losses[0] == losses[1]


def test_what_cannot_be_tried_says_why(tmp_path: Path) -> None:
    train, held = sample_rows("classification", 20)
    folder = make_run(tmp_path, "classification", train, held, tmp_path / "nowhere")
    with pytest.raises(NotFoundError, match=r"^The base nowhere is not on this machine\."):
        work(Job(folder))
    assert not (folder / "probe.json").exists() and not (folder / "probe.part").exists()


def test_token_texts_join_to_the_whole_text() -> None:
    from backends.checkpoints import byte_pairs

    chance = random.Random(1)
    tokenizer = byte_pairs()
    text = " ".join(chance.choices(["brown", "renard", "敏捷", "🏅", "Größe", "x"], k=40))
    pieces = token_texts(tokenizer, tokenizer(text)["input_ids"])
    assert "".join(pieces) == text and "" in pieces
