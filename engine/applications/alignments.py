"""From a translation's alignment, which is of pieces, to words: which word of the source each word comes from.

Where words are not parted by spaces, a piece counts as one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from engine.requests import Alignment, Token

_WORD = re.compile(r"\w+(?:['’.,-]\w+)*")
_SPACELESS = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
"""Letters of Thai, Lao, Japanese and Chinese."""

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
    words = list(_words(source, alignment.spans))
    pieces = [[place for place, span in enumerate(alignment.spans) if _touch(span, word)] for word in words]
    ends, spans = 0, []
    for token in tokens:
        spans.append((ends, ends + len(token.text)))
        ends += len(token.text)
    found = []
    for target in _words("".join(token.text for token in tokens), spans):
        rows = [place for place, span in enumerate(spans) if _touch(span, target)]
        shares = [sum(alignment.weights[row][piece] for row in rows for piece in own) / len(rows) for own in pieces]
        best = max(range(len(words)), key=shares.__getitem__, default=None)
        if best is not None and shares[best] > 0:
            found.append(Link(target, words[best], shares[best], _probability([tokens[row] for row in rows])))
    return found


def _words(text: str, pieces: Sequence[Range]) -> Iterator[Range]:
    """Where the words of a text are; of a run without spaces its pieces."""
    for match in _WORD.finditer(text):
        if _SPACELESS.search(match[0]) is None:
            yield match.span()
            continue
        for start, end in pieces:
            start, end = max(start, match.start()), min(end, match.end())
            if start < end:
                yield start, end


def _touch(one: Range, other: Range) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def _probability(tokens: Sequence[Token]) -> float | None:
    scores = [token.logprob for token in tokens if token.logprob is not None]
    return math.exp(min(scores)) if scores else None
