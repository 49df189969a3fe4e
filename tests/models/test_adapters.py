"""Recipes of adapters on the multilingual encoder, whole, on a few texts and a small random encoder."""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from benchmarks import heads
from engine.backends.e5.conversion import COPY
from engine.backends.pytorch import packed
from engine.backends.pytorch.loading import load_tokenizer
from engine.requests import Classification
from engine.training.data import NUMBER, text_features
from models.recipes import adapters, emotions, toxicity
from models.recipes.head_training import Trainer
from models.recipes.sentiments_data import Said
from tests.backends import e5_files

NAMES = ("joy", "anger", "neutral")
TEXTS = ("good films", "bad films", "the old stone")


@pytest.fixture(autouse=True)
def _of_two_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapters, "FIRST", 1)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("encoder") / "small-q4.bin"
    path.write_bytes(e5_files.publish(e5_files.model()))
    return COPY.made(path)


def features(encoder: Path, folder: Path) -> list[dict[str, Any]]:
    tokenizer = load_tokenizer("small", encoder)
    rows = [{"text": text, "label": name, NUMBER: "0"} for text, name in zip(TEXTS, NAMES, strict=True)]
    found = text_features(rows, tokenizer, 60, NAMES)
    adapters.add_states(encoder, found, folder / "states.safetensors")
    return found


def test_the_layers_above_go_on_from_what_those_below_made(encoder: Path, tmp_path: Path) -> None:
    torch.manual_seed(1)
    module = adapters.upper(encoder, NAMES).eval()
    whole = packed.load(encoder, "AutoModelForSequenceClassification", id2label=dict(enumerate(NAMES))).eval()
    whole.bert.pooler.load_state_dict(module.bert.pooler.state_dict())
    whole.classifier.load_state_dict(module.classifier.state_dict())
    found = features(encoder, tmp_path)
    for place, row in enumerate(found):
        with torch.inference_mode():
            expected = whole(torch.tensor([row["input_ids"]])).logits[0]
        torch.testing.assert_close(adapters.logits_of(module, found)[place], expected, atol=5e-3, rtol=1e-2)


def test_an_adapter_learns_alone_and_ships_small(encoder: Path, tmp_path: Path) -> None:
    torch.manual_seed(1)
    torch.set_num_threads(1)
    found = features(encoder, tmp_path)
    task = adapters.Judging(found, found, toxicity.loss_of, lambda logits, labels: {})
    trainer = Trainer(adapters.upper(encoder, NAMES), task, 1e-2, 1e-2, adapters.learns, adapters.collate)
    assert all("lora_" in name or "pooler" in name or "classifier" in name for name in trainer.named)
    frozen = {name: value.clone() for name, value in trainer.module.named_parameters() if name not in trainer.named}
    for batch in itertools.islice(itertools.cycle(task.batches(0)), 40):
        trainer.step(batch, 1.0)
    assert all(torch.equal(value, dict(trainer.module.named_parameters())[name]) for name, value in frozen.items())
    module = trainer.module.eval()
    logits = adapters.logits_of(module, found)
    assert logits.argmax(-1).tolist() == [0, 1, 2]
    adapters.export(module, encoder, tmp_path / "model", {"id2label": dict(enumerate(NAMES))})
    tensors = load_file(tmp_path / "model" / "model.safetensors")
    assert {name.split(".")[3] for name in tensors if ".layer." in name} == {"1"}
    assert {str(value.dtype) for value in tensors.values()} == {"torch.float16"}
    shipped = packed.load(tmp_path / "model", "AutoModelForSequenceClassification", base=encoder).eval()
    for place, row in enumerate(found):
        with torch.inference_mode():
            given = shipped(torch.tensor([row["input_ids"]])).logits[0]
        torch.testing.assert_close(given, logits[place], atol=2e-2, rtol=2e-2)


