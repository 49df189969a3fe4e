"""A run's config checks itself and survives its file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.catalogue.models import read_catalogue
from engine.errors import InputError
from engine.training import tasks
from engine.training.config import (
    SETTINGS,
    TrainingConfig,
    bounds,
    defaults,
    read_config,
)

BASIC: dict[str, Any] = {"task": "answer", "base": "b", "train_file": "t", "validation_file": "v"}


def test_round_trip(tmp_path: Path) -> None:
    config = TrainingConfig(
        **BASIC, epochs=2.5, labels=("no", "yes"), sample_prompts=("Once", "Zwei"), lora_targets=("query",)
    )
    config.save(tmp_path / "config.json")
    assert read_config(tmp_path / "config.json") == config


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 0),
        ("batch_size", 0),
        ("learning_rate", 2),
        ("warmup_ratio", 1.5),
        ("method", "magic"),
        ("task", "chess"),
        ("task", "pretraining"),
        ("stride", 200),
        ("epochs", "3"),
        ("batch_size", 2.5),
        ("seed", True),
        ("is_bf16", 1),
        ("schedule", "steep"),
        ("base", ""),
        ("labels", ("same", "same")),
        ("average_decay", 1.0),
        ("max_steps", -1),
        ("accumulation_steps", 0),
        ("sample_prompts", ("x",) * 11),
        ("sample_prompts", ("x" * 3000,)),
        ("sample_prompts", "text"),
        ("lora_targets", ("",)),
        ("source_language", "English"),
        ("base_id", "x" * 300),
        ("tokenizer", "letters"),
        ("vocabulary_size", 8),
    ],
)
def test_a_wrong_value_names_its_field(field: str, value: Any) -> None:
    with pytest.raises(InputError) as caught:
        TrainingConfig(**BASIC | {field: value})
    assert caught.value.param == (field if value != "pretraining" else "base")
    assert caught.value.param in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"task": "style"}, "base"),
        ({"task": "pretraining", "method": "lora"}, "method"),
        ({"task": "pretraining", "width": 60}, "width"),
        ({"task": "translation", "source_language": "fr", "target_language": "fr"}, "target_language"),
    ],
)
def test_what_cannot_start_from_scratch_is_refused(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as caught:
        TrainingConfig(**BASIC | {"base": ""} | changes)
    assert caught.value.param == field


@pytest.mark.parametrize("task", tasks.registry())
@pytest.mark.parametrize("method", SETTINGS["method"]["enum"])
def test_defaults_of_every_task_and_method_are_a_config(task: Any, method: Any) -> None:
    files = {"train_file": "t", "validation_file": "v"}
    if task != "pretraining":
        config = TrainingConfig(task, "b", **files, **defaults(task, method))
        assert config.method == method and config.learning_rate == tasks.find(task).learning_rates[method]
    if tasks.find(task).scratch is not None:
        assert TrainingConfig(task, "", **files, **defaults(task, method, has_base=False)).method == "full"
    assert tasks.find(task).roles and tasks.find(task).metric


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "cannot be read"),
        ("[]", "must be a JSON object"),
        ('{"speed": 1}', "unknown fields: speed"),
        ('{"task": "answer"}', "lacks base, train_file, validation_file"),
    ],
)
def test_a_broken_file_gets_a_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(InputError, match=sentence):
        read_config(tmp_path / "config.json")
    with pytest.raises(InputError, match="cannot be read"):
        read_config(tmp_path / "nothing.json")


def test_a_task_may_have_bounds_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    brief = replace(tasks.find("style"), id="brief", bounds={"max_length": (8, 64)})
    monkeypatch.setattr(tasks, "registry", lambda: {"brief": brief})
    assert bounds("max_length", "brief") == (8, 64) and bounds("epochs", "brief") == (0.01, 1000)
    assert TrainingConfig("brief", "b", "t", "v", max_length=64).max_length == 64
    with pytest.raises(InputError, match="max_length is 65; for this task choose one from 8 to 64"):
        TrainingConfig("brief", "b", "t", "v", max_length=65)


def test_students_are_bases_for_translating_alone_and_of_a_family_those_that_are_here() -> None:
    catalogue = read_catalogue()
    catalogue.is_ready = lambda id: id == "mozilla-en-fr"
    bases = tasks.find("translation").known_bases(catalogue)
    assert {"firefox-en-pt", "firefox-pt-en", "mozilla-en-fr"} <= set(bases) and "mozilla-fr-en" not in bases
    assert not any(catalogue.find(id).runtime == "marian" for id in tasks.find("summary").known_bases(catalogue))
