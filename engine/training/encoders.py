"""Runs that start from the multilingual encoder: its word embeddings stay as they are, and what a run keeps is a head.

The table comes from the encoder wherever the head is used, and is put into what leaves this machine.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import transformers
from safetensors.torch import save_file

from engine.backends.e5.conversion import COPY
from engine.backends.pytorch import packed
from engine.backends.pytorch.loading import LOCAL
from engine.catalogue.cache import Cache
from engine.errors import NotFoundError
from engine.files import read_json
from engine.settings import current

ENCODER = "multilingual-e5-small"
OURS = ("is_packed", "base", "prefixes")
"""Keys of config.json that nobody else knows."""


def encoder_of(folder: Path) -> Path:
    """The encoder's folder of a head's, or the encoder's own. Raises NotFoundError where it is not on this machine."""
    name = read_json(folder / "config.json").get("base")
    if not name:
        return folder
    file = next(Cache(current().cache_folder).whole(str(name)).glob("*.bin"), None)
    if file is None:
        raise NotFoundError(
            "The base {title} is not on this machine. Download it on the page Models.", "base", title=str(name)
        )
    return COPY.made(file)


def start(folder: Path, auto_class: str, **options: Any) -> tuple[Any, Any, tuple[str, ...]]:
    """The model to train, its tokenizer and the names of its new modules, of an encoder's or a head's folder.

    Of a head for something else its layers are taken. Raises NotFoundError, and as `packed.load`.
    """
    encoder = encoder_of(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(encoder, **LOCAL)
    base = None if encoder == folder else encoder
    module, new = packed.load_with_new(folder, auto_class, base=base, **options)
    module.config.base = read_json(folder / "config.json").get("base") or ENCODER
    return module, tokenizer, tuple(sorted({name.rpartition(".")[0] for name in new}))


def write_whole(folder: Path, auto_class: str, target: Path) -> None:
    """A head's folder as `transformers` alone reads it: with all weights in float16, and the tokenizer."""
    encoder = encoder_of(folder)
    module = packed.load(folder, auto_class, base=encoder)
    table = module.base_model.embeddings.word_embeddings
    tensors = {name: value.half().contiguous() for name, value in module.state_dict().items()}
    words = f"{module.base_model_prefix}.{packed.WORDS}"
    tensors[words] = packed.unpacked(table.codes, table.scales.view(packed.SCALES_DTYPE)).half()
    save_file(tensors, target / "model.safetensors", {"format": "pt"})
    facts = read_json(folder / "config.json")
    kept = {name: value for name, value in facts.items() if name not in OURS}
    (target / "config.json").write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
    for path in (*encoder.glob("tokenizer*.json"), *encoder.glob("special_tokens_map.json")):
        shutil.copy(path, target / path.name)
