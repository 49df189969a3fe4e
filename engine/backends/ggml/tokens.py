"""The tokens in llama.cpp's chunks, those that are part of a character with their own bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from engine.inspections import Piece, bytes_as_text
from engine.requests import Token

Pieces = Callable[[str], Sequence[tuple[int, bytes]]]
"""Ids and bytes of the tokens that a text is read as; none where that cannot be told."""


def tokens_of(choice: dict[str, Any], top_logprobs: int, count: int, pieces: Pieces) -> Sequence[Token | None]:
    """The tokens of a chunk, the last with the likeliest others; one None where log-probabilities were not asked for.

    Where a character took several (`count`), llama.cpp tells only of the last one: of those before it there are the
    bytes, and no log-probability. Where it wrote the character in another way than it would read it, not even those.
    """
    if not choice["logprobs"]:
        return [None]
    detail, text = choice["logprobs"]["content"][-1], choice["text"]
    listed = [other for other in detail["top_logprobs"] if other["id"] != detail["id"]][:top_logprobs]
    others = tuple((bytes(other["bytes"]).decode("utf-8", "surrogateescape"), other["logprob"]) for other in listed)
    if count == 1:
        return [Token(text, detail["id"], detail["logprob"], others)]
    read = pieces(text)[-count:]
    if b"".join(raw for _, raw in read) != text.encode() or (len(read), read[-1][0]) != (count, detail["id"]):
        return [Token(text, detail["id"], None, others)]
    parts = [Token("", id, raw=raw) for id, raw in read[:-1]]
    return [*parts, Token(text, detail["id"], detail["logprob"], others, read[-1][1])]


def with_bytes(tokens: Sequence[dict[str, Any]]) -> list[tuple[int, bytes]]:
    """Ids and bytes of what llama.cpp tells of tokens: text, or numbers where it is none."""
    found = [(each["id"], each["piece"]) for each in tokens]
    return [(id, piece.encode() if isinstance(piece, str) else bytes(piece)) for id, piece in found]


def tokenized(text: str, read: Callable[[str, bool], Sequence[tuple[int, bytes]]]) -> tuple[Piece, ...]:
    """The tokens of a text, `read` with those that are put before it and without; bytes of a character stay bytes."""
    pieces = read(text, True)
    added = len(pieces) - len(read(text, False))
    return tuple(Piece(_shown(raw), id, place < added) for place, (id, raw) in enumerate(pieces))


def _shown(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return bytes_as_text(raw)
