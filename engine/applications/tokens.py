"""The tokens of a text that a model wrote: where each stands, how likely it was, and what could have stood there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import exp, log

from engine.requests import Token

MOST_RIVALS = 20
"""Of each token that can be asked for; pages show ten."""
NEAR = 8
"""Characters of the text that may stand between two tokens; control tokens and markup are left out of it."""


@dataclass(frozen=True)
class Rival:
    """A token that was likely at a place."""

    text: str
    probability: float


@dataclass(frozen=True)
class WrittenToken:
    """A token in a text: `text[start:start + len(token.text)] == token.text`.

    `probability` is the model's own, before temperature and filters; None where the runtime cannot tell.
    """

    text: str
    start: int
    probability: float | None
    rivals: list[Rival] = field(default_factory=list)
    """The likeliest other tokens there, the likeliest first."""


def lay(text: str, tokens: Sequence[Token], start: int = 0) -> list[WrittenToken]:
    """The tokens where they stand in a text from `start` on; what people are not shown has no place in it."""
    found: list[WrittenToken] = []
    for token in _whole(tokens):
        at = text.find(token.text, start, start + len(token.text) + NEAR)
        if at >= 0:
            rivals = [Rival(other, exp(value)) for other, value in token.top_logprobs if _is_text(other)]
            found.append(WrittenToken(token.text, at, None if token.logprob is None else exp(token.logprob), rivals))
            start = at + len(token.text)
    return found


def _whole(tokens: Sequence[Token]) -> Iterator[Token]:
    """Those that add text; the parts of a character are its last one's, whose rivals are bytes and no text."""
    parts = 0
    for token in tokens:
        if not token.text:
            parts += token.raw is not None
        elif parts:
            yield Token(token.text, token.id)  # how likely the character was takes all of its parts, which few tell
            parts = 0
        else:
            yield token


def _is_text(piece: str) -> bool:
    """Whether it can be shown and gone on from: bytes of a character are lone surrogates."""
    return bool(piece) and not any("\ud800" <= letter <= "\udfff" for letter in piece)


def typical_probability(tokens: Sequence[WrittenToken]) -> float | None:
    """The geometric mean of their probabilities, which is the inverse of perplexity; None where none is known."""
    known = [one.probability for one in tokens if one.probability]
    return exp(sum(map(log, known)) / len(known)) if known else None
