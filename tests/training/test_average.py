"""The mean of models: of the same build only, in their precision, loadable as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForQuestionAnswering, BertConfig, BertForQuestionAnswering

from engine.errors import InputError
from engine.training.average import average, main


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
    assert not (tmp_path / "mean").exists()
    assert main([str(tmp_path / "mean"), str(tmp_path / "a"), str(tmp_path / "b")]) == 1
