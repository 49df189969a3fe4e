"""The tokenizer's part of a GGUF file: copied from another GGUF file, or told from `tokenizer.json`.

llama.cpp rebuilds three kinds: byte-level BPE ("gpt2"), sentencepiece's BPE ("llama") and its unigrams ("t5").
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from engine.errors import UnsupportedError
from engine.files import read_json
from engine.messages import Text

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
LOWEST_SCORE = -1e6
"""Of pieces that no merge makes: llama.cpp then never prefers them."""


def write_vocabulary(writer: Any, folder: Path, size: int, base: Path | None = None) -> None:
    """Write tokens, kinds, merges or scores, special tokens and the chat template, for a model with `size` tokens.

    Copies them from the GGUF file `base` where there is one. Raises UnsupportedError for tokenizers that llama.cpp
    cannot rebuild, and where there are more tokens than the model has.
    """
    if base is not None and _copy(writer, base, size):
        return
    if not (description := read_json(folder / "tokenizer.json")):
        raise _unsupported(Text("has no tokenizer.json"))
    tokens = _tokens(description, size)
    write = _writer_of(description)
    write(writer, description, tokens)
    writer.add_token_list(tokens)
    writer.add_token_types(_kinds(description, tokens))
    _write_special(writer, folder, size)


def _writer_of(description: Mapping[str, Any]) -> Callable[[Any, Mapping[str, Any], list[str]], None]:
    kind = description["model"].get("type")
    if kind == "Unigram":
        return _write_unigram
    if kind == "BPE" and "ByteLevel" in _types(description["pre_tokenizer"]):
        return _write_byte_level
    if kind == "BPE" and description["model"].get("byte_fallback"):
        return _write_sentencepiece
    raise _unsupported(Text("is of the kind {kind}", kind=kind))


def _unsupported(what: Text) -> UnsupportedError:
    return UnsupportedError(
        "The model's tokenizer {what}, which llama.cpp cannot rebuild. Export safetensors instead.",
        param="kind", what=what,
    )  # fmt: skip


def _copy(writer: Any, base: Path, size: int) -> bool:
    """Copy all keys of the tokenizer; False where the file has another number of tokens than the model."""
    import gguf

    fields = gguf.GGUFReader(base).fields
    if len(fields["tokenizer.ggml.tokens"].data) != size:
        return False
    for key, field in fields.items():
        if key.startswith("tokenizer."):
            kind, *inner = field.types
            writer.add_key_value(key, field.contents(), kind, sub_type=inner[0] if inner else None)
    return True


def _types(part: Mapping[str, Any] | None) -> list[str]:
    """Kinds of the steps of a normaliser, pre-tokenizer or decoder, in order."""
    return [step["type"] for step in _steps(part)]


def _steps(part: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    if part is None:
        return []
    for inner in ("normalizers", "pretokenizers", "decoders"):
        if part["type"] == "Sequence" and inner in part:
            return [step for each in part[inner] for step in _steps(each)]
    return [part]


def _tokens(description: Mapping[str, Any], size: int) -> list[str]:
    """Tokens by id, as many as the model has; ids that no token has are called [PADn]."""
    vocabulary = description["model"]["vocab"]
    if isinstance(vocabulary, dict):
        by_id = {number: token for token, number in vocabulary.items()}
    else:
        by_id = {number: token for number, (token, _) in enumerate(vocabulary)}
    by_id |= {added["id"]: added["content"] for added in description["added_tokens"]}
    if max(by_id) >= size:
        raise _unsupported(Text("has {count:,} tokens and the model {size:,}", count=max(by_id) + 1, size=size))
    return [by_id.get(number, f"[PAD{number}]") for number in range(size)]


def _kinds(description: Mapping[str, Any], tokens: list[str]) -> list[int]:
    model, vocabulary = description["model"], description["model"]["vocab"]
    known = set(vocabulary.values()) if isinstance(vocabulary, dict) else range(len(vocabulary))
    added = {each["id"]: CONTROL if each["special"] else USER_DEFINED for each in description["added_tokens"]}

    def kind(number: int, token: str) -> int:
        if token == model.get("unk_token") or number == model.get("unk_id"):
            return UNKNOWN
        if number not in known:
            return added.get(number, UNUSED)
        is_byte = model.get("byte_fallback") and re.fullmatch("<0x..>", token)
        return added.get(number, BYTE if is_byte else NORMAL)

    return [kind(number, token) for number, token in enumerate(tokens)]


def _pairs(description: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Merges in order of rank; older files keep them as "left right"."""
    pairs = (merge.split(" ", 1) if isinstance(merge, str) else merge for merge in description["model"]["merges"])
    return [(left, right) for left, right in pairs]


