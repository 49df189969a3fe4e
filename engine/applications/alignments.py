"""From a translation's alignment, which is of pieces, to words: which word of the source each word comes from."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from engine.requests import Alignment, Token

_WORD = re.compile(r"\w+(?:['’.,-]\w+)*")

Range = tuple[int, int]
"""Start and end in a text."""


@dataclass(frozen=True)
class Link:
    """A word of the translation, and the word of the source that it looks at most."""

    target: Range
    source: Range
    share: float
    """How much it looks at that word, 0 to 1."""
    probability: float | None = None
    """Of its least likely piece; None where none came with scores."""


def links(source: str, tokens: Sequence[Token], alignment: Alignment) -> list[Link]:
    """For each word of the translation, which the tokens joined are; words that look at no word are left out.

    Shares are summed over the pieces of a source word, and averaged over those of a target word.
    """
    words = [match.span() for match in _WORD.finditer(source)]
    pieces = [[place for place, span in enumerate(alignment.spans) if _touch(span, word)] for word in words]
    ends, spans = 0, []
    for token in tokens:
        spans.append((ends, ends + len(token.text)))
        ends += len(token.text)
    found = []
    for match in _WORD.finditer("".join(token.text for token in tokens)):
        rows = [place for place, span in enumerate(spans) if _touch(span, match.span())]
        shares = [sum(alignment.weights[row][piece] for row in rows for piece in own) / len(rows) for own in pieces]
        best = max(range(len(words)), key=shares.__getitem__, default=None)
        if best is not None and shares[best] > 0:
            found.append(Link(match.span(), words[best], shares[best], _probability([tokens[row] for row in rows])))
    return found


def _touch(one: Range, other: Range) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def _probability(tokens: Sequence[Token]) -> float | None:
    scores = [token.logprob for token in tokens if token.logprob is not None]
    return math.exp(min(scores)) if scores else None
