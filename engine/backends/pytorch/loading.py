"""A checkpoint's folder becomes a module and a tokenizer, or a sentence that says what is wrong with it.

safetensors only, no code from the checkpoint, no network.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError

from engine.backends.memory import is_memory_error
from engine.backends.pytorch import packed
from engine.catalogue.models import Model
from engine.errors import InputError, MemoryShortError, NotFoundError, PeopleError, UnsupportedError
from engine.messages import Text

AUTO_CLASSES = {
    "causal": "AutoModelForCausalLM",
    "seq2seq": "AutoModelForSeq2SeqLM",
    "classification": "AutoModelForSequenceClassification",
    "extraction": "AutoModelForQuestionAnswering",
    "masked": "AutoModelForMaskedLM",
    "embedding": "AutoModel",
}
# Marian's tokenizer offers a normaliser from sacremoses and never calls it.
warnings.filterwarnings("ignore", message="Recommended: pip install sacremoses")

LOCAL: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
POSITIONS_TAKEN = ("roberta", "xlm-roberta", "camembert", "mpnet")
"""Kinds whose position table begins behind the padding id."""
UNUSED_HEADS = {"embedding": ("pooler",)}
"""Weights that may be missing from an embedding model: what they compute is not used."""


def load_tokenizer(title: str, folder: Path) -> Any:
    """The tokenizer in the folder; special tokens in a text are text to it. Raises InputError where it is damaged."""
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **LOCAL)
    except Exception as error:  # its readers raise whatever the damage leads to
        raise _damaged(title, Text("its tokenizer is missing or damaged"), error) from error
    tokenizer.split_special_tokens = True
    return tokenizer


@dataclass(frozen=True)
class Outline:
    """What a checkpoint says of itself, for whom another runtime holds the weights; named as in a module."""

    config: Any
    generation_config: Any
    device: torch.device
    dtype: torch.dtype


def load_outline(title: str, folder: Path) -> Outline:
    """The outline of the model in the folder. Raises InputError when it cannot be read."""
    try:
        config = transformers.AutoConfig.from_pretrained(folder, **LOCAL)
        # An old checkpoint has its settings of generation in config.json, and its module reads them there.
        is_old = not (folder / "generation_config.json").is_file()
        options: dict[str, Any] = {"config_file_name": "config.json", "_from_model_config": True} if is_old else {}
        generation = transformers.GenerationConfig.from_pretrained(folder, local_files_only=True, **options)
        return Outline(config, generation, torch.device("cpu"), torch.float32)
    except Exception as error:  # as above
        raise _damaged(title, Text("its configuration is damaged"), error) from error


def load_module(model: Model, folder: Path, device: torch.device, dtype: torch.dtype, base: Path | None = None) -> Any:
    """The model in the folder, ready to compute on the device.

    Raises NotFoundError (no weights), InputError (damaged, incomplete), UnsupportedError (pickle only, unknown kind) or
    MemoryShortError.
    """
    _check_files(model.title, folder)
    transformers.utils.logging.disable_progress_bar()
    loader = getattr(transformers, AUTO_CLASSES[model.architecture])
    try:
        if packed.is_packed(folder):
            own_base = base if base != folder else None
            return packed.load(folder, AUTO_CLASSES[model.architecture], dtype, own_base).to(device).eval()
        module, report = loader.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, output_loading_info=True, **LOCAL
        )
        _check_report(model, report)
        return module.to(device).eval()
    except PeopleError:
        raise
    except Exception as error:  # as above; one door for all that can be wrong with files
        raise _explained(model.title, error) from error


def _check_files(title: str, folder: Path) -> None:
    if not (folder / "config.json").is_file():
        raise NotFoundError(
            "{model} has no config.json in its folder. Download the model again.", param="model", model=title
        )
    try:
        json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except ValueError as error:
        raise _damaged(title, Text("its config.json is damaged"), error) from error
    if not any(folder.glob("*.safetensors")):
        if any(folder.glob("*.bin")):
            raise UnsupportedError(
                "{model} holds its weights as pickle only, which can run code. Choose one with safetensors.",
                param="model", model=title,
            )  # fmt: skip
        raise NotFoundError(
            "{model} has no weights in its folder. Download the model again.", param="model", model=title
        )


def _check_report(model: Model, report: dict[str, Any]) -> None:
    unused = UNUSED_HEADS.get(model.architecture, ())
    missing = sorted(name for name in report["missing_keys"] if not name.startswith(unused))
    if missing:
        raise InputError(
            "{model} lacks {count} of the weights that {architecture} needs, such as {first}. "
            "Choose a model that was trained for this.",
            param="model", model=model.title, count=len(missing), architecture=model.architecture, first=missing[0],
        )  # fmt: skip


def _explained(title: str, error: Exception) -> PeopleError:
    if is_memory_error(error):
        return MemoryShortError(
            "There is not enough memory to load {model}. Unload another model, or choose a smaller one.",
            param="model", retry_seconds=10, model=title,
        )  # fmt: skip
    if isinstance(error, (SafetensorError, OSError, EOFError)):
        return _damaged(title, Text("its weights are damaged or incomplete"), error)
    if isinstance(error, RuntimeError):
        return _damaged(title, Text("its weights do not fit its config.json"), error)
    return UnsupportedError(
        "{model} cannot be used here: this version of transformers cannot build it from its config.json ({error}). "
        "Choose another model.",
        param="model", model=title, error=type(error).__name__,
    )  # fmt: skip


def _damaged(title: str, what: Text, error: Exception) -> InputError:
    return InputError(
        "{model} cannot be loaded: {what} ({error}). Delete the model and download it again.",
        param="model", model=title, what=what, error=type(error).__name__,
    )  # fmt: skip


def positions(config: Any, tokenizer: Any, wanted: int) -> int:
    """Longest input in tokens: what was asked for, within the model's positions and the tokenizer's own limit."""
    text = config.get_text_config()
    positions = next((v for n in ("max_position_embeddings", "n_positions") if (v := getattr(text, n, None))), wanted)
    if config.model_type in POSITIONS_TAKEN:
        positions -= (config.pad_token_id or 0) + 1
    return int(min(wanted, positions, tokenizer.model_max_length))


def count_tokens(tokenizer: Any, text: str) -> int:
    """Tokens of the text without special ones."""
    return len(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])
