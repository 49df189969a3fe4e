"""A run's config checks itself and survives its file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.errors import InputError
from engine.training.config import TrainingConfig, read_config

BASIC: dict[str, Any] = {"application": "answer", "base": "b", "train_file": "t", "validation_file": "v"}


def test_round_trip(tmp_path: Path) -> None:
    config = TrainingConfig(**BASIC, epochs=2.5, labels=("no", "yes"))
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
        ("application", "chess"),
        ("stride", 200),
        ("epochs", "3"),
        ("batch_size", 2.5),
        ("seed", True),
        ("is_bf16", 1),
        ("schedule", "steep"),
        ("base", ""),
        ("labels", ("same", "same")),
        ("average_decay", 1.0),
    ],
)
def test_a_wrong_value_names_its_field(field: str, value: Any) -> None:
    with pytest.raises(InputError, match=field) as caught:
        TrainingConfig(**BASIC | {field: value})
    assert caught.value.param == field


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "cannot be read"),
        ("[]", "must be a JSON object"),
        ('{"speed": 1}', "unknown fields: speed"),
        ('{"application": "answer"}', "lacks base, train_file, validation_file"),
    ],
)
def test_a_broken_file_gets_a_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(InputError, match=sentence):
        read_config(tmp_path / "config.json")
    with pytest.raises(InputError, match="cannot be read"):
        read_config(tmp_path / "nothing.json")
