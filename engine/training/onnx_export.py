"""A folder with a model becomes ONNX: one graph, or encoder and decoder. No attention cache: each step reads it all.

Needs the packages of requirements-export.txt. Batch and length may differ at each call.
"""

from __future__ import annotations

import io
import json
import logging
import warnings
from contextlib import redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
import transformers

from engine.backends.pytorch.loading import LOCAL
from engine.errors import NotFoundError, UnsupportedError

OPSET = 20
INLINE_BYTES = 1_800_000_000
"""Weights beyond this lie in a file of their own: a protobuf holds two gigabytes."""
ARCHITECTURES = (
    "ForSequenceClassification", "ForQuestionAnswering", "ForCausalLM", "LMHeadModel", "ForConditionalGeneration",
    "MTModel",
)  # fmt: skip
"""Ends of the names of classes that can be written."""


class _Decoder(torch.nn.Module):
    """The writing half of an encoder-decoder: logits of the next token at every place."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model, self.config = model, model.config

    def forward(self, decoder_input_ids: Any, encoder_hidden_states: Any, encoder_attention_mask: Any) -> Any:
        return self.model(
            decoder_input_ids=decoder_input_ids, encoder_outputs=(encoder_hidden_states,),
            attention_mask=encoder_attention_mask, use_cache=False,
        )  # fmt: skip


def to_onnx(folder: Path, target: Path) -> list[Path]:
    """Write the model in `folder` into the folder `target`; returns the files, the main one first.

    `model.onnx` takes input_ids and attention_mask (and token_type_ids where the model has them), int64 of shape
    (batch, length). Encoder-decoders give `encoder.onnx` and `decoder.onnx`. Weights are float32.
    Raises UnsupportedError without the packages, for architectures that it does not know or that cannot be traced.
    """
    if find_spec("onnx") is None or find_spec("onnxscript") is None:
        raise UnsupportedError(
            "Export as ONNX needs two more packages. Run: pip install -r requirements-export.txt", param="kind"
        )
    model = getattr(transformers, _architecture(folder)).from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", use_safetensors=True, **LOCAL
    )
    model.eval()
    try:
        if model.config.is_encoder_decoder:
            return _halves(model, target)
        return [_single(model, folder, target / "model.onnx")]
    except torch.onnx.errors.OnnxExporterError as error:
        raise UnsupportedError(
            "This model cannot be written as ONNX ({reason}). Export safetensors instead.",
            "kind", reason=type(error).__name__,
        ) from error  # fmt: skip


def _architecture(folder: Path) -> str:
    try:
        names = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("architectures") or [""]
    except (OSError, ValueError):
        raise NotFoundError("The run has no finished model yet. Wait until it has saved one.", param="run") from None
    if names[0].endswith(ARCHITECTURES):
        return str(names[0])
    raise UnsupportedError(
        "{architecture} cannot be written as ONNX. Export safetensors instead.", "kind", architecture=names[0]
    )


def _single(model: Any, folder: Path, file: Path) -> Path:
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **LOCAL)
    ids = _example(model)
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if "token_type_ids" in tokenizer.model_input_names and getattr(model.config, "type_vocab_size", 0) > 1:
        inputs["token_type_ids"] = torch.zeros_like(ids)
    return _write(model, inputs, file)


def _halves(model: Any, target: Path) -> list[Path]:
    ids = _example(model)
    read, encoder = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}, model.get_encoder()
    with torch.no_grad():
        states = encoder(**read).last_hidden_state
    written = {
        "decoder_input_ids": ids[:, :4],
        "encoder_hidden_states": states,
        "encoder_attention_mask": read["attention_mask"],
    }
    return [
        _write(encoder, read, target / "encoder.onnx"),
        _write(_Decoder(model), written, target / "decoder.onnx"),
    ]


def _example(model: Any) -> torch.Tensor:
    return torch.arange(12).reshape(2, 6) % int(model.config.vocab_size)


def _write(module: Any, inputs: dict[str, Any], file: Path) -> Path:
    """Export by transformers' own exporter, which knows its models' ways; small weights lie in the file itself."""
    import onnx_ir
    from transformers.exporters import OnnxConfig, OnnxExporter

    module.config.use_cache = False
    weights = sum(weight.numel() * weight.element_size() for weight in module.parameters())
    file.parent.mkdir(parents=True, exist_ok=True)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        config = OnnxConfig(dynamic=True, opset_version=OPSET)
        exported = OnnxExporter().export(module, inputs, config)
    onnx_ir.save(exported.program, file, external_data=f"{file.name}.data" if weights > INLINE_BYTES else None)
    return file
