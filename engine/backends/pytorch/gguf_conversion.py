"""A GGUF file becomes a folder with safetensors and tokenizer.json, once: reading GGUF itself takes up to a minute."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import transformers

from engine.backends.memory import is_memory_error
from engine.catalogue.copies import Copy
from engine.errors import InputError, MemoryShortError, PeopleError, UnsupportedError

SUFFIX = "-safetensors"


def converted(title: str, path: Path) -> Path:
    """The folder with the same model as a GGUF file, made now if it is not there. Weights are kept as bfloat16.

    Raises InputError for a damaged file, UnsupportedError for an architecture that cannot be read, MemoryShortError.
    """
    try:
        return COPY.made(path)
    except Exception as error:  # the readers raise whatever the file leads to
        raise _explained(title, path, error) from error


def _facts(path: Path) -> Mapping[str, Any]:
    return {"file": path.name, "size_bytes": path.stat().st_size, "transformers": transformers.__version__}


def _convert(path: Path, folder: Path) -> None:
    options: dict[str, Any] = {"gguf_file": path.name, "local_files_only": True}
    tokenizer = transformers.AutoTokenizer.from_pretrained(path.parent, **options)
    loaded = transformers.AutoModelForCausalLM.from_pretrained(path.parent, dtype=torch.bfloat16, **options)
    config = loaded.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    # A model read from GGUF calls itself quantised and refuses to be saved; one built from its config does not.
    with torch.device("meta"):
        plain = type(loaded)(config).to(torch.bfloat16)
    plain.load_state_dict(loaded.state_dict(), assign=True)
    plain.tie_weights()
    plain.generation_config = loaded.generation_config
    plain.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _explained(title: str, path: Path, error: Exception) -> PeopleError:
    if isinstance(error, PeopleError):
        return error
    if is_memory_error(error):
        return MemoryShortError(
            "There is not enough memory to convert {model}. Unload another model first.", model=title
        )
    if isinstance(error, ImportError):
        return UnsupportedError(
            "{model} is a GGUF file; install the package gguf to read it here.", param="model", model=title
        )
    if isinstance(error, OSError) and error.errno is not None:
        return InputError(
            "{model} could not be converted: {reason}. Free disk space, then try again.",
            model=title, reason=error.strerror,
        )  # fmt: skip
    return InputError(
        "{model} cannot be read from {file} ({error}): the file is damaged, or transformers does not know its "
        "architecture. Delete the model and download it again, or choose another.",
        param="model", model=title, file=path.name, error=type(error).__name__,
    )  # fmt: skip


COPY = Copy(SUFFIX, lambda path, folder: _convert(path, folder), _facts)
