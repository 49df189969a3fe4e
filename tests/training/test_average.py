"""The mean of models: of the same build only, in their precision, loadable as they are."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForQuestionAnswering, BertConfig, BertForQuestionAnswering

from engine.errors import ConflictError, InputError
from engine.settings import Settings
from engine.training import cards
from engine.training import runs as jobs
from engine.training.average import average, main
from engine.training.config import TrainingConfig, read_config
from engine.training.measure import measure
from engine.training.session import train
from tests.training.runs_on_the_spot import encoder, make_run


def make_model(folder: Path, seed: int, layers: int = 1) -> Any:
    torch.manual_seed(seed)
    sizes = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32, "vocab_size": 40}
    model = BertForQuestionAnswering(BertConfig(num_hidden_layers=layers, **sizes)).half()
    model.save_pretrained(folder)
    (folder / "vocab.txt").write_text("[PAD]\n")
    return model


def test_every_weight_is_the_mean(tmp_path: Path) -> None:
    models = [make_model(tmp_path / str(seed), seed) for seed in range(3)]
    assert main([str(tmp_path / "mean"), *(str(tmp_path / str(seed)) for seed in range(3))]) == 0
    mean = AutoModelForQuestionAnswering.from_pretrained(tmp_path / "mean")
    assert mean.dtype == torch.float16 and (tmp_path / "mean" / "vocab.txt").exists()
    for name, weight in mean.named_parameters():
        parts = torch.stack([model.get_parameter(name).float() for model in models])
        torch.testing.assert_close(weight.float(), parts.mean(0), atol=1e-3, rtol=1e-3)


def test_models_of_another_build_or_none_are_refused(tmp_path: Path) -> None:
    make_model(tmp_path / "a", 0)
    make_model(tmp_path / "b", 0, layers=2)
    with pytest.raises(InputError, match="b is built differently from a"):
        average([tmp_path / "a", tmp_path / "b"], tmp_path / "mean")
    with pytest.raises(InputError, match=r"nothing has no model\.safetensors"):
        average([tmp_path / "a", tmp_path / "nothing"], tmp_path / "mean")
    with pytest.raises(InputError, match="at least two"):
        average([tmp_path / "a"], tmp_path / "mean")
    make_model(tmp_path / "c", 1)
    facts = json.loads((tmp_path / "c" / "config.json").read_text())
    (tmp_path / "c" / "config.json").write_text(json.dumps(facts | {"id2label": {"0": "no", "1": "yes"}}))
    with pytest.raises(InputError, match="c is built differently from a"):
        average([tmp_path / "a", tmp_path / "c"], tmp_path / "mean")
    assert not (tmp_path / "mean").exists()
    assert main([str(tmp_path / "mean"), str(tmp_path / "a"), str(tmp_path / "b")]) == 1


@pytest.fixture
def runs(tmp_path: Path) -> Settings:
    """Two finished runs, "run" and "other", that began with one base and learned from the same rows."""
    made = make_run(tmp_path, "answer")
    shutil.copytree(made, tmp_path / "other")
    encoder(tmp_path / "other" / "model", "QuestionAnswering", 2)
    return Settings(runs_folder=tmp_path)


def test_the_mean_of_runs_is_a_run_judged_and_finished(runs: Settings) -> None:
    run_id = jobs.create_mean(runs, ["run", "other"])
    folder = jobs.run_folder(runs, run_id)
    for name in ("train", "validation"):
        file = Path("data") / f"{name}.jsonl"
        assert (folder / file).read_bytes() == (jobs.run_folder(runs, "run") / file).read_bytes()
    metrics = train(folder)
    view = jobs.read(runs, run_id)
    assert {"eval_loss", "eval_f1"} <= set(metrics) and "eval_runtime" not in view.status["metrics"]
    assert view.state == "finished" and view.has_model and view.status["baseline"] == {
        "eval_loss": 3.0, "eval_perplexity": 20.1,
    }  # fmt: skip
    assert view.title == "Mean of 2: My run" and "(run)" in view.note and "(other)" in view.note
    assert sorted(path.name for path in folder.glob("*.part")) == []
    mean, *parts = (
        AutoModelForQuestionAnswering.from_pretrained(jobs.run_folder(runs, id) / "model")
        for id in (run_id, "run", "other")
    )
    for name, weight in mean.named_parameters():
        both = sum(part.get_parameter(name).float() for part in parts) / 2
        torch.testing.assert_close(weight.float(), both, atol=1e-3, rtol=1e-3)
    again = measure(folder / "model", folder / "data" / "validation.jsonl", 1)
    assert again["eval_f1"] == pytest.approx(metrics["eval_f1"], abs=0.1)
    assert "mean of those of 2 runs" in cards.card(cards.read_facts(folder), "safetensors")


def change(runs: Settings, **values: Any) -> None:
    path = jobs.run_folder(runs, "other") / "config.json"
    replace(read_config(path), **values).save(path)


def test_runs_without_a_mean_are_told_why(runs: Settings, tmp_path: Path) -> None:
    jobs.check_mean(runs, ["run", "other"])
    with pytest.raises(ConflictError, match="at least two"):
        jobs.create_mean(runs, ["run"])
    for values, words in (
        ({"method": "lora"}, "by the method lora, not full"),
        ({"base": "another"}, "from the same base"),
        ({"task": "classification"}, "of one task"),
    ):
        before = read_config(tmp_path / "other" / "config.json")
        change(runs, **values)
        with pytest.raises(ConflictError, match=words):
            jobs.create_mean(runs, ["run", "other"])
        before.save(tmp_path / "other" / "config.json")
    held_out = tmp_path / "other" / "data" / "validation.jsonl"
    held_out.write_text(held_out.read_text().split("\n")[0] + "\n")
    with pytest.raises(ConflictError, match="same rows held out"):
        jobs.create_mean(runs, ["run", "other"])
    shutil.rmtree(tmp_path / "other" / "model")
    with pytest.raises(ConflictError, match="no finished model"):
        jobs.create_mean(runs, ["run", "other"])
    assert sorted(view.id for view in jobs.listed(runs) if view.config and view.config.mean_of) == []
    for names in (("../x",), ("",), ("A",)):
        with pytest.raises(InputError):
            TrainingConfig("answer", "base", "a", "b", mean_of=names)
