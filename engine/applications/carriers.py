"""Which words carried a judgement: each is left out in turn, and what its label loses by that is the word's part.

Leave-one-out as in Li, Monroe and Jurafsky (2016): exact for one word, blind to two that say the same. A text is judged
once more for each of its words, so that it is done where it is asked for only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MAX_WORDS = 40
"""Of a text that are left out in turn, from its beginning on."""
MIN_PART, MAX_TOLD = 0.02, 5
"""Probability that a word is worth before it is told, and words told of a text, those worth most first."""
_WORD = re.compile(
    r"[\u3040-\u30ff\u3400-\u9fff]{1,2}|[^\W\d_]+(?:['’-][^\W\d_]+)*|[\u2600-\u27bf\U0001f300-\U0001faff]"
)
"""A word, two letters of Chinese or Japanese, or an emoji."""


@dataclass(frozen=True)
class CarriedBy:
    """A word of a text, `text[start:end]`, and by how much the label is less likely without it, -1 to 1."""

    word: str
    start: int
    end: int
    part: float


@dataclass(frozen=True)
class Without:
    """A text without one of its words."""

    word: str
    start: int
    end: int
    rest: str


def without_each(text: str) -> list[Without]:
    """The text without each of its first words in turn; none where nothing would be left."""
    found = []
    for match in list(_WORD.finditer(text))[:MAX_WORDS]:
        rest = " ".join(f"{text[: match.start()]} {text[match.end() :]}".split())
        if any(letter.isalnum() for letter in rest):
            found.append(Without(match[0], *match.span(), rest))
    return found


def carried(label: str, score: float, rests: Sequence[tuple[Without, Mapping[str, float]]]) -> list[CarriedBy]:
    """The words that the label's probability lost most by, or won by where they speak against it, in that order.

    `rests` are the texts without a word, each with its probabilities by label.
    """
    parts = [CarriedBy(one.word, one.start, one.end, score - scores.get(label, 0.0)) for one, scores in rests]
    told = sorted((one for one in parts if abs(one.part) >= MIN_PART), key=lambda one: -one.part)
    return told[:MAX_TOLD]
