"""Inline Markdown and tags around words: taken off before a translator that does not know them reads the sentence, and
put back around the words of the translation that come from those words. Code and addresses are kept aside before."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from engine.applications.alignments import Link, Range

_TAG = (
    r"(?P<start><(?P<name>a|b|big|del|em|i|ins|mark|s|small|span|strong|u)\b[^<>\n]*>)"
    r"(?P<tagged>[^<>\n]*\w[^<>\n]*)(?P<end></(?P=name)>)"
)
_EMPHASIS = re.compile(
    r"(?<![\w*~])(?P<sign>\*{1,3}|~~)(?=[^\s*~])(?P<words>[^*~\n]*[^\s*~])(?P=sign)(?![\w*~])"
    r"|\[(?P<linked>[^\[\]\n]+)\](?P<address>\([^()\s]+\))|" + _TAG
)
_TAGGED = re.compile(_TAG)
_EDGES = (
    re.compile(r"(?P<start>\*{1,3}|~~)(?=[^\s*~])(?P<tagged>[^*~\n]*[^\s*~])(?P<end>(?P=start))"),
    _TAGGED,
    re.compile(r"(?P<start>\*{1,3}|~~)(?=[^\s*~])(?P<tagged>[^*~]*)(?P<end>)"),
    re.compile(r"(?P<start>)(?P<tagged>[^*~]*[^\s*~])(?P<end>\*{2,3}|~~)"),
)
"""Around a whole sentence, and those that have their other half in another one."""
QUOTE = "\ue01a"
"""Stands for a quote in a tag until all is done: quotes of the text are written as the target does."""
GAP = 1
"""Words from elsewhere that may stand between words of one emphasis."""


@dataclass(frozen=True)
class Emphasis:
    """Signs around the characters [start, end) of a text, which does not have them."""

    start: int
    end: int
    opening: str
    closing: str


def edges(text: str) -> tuple[str, str, str]:
    """The signs that stand around the whole text, or at one end of it, and the text between them."""
    match = next(filter(None, (pattern.fullmatch(text) for pattern in _EDGES)), None)
    return (match["start"], match["tagged"], match["end"]) if match else ("", text, "")


def tags_of(text: str) -> list[Range]:
    """Where tags stand around words."""
    return [match.span(name) for match in _TAGGED.finditer(text) for name in ("start", "end")]


def taken_off(text: str) -> tuple[str, tuple[Emphasis, ...]]:
    """The text without inline Markdown, and what was taken off, in order."""
    pieces, found, place, length = [], list[Emphasis](), 0, 0
    for match in _EMPHASIS.finditer(text):
        words = match["words"] or match["linked"] or match["tagged"]
        start = length + match.start() - place
        opening = match["sign"] or (match["start"] or "[").replace('"', QUOTE)
        closing = match["sign"] or match["end"] or f"]{match['address']}"
        found.append(Emphasis(start, start + len(words), opening, closing))
        pieces += [text[place : match.start()], words]
        place, length = match.end(), start + len(words)
    return "".join([*pieces, text[place:]]), tuple(found)


def put_back(text: str, plain: str, emphases: Sequence[Emphasis], links: Sequence[Link]) -> str:
    """The translation of a plain text with the signs around the words that come from theirs; without those of which
    no word comes."""
    signs, taken = list[tuple[int, str]](), list[Range]()
    for one in emphases:
        span = _place(text, plain, one, links)
        if span is not None and not any(span[0] < end and start < span[1] for start, end in taken):
            taken.append(span)
            signs += [(span[0], one.opening), (span[1], one.closing)]
    for at, sign in sorted(signs, key=lambda pair: pair[0], reverse=True):
        text = text[:at] + sign + text[at:]
    return text


def _place(text: str, plain: str, one: Emphasis, links: Sequence[Link]) -> Range | None:
    if one.end - one.start == len(plain):
        return (0, len(text))
    groups, last = list[list[Link]](), -GAP - 2
    for number, link in enumerate(links):
        if link.source[0] < one.end and one.start < link.source[1]:
            if number - last > GAP + 1:
                groups.append([])
            groups[-1].append(link)
            last = number
    best = max(groups, key=lambda group: sum(link.share for link in group), default=None)
    return (best[0].target[0], best[-1].target[1]) if best else None
