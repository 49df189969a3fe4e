"""From a translation's alignment, which is of pieces, to words: which word of the source each word comes from.

Where words are not parted by spaces, a piece counts as one, and pieces side by side that come from the same word.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from engine.requests import Alignment, Token

_LETTERS = "\u0e00-\u0eff\u3005-\u3007\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
"""Of Thai, Lao, Japanese and Chinese."""
RUN = re.compile(f"[{_LETTERS}]+")
"""Words that no space parts."""
WORD = re.compile(rf"{RUN.pattern}|[^\W{_LETTERS}]+(?:['’.,-][^\W{_LETTERS}]+)*")
"""A word or number, also among such letters, or a run of these."""
LONGEST = 4
"""Letters of a word that is parted from others by no space."""

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

    def link(target: Range) -> Link | None:
        rows = [place for place, span in enumerate(spans) if _touch(span, target)]
        shares = [sum(alignment.weights[row][piece] for row in rows for piece in own) / len(rows) for own in pieces]
        best = max(range(len(words)), key=shares.__getitem__, default=None)
        if best is None or shares[best] <= 0:
            return None
        return Link(target, words[best], shares[best], _probability([tokens[row] for row in rows]))

    text = "".join(token.text for token in tokens)
    found: list[Link] = []
    for one in filter(None, map(link, _words(text, spans))):
        both = (found[-1].target[0], one.target[1]) if found else one.target
        is_one = found and found[-1].target[1] == one.target[0] and found[-1].source == one.source
        if is_one and both[1] - both[0] <= LONGEST and RUN.fullmatch(text, *both) and (whole := link(both)):
            found[-1] = whole
        else:
            found.append(one)
    return found


def begins_word(text: str, place: int) -> bool:
    """Whether a word begins at that place; anywhere in a run without spaces one may."""
    return any(
        found.start() == place or (RUN.match(found[0]) is not None and found.start() < place < found.end())
        for found in WORD.finditer(text)
    )


def _words(text: str, pieces: Sequence[Range]) -> Iterator[Range]:
    """Where the words of a text are; of a run without spaces its pieces."""
    for match in WORD.finditer(text):
        if RUN.match(match[0]) is None:
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