def _write_byte_level(writer: Any, description: Mapping[str, Any], tokens: list[str]) -> None:
    if not set(_types(description["normalizer"])) <= {"NFC"}:
        raise _unsupported(Text("changes its text before it splits it"))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(_splitting(description))
    writer.add_token_merges([" ".join(pair) for pair in _pairs(description)])
    writer.add_add_space_prefix(False)


def _splitting(description: Mapping[str, Any]) -> str:
    """llama.cpp's name of the way in which text is split before merges."""
    steps = _steps(description["pre_tokenizer"])
    first, last = steps[0], steps[-1]
    if last.get("add_prefix_space"):
        raise _unsupported(Text("puts a space before every text"))
    if len(steps) == 1 and last["use_regex"]:
        return "gpt-2"
    if len(steps) == 2 and first["type"] == "Digits" and first["individual_digits"] and last["use_regex"]:
        return "smollm"
    if len(steps) == 2 and first["type"] == "Split" and not last["use_regex"]:
        from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS

        for name, pattern in GGUF_PRE_TOKENIZER_SPLITS.items():
            if first["pattern"].get("Regex") == pattern:
                return str(name)
    raise _unsupported(Text("splits text in a way of its own"))


def _write_sentencepiece(writer: Any, description: Mapping[str, Any], tokens: list[str]) -> None:
    ranks: dict[str, float] = {}
    for rank, (left, right) in enumerate(_pairs(description), 1):
        ranks.setdefault(left + right, -float(rank))
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_scores([0.0 if len(token) == 1 else ranks.get(token, LOWEST_SCORE) for token in tokens])
    writer.add_add_space_prefix(_begins_with_space(description))


def _write_unigram(writer: Any, description: Mapping[str, Any], tokens: list[str]) -> None:
    scores = dict(description["model"]["vocab"])
    normalizers = _steps(description["normalizer"])
    maps = [step["precompiled_charsmap"] for step in normalizers if step["type"] == "Precompiled"]
    writer.add_tokenizer_model("t5")
    writer.add_tokenizer_pre("default")
    writer.add_token_scores([float(scores.get(token, LOWEST_SCORE)) for token in tokens])
    writer.add_add_space_prefix(_begins_with_space(description))
    writer.add_remove_extra_whitespaces(any(step["type"] == "Replace" and " {2" in str(step) for step in normalizers))
    if maps and maps[0]:
        writer.add_precompiled_charsmap(base64.b64decode(maps[0]))


def _begins_with_space(description: Mapping[str, Any]) -> bool:
    steps = [*_steps(description["normalizer"]), *_steps(description["pre_tokenizer"])]
    return any(
        step["type"] == "Prepend" or (step["type"] == "Metaspace" and step.get("prepend_scheme", "always") != "never")
        for step in steps
    )


def _write_special(writer: Any, folder: Path, size: int) -> None:
    """Which tokens begin and end a text and an answer, stand for the unknown, and pad; and the chat template."""
    import gguf
    import tokenizers

    special = gguf.SpecialVocab(folder, special_token_types=("bos", "eos", "unk", "pad"), n_vocab=size)
    ids = special.special_token_ids
    # A second token that ends answers, where the model has one.
    ends = read_json(folder / "generation_config.json").get("eos_token_id")
    if isinstance(ends, list) and len(ends) > 1:
        ids["eot"] = ends[1]
    # What the tokenizer itself puts around a text; the package guesses it from some kinds of templates.
    whole = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json")).encode("a").ids
    special.add_special_token = {"bos": whole[:1] == [ids.get("bos")], "eos": whole[-1:] == [ids.get("eos")]}
    special.add_to_gguf(writer, quiet=True)
