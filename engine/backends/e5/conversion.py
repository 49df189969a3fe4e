"""The encoder's file becomes a folder: matrices as packed as they come, and what `transformers` needs to use them.

`engine.backends.pytorch.packed` reads the weights; the store has the folder made (`catalogue.copies`).
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file
from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers import decoders as text_decoders
from tokenizers.models import Unigram

from engine.backends.e5.published import Packed, Published, Shape, Vocabulary, read
from engine.catalogue.copies import Copy

LAYOUT = 1
"""To be raised when this module converts in another way."""
NAME = "-safetensors"
CODES, SCALES = ".codes", ".scales"
"""What follows a matrix's name in the folder's safetensors: its two parts, as `published.Packed` says."""
PREFIXES = {"query": "query: ", "passage": "passage: "}
"""What the encoder learned to read before what is looked for, and before where it is looked for (Wang et al. 2024)."""
SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
OTHERS = {"cls_token": "<s>", "sep_token": "</s>", "mask_token": "<mask>"}
NEVER = -1000.0
"""Score of control tokens: what people typed is cut into other pieces, however much it looks like one."""
EMBEDDINGS = {
    "emb.word": "word_embeddings.weight",
    "emb.pos": "position_embeddings.weight",
    "emb.type": "token_type_embeddings.weight",
    "emb.ln.w": "LayerNorm.weight",
    "emb.ln.b": "LayerNorm.bias",
}
LAYER = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
"""Names in the file, and in `BertModel`."""


def _write(file: Path, folder: Path) -> None:
    """Write the folder. Raises OSError, and ValueError for a file that cannot be read."""
    published = read(file)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(dict(_tensors(published)), folder / "model.safetensors", {"format": "pt"})
    tokenizer_of(published.vocabulary).save(str(folder / "tokenizer.json"))
    shape = published.shape
    for name, content in (("config", _config(shape)), ("tokenizer_config", _tokenizer_config(shape))):
        (folder / f"{name}.json").write_text(json.dumps(content, indent=1), encoding="utf-8")


def _tensors(published: Published) -> Iterator[tuple[str, NDArray[Any]]]:
    shape = published.shape
    tables = {"emb.pos": shape.positions, "emb.type": shape.types}
    for name, tensor in published.tensors.items():
        key = _named(name)
        if isinstance(tensor, Packed):
            yield key + CODES, tensor.codes
            yield key + SCALES, tensor.scales
        else:
            yield key, np.ascontiguousarray(tensor.reshape(tables[name], -1) if name in tables else tensor)


def _named(name: str) -> str:
    if name in EMBEDDINGS:
        return f"embeddings.{EMBEDDINGS[name]}"
    layer, part, kind = name.split(".")
    if part not in LAYER or kind not in ("w", "b"):
        raise ValueError(f"the tensor {name} is unknown")
    return f"encoder.layer.{int(layer[1:])}.{LAYER[part]}.{'weight' if kind == 'w' else 'bias'}"


def _config(shape: Shape) -> dict[str, Any]:
    return {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "hidden_size": shape.width,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "intermediate_size": shape.inner,
        "vocab_size": shape.vocabulary,
        "max_position_embeddings": shape.positions,
        "type_vocab_size": shape.types,
        "layer_norm_eps": float(f"{shape.epsilon:.6g}"),
        "hidden_act": "gelu",
        "pad_token_id": 1,
        "is_packed": True,
        "prefixes": PREFIXES,
    }


def _tokenizer_config(shape: Shape) -> dict[str, Any]:
    names = {"input_names": ["input_ids", "attention_mask"]}
    kind = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": shape.positions}
    return kind | {"model_input_names": names["input_names"]} | SPECIAL | OTHERS


def tokenizer_of(vocabulary: Vocabulary) -> Tokenizer:
    """The tokenizer of XLM-RoBERTa. What the map of characters says beyond NFKC is said before it."""
    names = [*SPECIAL.values(), OTHERS["mask_token"]]
    pieces = [(piece, NEVER if piece in names else score) for piece, score in vocabulary.pieces]
    tokenizer = Tokenizer(Unigram(pieces, vocabulary.unknown))
    own = [normalizers.Replace(Regex(pattern), text) for text, pattern in _patterns(vocabulary.characters).items()]
    tokenizer.normalizer = normalizers.Sequence([*own, normalizers.NFKC()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace("▁", "always")]
    )
    tokenizer.decoder = text_decoders.Metaspace("▁", "always")
    tokenizer.add_special_tokens(names)
    begin, end = SPECIAL["bos_token"], SPECIAL["eos_token"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{begin} $A {end}",
        pair=f"{begin} $A {end} {end} $B {end}",
        special_tokens=[(begin, vocabulary.begin), (end, vocabulary.end)],
    )
    return tokenizer


def _patterns(characters: Mapping[str, str]) -> dict[str, str]:
    """For each replacement that NFKC would not make, the characters that get it, as a pattern."""
    found: dict[str, str] = {}
    for character, text in characters.items():
        if unicodedata.normalize("NFKC", character) != text:
            found[text] = found.get(text, "") + f"\\x{{{ord(character):x}}}"
    return {text: f"[{codes}]" for text, codes in found.items()}


COPY = Copy(NAME, _write, lambda file: {"layout": LAYOUT})
