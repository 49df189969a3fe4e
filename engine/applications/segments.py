"""Cutting a text into sentences so that what lies between them can be put back exactly."""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_SENTENCE_CHARACTERS = 400
"""Longer sentences are cut at a comma or space: small translators lose the thread."""

_PREFIX = re.compile(r"\s*(?:[-*•–—>]+\s+|\d{1,3}[.)]\s+)?")
_WIDE = r"[。！？…]+[」』”’）》\"]*"
_END = re.compile(rf"(?:{_WIDE}\s*)|(?:[.!?…]+[\"'”’»)\]]*\s+)")
_ABBREVIATION = re.compile(
    r"(?:\b(?:Mr|Mrs|Ms|Dr|Prof|St|Jr|Sr|vs|etc|e\.g|i\.e|No|Fig|Inc|Ltd|Co|approx|M|Mme|Mlle|Sr|Sra|Ud|Hr|Fr|Nr|z\.B|bzw|usw"
    r"|d\.h|ca|env|p\.\s?ex|cf|al|Jan|Feb|Aug|Sept|Oct|Nov|Dec)|\b[A-Z]|(?<!\S)\d{1,2})\.\s+$"
)
_SOFT = re.compile(r"[,;:，；：、]\s*|\s+")
_PLAIN = re.compile(r"(?:https?://\S+|www\.\S+|\S+@\S+\.\S+|[\W\d_]+)")


@dataclass(frozen=True)
class Segment:
    """A sentence, and the text before it that is kept as it is. `text` is empty where nothing is to be translated."""

    before: str
    text: str


def split(text: str) -> list[Segment]:
    """Segments of a text: the concatenation of every `before` and `text` is the text itself.

    Lines, blank lines, indentation, bullets and numbering are kept; so are segments without a letter, and addresses.
    """
    segments: list[Segment] = []
    kept = ""
    for line in text.splitlines(keepends=True):
        body = line.rstrip()
        prefix = _PREFIX.match(body)
        start = prefix.end() if prefix else 0
        kept += body[:start]
        for sentence in _sentences(body[start:]):
            bare = sentence.rstrip()
            if _PLAIN.fullmatch(bare):
                kept += sentence
                continue
            segments.append(Segment(kept, bare))
            kept = sentence[len(bare) :]
        kept += line[len(body) :]
    return [*segments, Segment(kept, "")] if kept else segments


def _sentences(text: str) -> list[str]:
    parts, start = [], 0
    for end in _END.finditer(text):
        part = text[start : end.end()]
        if _ABBREVIATION.search(part):
            continue
        parts.append(part)
        start = end.end()
    if start < len(text):
        parts.append(text[start:])
    return [piece for part in parts for piece in _short(part)]


def _short(sentence: str) -> list[str]:
    """The sentence, cut near the limit at a comma where there is one, else at a space, else anywhere."""
    pieces = []
    while len(sentence) > MAX_SENTENCE_CHARACTERS:
        window = sentence[:MAX_SENTENCE_CHARACTERS]
        ends = [match.end() for match in _SOFT.finditer(window)]
        commas = [end for end in ends if window[:end].rstrip()[-1:] in ",;:，；：、"]
        late = [end for end in commas if end > MAX_SENTENCE_CHARACTERS // 3]
        cut = (late or ends or [len(window)])[-1]
        pieces.append(sentence[:cut])
        sentence = sentence[cut:]
    return [*pieces, sentence] if sentence else pieces
