"""A folder with a model becomes ONNX: one graph, or encoder and decoder. No attention cache: each step reads it all.

Needs the packages of requirements-export.txt. Batch and length may differ at each call.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Mapping
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
AUTO_CLASSES = (
    ("ForSequenceClassification", "AutoModelForSequenceClassification", ("logits",)),
    ("ForQuestionAnswering", "AutoModelForQuestionAnswering", ("start_logits", "end_logits")),
    ("ForCausalLM", "AutoModelForCausalLM", ("logits",)),
    ("LMHeadModel", "AutoModelForCausalLM", ("logits",)),
    ("ForConditionalGeneration", "AutoModelForSeq2SeqLM", ("logits",)),
    ("MTModel", "AutoModelForSeq2SeqLM", ("logits",)),
)
"""End of an architecture's name -> the class that loads it, and the names of its outputs."""


class _Whole(torch.nn.Module):
    """A model with plain inputs and outputs."""

    def __init__(self, model: Any, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> None:
        super().__init__()
        self.model, self.inputs, self.outputs = model, inputs, outputs

    def forward(self, *values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        options = {"use_cache": False} if getattr(self.model.config, "use_cache", None) is not None else {}
        found = self.model(**dict(zip(self.inputs, values, strict=True)), **options)
        return tuple(found[name] for name in self.outputs)


class _Encoder(torch.nn.Module):
    """The reading half of an encoder-decoder."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.encoder = model.get_encoder()

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        states: torch.Tensor = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return states


class _Decoder(torch.nn.Module):
    """The writing half: logits of the next token at every place."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: torch.Tensor, states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.model(
            decoder_input_ids=ids, encoder_outputs=(states,), attention_mask=mask, use_cache=False
        ).logits
        return logits


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
    name, outputs = _auto_class(folder)
    model = getattr(transformers, name).from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", use_safetensors=True, **LOCAL
    )
    model.eval()
    try:
        if name == "AutoModelForSeq2SeqLM":
            return _halves(model, target)
        return [_single(model, folder, target / "model.onnx", outputs)]
    except torch.onnx.errors.OnnxExporterError as error:
        raise UnsupportedError(
            f"This model cannot be written as ONNX ({type(error).__name__}). Export safetensors instead.", param="kind"
        ) from error


def _auto_class(folder: Path) -> tuple[str, tuple[str, ...]]:
    try:
        names = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("architectures") or [""]
    except (OSError, ValueError):
        raise NotFoundError("The run has no finished model yet. Wait until it has saved one.", param="run") from None
    for end, auto_class, outputs in AUTO_CLASSES:
        if names[0].endswith(end):
            return auto_class, outputs
    raise UnsupportedError(f"{names[0]} cannot be written as ONNX. Export safetensors instead.", param="kind")


def _single(model: Any, folder: Path, file: Path, outputs: tuple[str, ...]) -> Path:
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **LOCAL)
    has_types = "token_type_ids" in tokenizer.model_input_names and getattr(model.config, "type_vocab_size", 0) > 1
    inputs = ("input_ids", "attention_mask", *(("token_type_ids",) if has_types else ()))
    example = torch.arange(12).reshape(2, 6) % model.config.vocab_size
    values = {
        "input_ids": example,
        "attention_mask": torch.ones_like(example),
        "token_type_ids": torch.zeros_like(example),
    }
    axes = {each: {0: "batch", 1: "length"} for each in inputs}
    return _write(_Whole(model, inputs, outputs), {each: values[each] for each in inputs}, axes, outputs, file)


def _halves(model: Any, target: Path) -> list[Path]:
    ids = torch.arange(12).reshape(2, 6) % model.config.vocab_size
    read = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    axes = {name: {0: "batch", 1: "length"} for name in (*read, "encoder_hidden_states", "encoder_attention_mask")}
    encoder = _Encoder(model)
    with torch.no_grad():
        states = encoder(**read)
    written = {
        "decoder_input_ids": ids[:, :4],
        "encoder_hidden_states": states,
        "encoder_attention_mask": read["attention_mask"],
    }
    axes["decoder_input_ids"] = {0: "batch", 1: "written"}
    return [
        _write(encoder, read, axes, ("last_hidden_state",), target / "encoder.onnx"),
        _write(_Decoder(model), written, axes, ("logits",), target / "decoder.onnx"),
    ]


def _write(
    module: torch.nn.Module,
    inputs: Mapping[str, torch.Tensor],
    axes: Mapping[str, Mapping[int, str]],
    outputs: tuple[str, ...],
    file: Path,
) -> Path:
    dimensions = {name: torch.export.Dim(name, min=1) for name in {a for name in inputs for a in axes[name].values()}}
    shapes = tuple({axis: dimensions[name] for axis, name in axes[each].items()} for each in inputs)
    weights = sum(weight.numel() * weight.element_size() for weight in module.parameters())
    file.parent.mkdir(parents=True, exist_ok=True)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module, tuple(inputs.values()), file, input_names=list(inputs), output_names=list(outputs),
            dynamic_shapes=(shapes,) if isinstance(module, _Whole) else shapes, opset_version=OPSET, dynamo=True,
            external_data=weights > INLINE_BYTES, verbose=False,
        )  # fmt: skip
    return file
