"""A checkpoint gets a copy of itself, int8 and in CTranslate2's form; the store has it made (`catalogue.copies`)."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError

from engine.backends.protocol import DamagedCopyError
from engine.catalogue.copies import Copy, command
from engine.files import read_json
from engine.settings import expected_device

if TYPE_CHECKING:
    from engine.catalogue.models import Model
    from engine.settings import Settings

log = logging.getLogger(__name__)

NAME = "ctranslate2-int8"
"""The copy's folder, inside the checkpoint's."""
LAYOUT = 2
"""To be raised when this module converts in another way."""
QUANTIZATION = "int8_float32"
"""Matrices in int8 with a scale for each output; biases and norms in float32."""
MOST = 128
"""Of two weights' sum: with inputs of 255 it just fits in sixteen bits."""
NORMS = {"marian": (False, False), "m2m_100": (True, False), "bart": (False, True), "mbart": (True, True)}
"""Kinds that are converted: whether layers normalise their inputs, and whether the embeddings are normalised. T5 is
none: its inner activations have outliers that int8 would round away."""
ENCODERS = {
    "bert": "BertLoader",
    "distilbert": "DistilBertLoader",
    "roberta": "RobertaLoader",
    "xlm-roberta": "RobertaLoader",
    "camembert": "RobertaLoader",
}
"""Kinds of classifiers and readers that are converted, and who reads them."""
TOPS = {"SequenceClassification": "classification", "QuestionAnswering": "extraction"}
"""What an encoder is for, by the end of its class's name."""
TASKS = {
    "seq2seq": frozenset({"generate", "beginning", "top_logprobs", "alternatives"}),
    "classification": frozenset({"classify"}),
    "extraction": frozenset({"extract"}),
}
"""What a copy of each architecture can do."""
MODEL_TYPES: dict[str, Collection[str]] = {"seq2seq": NORMS} | dict.fromkeys(TOPS.values(), ENCODERS)
HEAD, OUTLINE = "head.safetensors", "outline.json"
"""An encoder's last layers, and what its configuration and tokenizer are beyond their files."""
DESCRIPTIONS = ("config.json", "tokenizer.json", "tokenizer_config.json")
SAMPLES = ("It's 5\u00a0% COLDER in  Zürich\u2026\nnaïve?", "彼は东京に住む。", "Привет, мир! 🙂 ﬁne", "مرحبا")
"""Texts that a tokenizer must cut the same way from its file alone."""


def tasks_of_copy(model: Model, path: Path, settings: Settings) -> frozenset[str]:
    """What the model's copy can do now."""
    is_there = can_convert(model, path, settings) and COPY.find(path)
    return TASKS[model.architecture] if is_there else frozenset()


def missing_copy(model: Model, path: Path, settings: Settings) -> list[str]:
    """The command that makes the model's copy; none where there is no need."""
    is_wanted = can_convert(model, path, settings) and not COPY.find(path)
    return command(__name__, path) if is_wanted else []


def can_convert(model: Model, path: Path, settings: Settings) -> bool:
    """Whether the model in the folder is of a kind for CTranslate2 and on the CPU, and the dtype is left open."""
    if model.runtime != "transformers" or settings.dtype != "auto" or not _is_on_cpu(settings):
        return False
    return _has_kind(model.architecture, path) and _is_installed()


def _has_kind(architecture: str, folder: Path) -> bool:
    config = read_json(folder / "config.json")
    if config.get("model_type") not in MODEL_TYPES.get(architecture, ()):
        return False
    if architecture == "seq2seq":
        return True
    top = str((config.get("architectures") or [""])[0])
    return TOPS.get(next(filter(top.endswith, TOPS), "")) == architecture and (folder / "tokenizer.json").is_file()


@cache
def _is_installed() -> bool:
    try:
        import ctranslate2  # noqa: F401
    except (ImportError, OSError) as error:
        log.info("no CTranslate2 here (%s); torch answers", error)
        return False
    return True


def _is_on_cpu(settings: Settings) -> bool:
    if expected_device(settings.device) == "cpu":
        return True
    from engine.backends.pytorch.devices import choose_device

    return choose_device(settings).type == "cpu"


@contextmanager
def read_copy(folder: Path, title: str) -> Iterator[Path]:
    """Around the reading of the checkpoint's copy. One that is damaged is given up, as DamagedCopyError says."""
    copy = COPY.checked(folder)
    if copy is None:
        raise DamagedCopyError(title)
    try:
        yield copy
    except (RuntimeError, ValueError, KeyError, OSError, SafetensorError) as error:
        log.warning("the copy of %s for CTranslate2 is damaged (%s); torch answers", title, error)
        COPY.give_up(folder)
        raise DamagedCopyError(title) from error


def _facts(folder: Path) -> dict[str, Any]:
    """What a copy depends on: who made it, and its source's files with their sizes and times."""
    files = [*(folder / name for name in DESCRIPTIONS), *sorted(folder.glob("*.safetensors"))]
    sources = {path.name: [(status := path.stat()).st_size, status.st_mtime_ns] for path in files if path.is_file()}
    return {"version": version("ctranslate2"), "layout": LAYOUT, "sources": sources}


def _write(folder: Path, target: Path) -> None:
    import torch
    import transformers

    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    with torch.no_grad():
        spec = (
            _encoder_spec(folder, target)
            if read_json(folder / "config.json").get("model_type") in ENCODERS
            else _seq2seq_spec(folder)
        )
    spec.validate()
    spec.optimize(quantization=QUANTIZATION)
    _leave_room(spec)
    spec.save(str(target))


