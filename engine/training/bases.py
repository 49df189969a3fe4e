"""What a run starts from: a folder, a GGUF file or nothing becomes a model in memory and its tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError

from engine.backends.e5.conversion import COPY
from engine.backends.marian.files import is_student, open_student
from engine.backends.memory import is_memory_error
from engine.backends.pytorch import packed
from engine.backends.pytorch.devices import has_bfloat16
from engine.backends.pytorch.gguf_conversion import converted
from engine.backends.pytorch.loading import LOCAL
from engine.catalogue.cache import noted_digests
from engine.catalogue.models import read_catalogue
from engine.catalogue.sources.package import Package
from engine.errors import InputError, MemoryShortError, NotFoundError, PeopleError
from engine.messages import Text
from engine.training import encoders
from engine.training.config import TrainingConfig

HEADED = ("AutoModelForSequenceClassification", "AutoModelForQuestionAnswering")
"""Classes that put a head on a base, which may be new; of the others every weight must be in the base."""


def start(config: TrainingConfig, folder: Path, auto_class: str, **options: Any) -> tuple[Any, Any, tuple[str, ...]]:
    """The model to train (float32, or bfloat16 below adapters), its tokenizer, and the names of its new modules.

    `folder` is the run's; a model from scratch keeps its tokenizer there. `options` go to the model's class.
    Raises PeopleError.
    """
    if not config.base:
        from engine.training import scratch

        model, tokenizer = scratch.build(config, folder)
        return model, tokenizer, ()
    path = base_folder(config)
    if is_student(path):
        return (*_student(config, path), ())
    try:
        if packed.is_packed(path):
            return encoders.start(path, auto_class, **options)
        tokenizer = transformers.AutoTokenizer.from_pretrained(path, **LOCAL)
        model, report = getattr(transformers, auto_class).from_pretrained(
            path,
            dtype=_dtype(config, path),
            use_safetensors=True,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            **LOCAL,
            **options,
        )
    except Exception as error:  # the readers raise whatever the files lead to
        raise _explained(config, error) from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    names = {*report["missing_keys"], *(key[0] for key in report["mismatched_keys"])}
    if names and auto_class not in HEADED:
        raise _misfit(config, Text("it lacks {part}", part=min(names)))
    return model, tokenizer, tuple(sorted({name.rpartition(".")[0] for name in names}))


def _student(config: TrainingConfig, path: Path) -> tuple[Any, Any]:
    """A Marian student; published files are known by the catalogue, or by what was noted as they came."""
    from engine.training.students import Pieces, TrainableStudent

    known = read_catalogue().models.get(config.base_id)
    digests = known.source.files if known and isinstance(known.source, Package) else noted_digests(path)
    translator = open_student(config.base_id or path.name, path, digests)
    return TrainableStudent(translator), Pieces(translator.source, translator.target)


def base_folder(config: TrainingConfig) -> Path:
    """The folder of the config's base; a GGUF file is converted first, and so is the multilingual encoder's file.

    Raises NotFoundError when it is not there.
    """
    path = Path(config.base)
    if path.suffix == ".gguf" and path.is_file():
        return converted(config.base_id or path.stem, path)
    if path.suffix == ".bin" and path.is_file():
        try:
            return COPY.made(path)
        except (OSError, ValueError) as error:
            raise _explained(config, error) from error
    if not path.is_dir():
        raise NotFoundError(
            "The base {title} is not on this machine. Download it on the page Models.",
            "base", title=config.base_id or path.name,
        )  # fmt: skip
    return path


def _dtype(config: TrainingConfig, path: Path) -> torch.dtype:
    """bfloat16 for frozen weights that are kept so anyway: half the memory, and autocast need not convert them."""
    if config.method != "lora" or not can_bf16(config):
        return torch.float32
    stored = getattr(transformers.AutoConfig.from_pretrained(path, **LOCAL), "dtype", None)
    return torch.bfloat16 if stored == torch.bfloat16 else torch.float32


def can_bf16(config: TrainingConfig) -> bool:
    """Whether bfloat16 is wanted and this machine computes with it."""
    return config.is_bf16 and has_bfloat16("cuda" if torch.cuda.is_available() else "cpu")


def _explained(config: TrainingConfig, error: Exception) -> PeopleError:
    title = config.base_id or Path(config.base).name
    if isinstance(error, PeopleError):
        return error
    if is_memory_error(error):
        return MemoryShortError(
            "There is not enough memory to load {title}. Choose a smaller base.", "base", title=title
        )
    if isinstance(error, SafetensorError | OSError):
        return InputError(
            "{title} cannot be loaded: its files are damaged, incomplete or not safetensors ({reason}). "
            "Delete it and download it again, or choose another base.",
            "base", title=title, reason=type(error).__name__,
        )  # fmt: skip
    return _misfit(config, type(error).__name__)


def _misfit(config: TrainingConfig, reason: str | Text) -> InputError:
    return InputError(
        "{title} cannot learn the task {task}: its architecture does not fit ({reason}). Choose another base.",
        "base", title=config.base_id or Path(config.base).name, task=config.task, reason=reason,
    )  # fmt: skip
