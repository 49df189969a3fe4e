"""Tokens of a checkpoint's tokenizer as people see them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.backends.texts import Detokenizer, bytes_of
from engine.inspections import Piece, bytes_as_text


def pieces_of(tokenizer: Any, ids: Sequence[int], *, is_running: bool = True) -> tuple[Piece, ...]:
    """Each token as people see it. `is_running` tells tokens of one text from tokens each by itself."""
    special, names = set(tokenizer.all_special_ids), tokenizer.convert_ids_to_tokens(list(ids))

    def decode(some: Sequence[int]) -> str:
        return str(tokenizer.decode(list(some), skip_special_tokens=True, clean_up_tokenization_spaces=False))

    if is_running:
        texts = Detokenizer(decode).pieces(ids)
    else:
        texts = [_alone(decode([id]), str(name)) for id, name in zip(ids, names, strict=True)]
    added = special - _unknown(tokenizer)
    return tuple(
        Piece(str(name) if id in special else text or _unread(tokenizer, int(id), str(name)), int(id), id in added)
        for id, name, text in zip(ids, names, texts, strict=True)
    )


def _unknown(tokenizer: Any) -> set[int]:
    """The token that stands for text of which there is no piece, where it is none that is added as well."""
    added = {tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id, tokenizer.cls_token_id}
    return {tokenizer.unk_token_id} - added - {None}


def _alone(text: str, name: str) -> str:
    """The text of a token in the middle of one; some tokenizers take the space off the first."""
    space = " " if name.startswith("\u2581") and not text.startswith(" ") else ""
    return "" if "\ufffd" in text else space + text


def _unread(tokenizer: Any, id: int, name: str) -> str:
    """A token that is no text alone: its bytes, or its name where it is a mark that texts do not have."""
    whole = str(tokenizer.decode([id], skip_special_tokens=False))
    raw = bytes_of(name) if not whole or "\ufffd" in whole else None
    return (whole or name) if raw is None else bytes_as_text(raw)