def _leave_room(spec: Any) -> None:
    """Make weights smaller where two products could pass sixteen bits: there processors without VNNI cut their sum."""
    variables = spec.variables()
    for name, scale in variables.items():
        if name.endswith("_scale") and not isinstance(scale, str):
            weight = variables[name.removesuffix("_scale")]
            share = np.minimum(1, MOST / np.maximum(1, _largest_pair(weight.array)))
            weight.array = np.rint(weight.array * share[:, None]).astype(np.int8)
            scale.array = (scale.array * share).astype(np.float32)


def _largest_pair(rows: Any) -> Any:
    """Of each row of a matrix the largest sum of two neighbours of one sign, which are multiplied together."""
    pairs = rows.astype(np.int32).reshape(len(rows), -1, 2)
    return np.abs([pairs.clip(min=0).sum(2), pairs.clip(max=0).sum(2)]).max((0, 2))


def _seq2seq_spec(folder: Path) -> Any:
    """The vocabulary is the ids as text, so that no tokenizer's spelling stands between; the start token is a prefix.

    Pad keeps its embedding, with which Marian starts: training moves it from the zeros that CTranslate2 puts there.
    """
    from ctranslate2.converters.transformers import BartLoader, M2M100Loader
    from transformers import AutoModelForSeq2SeqLM

    from engine.backends.pytorch.loading import LOCAL

    module = AutoModelForSeq2SeqLM.from_pretrained(folder, dtype="auto", use_safetensors=True, **LOCAL)
    config = module.config
    if config.encoder_attention_heads != config.decoder_attention_heads:
        raise ValueError("encoder and decoder differ in their number of heads")
    config.normalize_before, config.normalize_embedding = NORMS[config.model_type]
    loader = M2M100Loader() if config.model_type == "m2m_100" else BartLoader()
    spec = loader.get_model_spec(module)
    for size in spec.get_source_vocabulary_size():
        spec.register_source_vocabulary([str(id) for id in range(size)])
    spec.register_target_vocabulary([str(id) for id in range(spec.get_target_vocabulary_size())])
    # None of the three acts: sources come whole, and each request names its end tokens.
    spec.config.bos_token = spec.config.eos_token = spec.config.unk_token = "0"
    spec.config.decoder_start_token = None
    return spec


def _encoder_spec(folder: Path, target: Path) -> Any:
    """The encoder without its last layers, which are kept in float32 beside it. Raises ValueError as `convert` does."""
    import torch
    import transformers
    from ctranslate2.converters import transformers as loaders
    from safetensors.torch import save_file

    from engine.backends.pytorch.loading import LOCAL, load_tokenizer, positions

    config = transformers.AutoConfig.from_pretrained(folder, **LOCAL)
    top = next((top for top in TOPS if str((config.architectures or [""])[0]).endswith(top)), None)
    if top is None:
        raise ValueError("neither a classifier nor a reader")
    module, report = getattr(transformers, f"AutoModelFor{top}").from_pretrained(
        folder, dtype="float32", use_safetensors=True, output_loading_info=True, **LOCAL
    )
    if report["missing_keys"]:
        raise ValueError(f"weights are missing: {sorted(report['missing_keys'])[:3]}")
    tokenizer = load_tokenizer(folder.name, folder)
    _check_tokenizer(tokenizer, folder)
    save_file({name: tensor.float().contiguous() for name, tensor in _head(module).items()}, target / HEAD)
    outline = {
        "architecture": TOPS[top],
        "config": config.to_dict() | {"num_labels": config.num_labels},
        "positions": positions(config, tokenizer, sys.maxsize),
        "input_names": tokenizer.model_input_names,
    }
    (target / OUTLINE).write_text(json.dumps(outline, default=str), encoding="utf-8")

    base = module.base_model
    base.config.position_embedding_type = getattr(config, "position_embedding_type", "absolute")
    loader = getattr(loaders, ENCODERS[config.model_type])()
    is_bert = config.model_type == "bert"
    if is_bert:  # its reader wants a pooler, and ours is in the head
        base.pooler = torch.nn.ModuleDict({"dense": base.encoder.layer[0].attention.output.dense})
    spec = loader.get_model_spec(base)
    if is_bert:
        del spec.pooler_dense, spec.pooler_activation
    spec.register_vocabulary([str(id) for id in range(config.vocab_size)])
    spec.config.unk_token = "0"
    spec.config.layer_norm_epsilon = getattr(config, "layer_norm_eps", 1e-12)
    return spec


def _head(module: Any) -> dict[str, Any]:
    """Weights of the last layers, named "out" and by the activation of the one before."""
    if hasattr(module, "qa_outputs"):
        layers = {"out": module.qa_outputs}
    elif hasattr(module, "pre_classifier"):
        layers = {"relu": module.pre_classifier, "out": module.classifier}
    elif hasattr(module.classifier, "out_proj"):
        layers = {"tanh": module.classifier.dense, "out": module.classifier.out_proj}
    else:
        layers = {"tanh": module.base_model.pooler.dense, "out": module.classifier}
    return {f"{name}.{kind}": getattr(layer, kind) for name, layer in layers.items() for kind in ("weight", "bias")}


def _check_tokenizer(tokenizer: Any, folder: Path) -> None:
    """The server reads the tokenizer's file alone, without the class that its configuration names."""
    from engine.backends.ct2.plain_tokenizer import PlainTokenizer

    plain = PlainTokenizer(folder / "tokenizer.json", tokenizer.model_input_names)
    for text in SAMPLES:
        if tokenizer(text, SAMPLES[0])["input_ids"] != plain(text, SAMPLES[0])["input_ids"]:
            raise ValueError("its tokenizer is more than its file")


COPY = Copy(NAME, _write, _facts)
