"""Which words of a text are others than before."""

from __future__ import annotations

import re
from difflib import SequenceMatcher

Spans = list[tuple[int, int]]
_WORD = re.compile(r"\w+(?:['’-]\w+)*|[^\w\s]")


def changed_words(before: str, after: str) -> tuple[Spans, Spans]:
    """Where the words stand that were taken out of the first text, and those put into the second."""
    given, made = list(_WORD.finditer(before)), list(_WORD.finditer(after))
    matcher = SequenceMatcher(None, [one[0] for one in given], [one[0] for one in made], autojunk=False)
    gone: Spans = []
    new: Spans = []
    for kind, a, b, c, d in matcher.get_opcodes():
        if kind != "equal":
            gone += [(given[a].start(), given[b - 1].end())] if b > a else []
            new += [(made[c].start(), made[d - 1].end())] if d > c else []
    return gone, new
