"""Int8 layers: near to the layer they stand for, a row's numbers its own, whole models still themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from backends.checkpoints import bert, open_backend, run, t5

from engine.backends import int8
from engine.backends.int8 import Int8Linear, int8_bytes, to_int8
from engine.requests import Classify, Extract


def can_multiply() -> bool:
    try:
        Int8Linear(torch.nn.Linear(64, 64))(torch.ones(1, 64))
    except (RuntimeError, AttributeError):
        return False
    return True


pytestmark = pytest.mark.skipif(not can_multiply(), reason="this build of torch has no int8 products of oneDNN")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine that is faster with int8, also for the small layers of the tests."""
    monkeypatch.setattr(int8, "is_faster", lambda: True)
    monkeypatch.setattr(int8, "MIN_FEATURES", 4)


@torch.inference_mode()
@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_layer_is_near_and_rows_are_independent(has_bias: bool, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    linear = torch.nn.Linear(96, 160, bias=has_bias)
    layer = Int8Linear(linear)
    inputs = torch.randn(3, 7, 96).to(dtype)
    inputs[0, 0] *= 1000  # a wild row costs the others nothing
    outputs, expected = layer(inputs), linear(inputs.float())
    assert outputs.dtype == dtype and outputs.shape == (3, 7, 160)
    error = (outputs.float() - expected).norm(dim=-1) / expected.norm(dim=-1)
    assert float(error.max()) < 0.02
    assert torch.equal(layer(inputs[1:2, 2:3]), outputs[1:2, 2:3])
    assert torch.isfinite(layer(torch.zeros(2, 96))).all()


def test_a_processor_without_the_instructions_keeps_floats(monkeypatch: pytest.MonkeyPatch) -> None:
    int8.is_faster.cache_clear()
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True})
    assert not int8.is_faster()
    int8.is_faster.cache_clear()


def test_small_heads_stay_and_bytes_are_counted() -> None:
    module = torch.nn.Sequential(torch.nn.Linear(128, 256), torch.nn.Linear(256, 3))
    to_int8(module)
    assert isinstance(module[0], Int8Linear) and type(module[1]) is torch.nn.Linear
    assert int8_bytes(module) == 128 * 256 + 4 * 256


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("architecture", "head", "request_"),
    [
        ("classification", "SequenceClassification", Classify("good films are rare")),
        ("extraction", "QuestionAnswering", Extract("who?", "Marie Curie discovered polonium in 1898.")),
    ],
)
def test_encoders_answer_as_in_float32(tmp_path: Path, architecture: str, head: str, request_: Any) -> None:
    folder = bert(tmp_path, head)
    plain = run(open_backend(architecture, folder), request_)[0]
    backend = open_backend(architecture, folder, dtype="auto")
    ours = run(backend, request_)[0]
    assert backend.dtype == "int8" and int8_bytes(backend.module) > 0
    if architecture == "classification":
        assert ours.scores == pytest.approx(plain.scores, abs=0.05)
    else:
        assert ours.null_score == pytest.approx(plain.null_score, abs=0.1)


@pytest.mark.usefixtures("quick")
def test_what_does_not_take_it_stays(tmp_path: Path) -> None:
    assert open_backend("seq2seq", t5(tmp_path), dtype="auto").dtype != "int8"
    assert open_backend("embedding", bert(tmp_path / "vectors", ""), dtype="auto").dtype != "int8"
    assert not int8.can_int8("classification", tmp_path / "nothing")
