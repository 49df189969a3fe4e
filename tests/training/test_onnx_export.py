"""Models as ONNX give what torch gives, at other batch sizes and lengths than they were traced with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from engine.errors import NotFoundError, UnsupportedError
from engine.training import onnx_export
from engine.training.onnx_export import to_onnx
from tests.backends import checkpoints
from tests.training.runs_on_the_spot import encoder

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")
pytest.importorskip("onnxscript")


def session(file: Path) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def batch(vocabulary: int, rows: int, length: int) -> dict[str, torch.Tensor]:
    """Random ids; the first row is padded on the right."""
    ids = torch.randint(5, vocabulary, (rows, length), generator=torch.Generator().manual_seed(rows))
    mask = torch.ones_like(ids)
    mask[0, length // 2 :] = 0
    return {"input_ids": ids, "attention_mask": mask}


def seen(values: Any, mask: torch.Tensor) -> np.ndarray:
    """Values at places that are no padding."""
    return np.asarray(values)[mask.numpy().astype(bool)]


def one_layer(folder: Path) -> Path:
    """A Llama of one layer: tracing takes seconds a layer."""
    tokenizer = checkpoints.byte_pairs()
    shape = checkpoints.TINY | {"num_hidden_layers": 1, "num_key_value_heads": 2, "max_position_embeddings": 96}
    config = transformers.LlamaConfig(vocab_size=len(tokenizer), **shape)
    return checkpoints.save(folder, "LlamaForCausalLM", config, tokenizer)


def one_layer_each(folder: Path) -> Path:
    checkpoints.t5(folder)
    config = transformers.AutoConfig.from_pretrained(folder)
    config.num_layers = config.num_decoder_layers = 1
    return checkpoints.save(folder, "T5ForConditionalGeneration", config)


MAKERS = {
    "classification": lambda folder: encoder(folder, "SequenceClassification", 0, num_labels=3, num_hidden_layers=1),
    "answer": lambda folder: encoder(folder, "QuestionAnswering", 0, num_hidden_layers=1),
    "llama": one_layer,
}


@pytest.mark.parametrize("kind", MAKERS)
def test_one_graph_gives_what_torch_gives(kind: str, tmp_path: Path) -> None:
    folder = MAKERS[kind](tmp_path / "model")
    (file,) = to_onnx(folder, tmp_path / "onnx")
    assert [path.name for path in file.parent.iterdir()] == ["model.onnx"]
    runner = session(file)
    name = {"classification": "SequenceClassification", "answer": "QuestionAnswering"}.get(kind, "CausalLM")
    model = getattr(transformers, f"AutoModelFor{name}").from_pretrained(folder, dtype=torch.float32)
    outputs = [each.name for each in runner.get_outputs()]
    for rows, length in ((1, 5), (3, 17)):
        inputs = batch(model.config.vocab_size, rows, length)
        if "token_type_ids" in {each.name for each in runner.get_inputs()}:
            inputs["token_type_ids"] = torch.ones_like(inputs["input_ids"])
        found = runner.run(outputs, {key: value.numpy() for key, value in inputs.items()})
        with torch.inference_mode():
            wanted = model(**inputs)
        for key, values in zip(outputs, found, strict=True):
            kept = [each if each.ndim == 2 and kind == "classification" else seen(each, inputs["attention_mask"])
                    for each in (values, wanted[key].numpy())]  # fmt: skip
            np.testing.assert_allclose(*kept, atol=2e-4, rtol=1e-3)


def test_encoder_and_decoder_give_what_torch_gives(tmp_path: Path) -> None:
    folder = one_layer_each(tmp_path / "model")
    encoder_file, decoder_file = to_onnx(folder, tmp_path / "onnx")
    reader, writer = session(encoder_file), session(decoder_file)
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder, dtype=torch.float32)
    for rows, length in ((1, 4), (3, 13)):
        inputs = batch(model.config.vocab_size, rows, length)
        written = torch.randint(5, model.config.vocab_size, (rows, length + 2))
        (states,) = reader.run(None, {key: value.numpy() for key, value in inputs.items()})
        mask = inputs["attention_mask"].numpy()
        (logits,) = writer.run(
            ["logits"],
            {"decoder_input_ids": written.numpy(), "encoder_hidden_states": states, "encoder_attention_mask": mask},
        )
        with torch.inference_mode():
            wanted = model(**inputs, decoder_input_ids=written).logits.numpy()
        np.testing.assert_allclose(logits, wanted, atol=5e-4, rtol=1e-3)


def test_what_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotFoundError, match="no finished model"):
        to_onnx(tmp_path, tmp_path / "onnx")
    (tmp_path / "config.json").write_text('{"architectures": ["BertForMaskedLM"]}')
    with pytest.raises(UnsupportedError, match="BertForMaskedLM"):
        to_onnx(tmp_path, tmp_path / "onnx")
    monkeypatch.setattr(onnx_export, "find_spec", lambda name: None)
    with pytest.raises(UnsupportedError, match=r"requirements-export\.txt"):
        to_onnx(tmp_path, tmp_path / "onnx")
