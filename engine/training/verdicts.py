"""What a comparison says of one model on one row, and on all rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

OPENING_WORDS = 8
"""Of running text, so many words (half of a short text) are given and the model goes on."""
SHOWN_CHARACTERS = 1_500
BATCH = 8

Report = Callable[[int], None]
"""Called with the number of rows that are done."""


@dataclass(frozen=True)
class Judged:
    """What a model makes of one row."""

    text: str
    score: float


@dataclass(frozen=True)
class Verdict:
    """One model on all rows."""

    rows: tuple[Judged, ...]
    metrics: dict[str, float]
    has_new_head: bool


def opened(text: str) -> tuple[str, str]:
    """A running text's opening, which the models are given, and how it goes on."""
    words = text.split()
    count = min(OPENING_WORDS, max(1, len(words) // 2))
    at = 0
    for word in words[:count]:
        at = text.index(word, at) + len(word)
    return text[:at], text[at:].strip()