def test_a_damaged_adapter_is_refused(encoder: Path, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    adapters.export(adapters.upper(encoder, NAMES), encoder, tmp_path / "model", {})
    file = tmp_path / "model" / "model.safetensors"
    tensors = load_file(file)
    tensors.pop(next(name for name in tensors if name.endswith(packed.LOWS)))
    save_file(tensors, file)
    with pytest.raises(KeyError, match="lora_b"):
        packed.load(tmp_path / "model", "AutoModelForSequenceClassification", base=encoder)


def test_thresholds_are_those_of_the_best_f1_and_rare_labels_share_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emotions, "FEW", 2)
    shares = torch.tensor([[0.30, 0.9], [0.25, 0.1], [0.10, 0.2], [0.12, 0.1]])
    wanted = torch.tensor([[1.0, 1.0], [1.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    own, common = emotions.fit_thresholds(shares, wanted).tolist()
    assert 0.12 < own <= 0.25 and 0.2 < common <= 0.25
    chosen = emotions.chosen_by(shares, torch.tensor([own, common]))
    assert chosen.tolist()[:2] == [[1, 1], [1, 0]]
    assert chosen.sum(1).min() == 1, "of each text one is said at least"
    told = emotions.figures(shares.logit(), wanted, torch.tensor([own, common]))
    assert told["macro_f1"] == pytest.approx(100 * (2 * 2 / (3 + 2) + 2 * 1 / (2 + 1)) / 2, abs=20)


def test_goemotions_parts_are_read_with_names_put_back(tmp_path: Path) -> None:
    folder = tmp_path / "sentiment" / emotions.FOLDER
    folder.mkdir(parents=True)
    (folder / "labels.txt").write_text("joy\nanger\n")
    (folder / "dev.tsv").write_text("[NAME] is back\t0\ta\nnot again\t0,1\tb\n", encoding="utf-8")
    assert emotions.read_part(tmp_path, "dev") == [
        emotions.Felt("Sam is back", ("joy",)), emotions.Felt("not again", ("joy", "anger")),
    ]  # fmt: skip


def test_no_row_of_toxicity_is_in_two_parts(shared_data: Path) -> None:
    rows = toxicity.read_rows(shared_data)
    texts = [{row.text.lower() for row in part} for part in (rows.learned, rows.choosing, rows.measured)]
    assert all(texts) and not any(one & other for one, other in itertools.combinations(texts, 2))
    for part in (rows.learned, rows.choosing, rows.measured):
        assert {(row.label, row.language) for row in part} >= set(itertools.product(toxicity.LABELS, ("en", "de")))


def test_the_commands_train_go_on_finish_and_write_what_ships(
    encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    felt = [emotions.Felt(text, (name,)) for text, name in zip(TEXTS, NAMES, strict=True)] * 8
    said = [Said(text, toxicity.LABELS[number % 2], "en") for number, text in enumerate(TEXTS * 8)]
    monkeypatch.setattr(emotions, "read_part", lambda data, part: felt)
    monkeypatch.setattr(emotions, "labels", lambda data: NAMES)
    monkeypatch.setattr(toxicity, "read_rows", lambda data: toxicity.Parts(said, said[:4], []))
    file = next(encoder.parent.glob("*.bin"))
    for recipe in (emotions, toxicity):
        run = tmp_path / recipe.__name__
        given = [recipe.__name__, "--data", str(tmp_path), "--base", str(file), "--run", str(run), "--threads", "1"]
        for more in (["--tokens", "200"], ["--tokens", "400"], ["--finish", "200"]):
            monkeypatch.setattr(sys, "argv", [*given, *more])
            recipe.main()
        told = capsys.readouterr().out
        assert told.count("without a checkpoint") == 1 and "temperature" in told
        config = json.loads((run / "finished" / "model" / "config.json").read_text())
        assert config["temperature"] > 0 and len(config.get("thresholds", NAMES)) == len(NAMES)
        packed.load(run / "finished" / "model", "AutoModelForSequenceClassification", base=encoder)


def test_figures_of_emotions_worked_out_by_hand() -> None:
    found = [
        Classification("joy", {"joy": 0.8, "anger": 0.1}, ("joy",)),
        Classification("joy", {"joy": 0.6, "anger": 0.3}, ("joy", "anger")),
    ]
    told = heads.of_emotions([("joy",), ("anger",)], found, ("joy", "anger"))
    assert told["macro F1"] == pytest.approx(100 * (2 / 3 + 1) / 2)
    assert told["calibration error"] == pytest.approx(100 * (0.2 + 0.1 + 0.6 + 0.7) / 4)


def test_what_the_layers_below_made_is_kept_for_the_same_texts(
    encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = features(encoder, tmp_path)
    made: list[int] = []
    states = adapters._states
    monkeypatch.setattr(adapters, "_states", lambda folder, rows: made.append(len(rows)) or states(folder, rows))
    again = features(encoder, tmp_path)
    assert not made and all(torch.equal(a["states"], b["states"]) for a, b in zip(found, again, strict=True))
    adapters.add_states(encoder, again[:2], tmp_path / "states.safetensors")
    assert made == [2] and torch.equal(again[1]["states"], found[1]["states"])
