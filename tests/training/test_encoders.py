"""Fine-tuning on the multilingual encoder: a run keeps a head, which serves, is judged and leaves whole."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file

from engine.backends.loader import load
from engine.catalogue import tuned
from engine.catalogue.models import read_catalogue
from engine.requests import Classify
from engine.settings import Settings
from engine.training import encoders, export, rowwise, serving, tasks
from engine.training.config import TrainingConfig, read_config
from engine.training.lessons import classification
from engine.training.session import train
from engine.training.views import read
from tests.backends import e5_files
from tests.backends.checkpoints import run as answered

WORDS = {"negative": ("bad", "old"), "positive": ("good", "quick")}
FILLER = ("the", "films", "stone", "fox", "bridge")


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """With a small encoder in the cache."""
    made = Settings(
        device="cpu", dtype="float32", threads=1, cache_folder=tmp_path / "cache", runs_folder=tmp_path / "runs"
    )
    folder = made.cache_folder / "models" / encoders.ENCODER
    folder.mkdir(parents=True)
    (folder / "small-q4.bin").write_bytes(e5_files.publish(e5_files.model()))
    monkeypatch.setattr(encoders, "current", lambda: made)
    return made


def write_rows(folder: Path) -> None:
    for name, count in (("train", 120), ("validation", 30)):
        rng, lines = random.Random(name), []
        for _ in range(count):
            label = rng.choice(list(WORDS))
            words = [*rng.choices(FILLER, k=3), rng.choice(WORDS[label])]
            rng.shuffle(words)
            lines.append(json.dumps({"text": " ".join(words), "label": label}) + "\n")
        (folder / f"{name}.jsonl").write_text("".join(lines))


def make_run(settings: Settings, base: Path, **changes: object) -> Path:
    folder = settings.runs_folder / "20261129-000000-abcdef"
    folder.mkdir(parents=True)
    write_rows(folder)
    config = TrainingConfig(
        "classification", base=str(base), base_id=encoders.ENCODER, train_file=str(folder / "train.jsonl"),
        validation_file=str(folder / "validation.jsonl"), labels=("negative", "positive"), learning_rate=3e-3,
        epochs=8, batch_size=8, threads=1, is_bf16=False,
    )  # fmt: skip
    replace(config, **changes).save(folder / "config.json")
    (folder / "about.json").write_text(json.dumps({"title": "My head", "note": "", "created": 1.0}))
    return folder


@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_run_on_the_encoder_keeps_a_head_that_is_judged_and_leaves_whole(settings: Settings, method: str) -> None:
    torch.set_num_threads(1)
    file = next((settings.cache_folder / "models" / encoders.ENCODER).glob("*.bin"))
    folder = make_run(settings, file, method=method)
    metrics = train(folder)
    assert metrics["eval_accuracy"] > (80 if method == "full" else 55)
    tensors = load_file(folder / "model" / "model.safetensors")
    assert not [name for name in tensors if "word_embeddings" in name]
    facts = json.loads((folder / "model" / "config.json").read_text())
    assert facts["base"] == encoders.ENCODER and facts["is_packed"]

    config = replace(read_config(folder / "config.json"), base=str(folder / "model"), method="full")
    verdict = classification.judge(config, folder, rowwise.read(config, folder, 30)[0], lambda done: None)
    assert not verdict.has_new_head and verdict.metrics["accuracy"] == pytest.approx(metrics["eval_accuracy"], abs=4)
    again, _, new = encoders.start(folder / "model", "AutoModelForSequenceClassification")
    assert new == () and again.config.num_labels == 2
    for other, options in (("QuestionAnswering", {}), ("SequenceClassification", {"num_labels": 5})):
        body, _, new = encoders.start(folder / "model", f"AutoModelFor{other}", **options)
        assert new == (("qa_outputs",) if not options else ("classifier",))
        layer = "bert.encoder.layer.0.output.dense.weight"
        torch.testing.assert_close(body.state_dict()[layer], again.state_dict()[layer])

    target = settings.runs_folder / "whole"
    target.mkdir()
    encoders.write_whole(folder / "model", "AutoModelForSequenceClassification", target)
    whole = transformers.AutoModelForSequenceClassification.from_pretrained(target, dtype=torch.float32).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(target)
    inputs = tokenizer("the bad fox", return_tensors="pt")
    with torch.inference_mode():
        torch.testing.assert_close(whole(**inputs).logits, again.eval()(**inputs).logits, atol=2e-2, rtol=2e-2)
    assert "is_packed" not in json.loads((target / "config.json").read_text())
    top = settings.runs_folder / "safetensors"
    export.gather(folder, "safetensors", top)
    assert "word_embeddings" in " ".join(load_file(top / "model.safetensors"))


def test_its_model_comes_into_the_pickers_with_its_base(settings: Settings) -> None:
    torch.set_num_threads(1)
    file = next((settings.cache_folder / "models" / encoders.ENCODER).glob("*.bin"))
    folder = make_run(settings, file, epochs=1)
    train(folder)
    (folder / "served").mkdir()
    entry = serving._entry(
        settings, _Engine(), read(settings, folder.name), read_config(folder / "config.json"), folder
    )
    assert (entry.runtime, entry.source.carrier) == ("packed", encoders.ENCODER)
    (folder / "served" / "model.json").write_text(json.dumps(serving.as_json(entry)))
    model = tuned.read(folder)
    assert model.source.carrier == encoders.ENCODER and model.labels == ("negative", "positive")
    (result,) = answered(load(model, folder / "model", settings), Classify("good films"))
    assert set(result.scores) == {"negative", "positive"}


class _Engine:
    """What an entry asks of an engine."""

    catalogue = read_catalogue()


def test_the_encoder_is_a_base_where_a_head_is_put_on_it() -> None:
    catalogue = read_catalogue()
    for id, task in tasks.registry().items():
        assert (encoders.ENCODER in task.known_bases(catalogue)) == (id in ("classification", "answer")), id
    ours = [base for base in tasks.find("classification").known_bases(catalogue) if base.endswith("-e5")]
    assert ours == ["sentiment-e5", "answer-e5"]


def test_a_head_whose_encoder_is_gone_says_so(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"base": "other", "is_packed": True}))
    with pytest.raises(Exception, match="The base other is not on this machine"):
        encoders.encoder_of(tmp_path)
