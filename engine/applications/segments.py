"""Cutting a text into sentences so that what lies between them can be put back exactly."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from engine.applications.code import is_code, opens_block
from engine.applications.literals import prose
from engine.documents.sentences import ends_of

MAX_SENTENCE_CHARACTERS = 400
"""Longer sentences are cut at a comma or space: small translators lose the thread."""

_PREFIX = re.compile(
    r"\s*(?:(?:[-*+•·–—>]|#{1,6}|\d{1,3}[.)、]|\(\d{1,3}\)|\(?(?:[a-zA-Z]|[ivx]{2,5}|[IVX]{2,5})\)|[ivx]{2,5}\.)\s+)*"
)
_SOFT = re.compile(r"[,;:，；：、]\s*|\s+")
_PLAIN = re.compile(r"https?://\S+|www\.\S+|[^\s@]+@[^\s@]+\.\w+|[\W\d_]+|[0-9A-Za-z_\u00c0-\u052f]{100,}")
"""A word without anything to translate: an address, a number, a sign, so many letters that it is none."""
_LETTER = re.compile(r"[^\W\d_]")
_ROW_COLUMN = re.compile(r"`[^`]*`|(\s*(?<!\\)\|\s*|\t\s*)")
_COLUMN = re.compile(r"`[^`]*`|(\s+\|\s+|\t\s*)")
"""Between the columns of a table whose rows begin with a bar, and of others; or code, where a bar is none."""
_BLOCK = re.compile(
    r"`[^`]*`|((?:\s*</?(?:ul|ol|li|dl|dt|dd|p|div|br|h[1-6]|table|thead|tbody|tr|td|th|blockquote|section|article)\b"
    r"[^<>]*>)+\s*)",
    re.IGNORECASE,
)
"""Between the blocks of a line of HTML, which begins with a tag; elsewhere a sentence may speak of one."""


@dataclass(frozen=True)
class Segment:
    """A sentence, and the text before it that is kept as it is. `text` is empty where there is nothing but that."""

    before: str
    text: str


def split(text: str, language: str = "en") -> list[Segment]:
    """Segments of a text: the concatenation of every `before` and `text` is the text itself.

    Lines, columns of a table, blank lines, indentation, bullets and numbering are kept; so are segments without a
    letter, addresses, and code: between lines of three backticks, and lines that are nothing else.
    """
    segments: list[Segment] = []
    kept = ""
    for line, is_kept in _lines(text):
        if is_kept:
            kept += line
            continue
        body = line.rstrip()
        prefix = _PREFIX.match(body)
        start = prefix.end() if prefix else 0
        kept += body[:start]
        for sentence in chain.from_iterable(_sentences(cell, language) for cell in _cells(body[start:])):
            bare = sentence.rstrip()
            if all(_PLAIN.fullmatch(word) for word in bare.split()) or not _LETTER.search(prose(bare)):
                kept += sentence
                continue
            segments.append(Segment(kept, bare))
            kept = sentence[len(bare) :]
        kept += line[len(body) :]
    return [*segments, Segment(kept, "")] if kept else segments


def _lines(text: str) -> Iterator[tuple[str, bool]]:
    """Each line with its end, and whether it is code: fenced, code by itself, or further in than what opens a block."""
    is_fenced, block = False, None
    for line in text.splitlines(keepends=True):
        body = line.strip()
        is_fence = body.startswith("```")
        is_fenced = is_fenced != is_fence
        depth = len(line) - len(line.lstrip())
        if body and block is not None and depth <= block:
            block = None
        is_kept = is_fence or is_fenced or (body and block is not None) or is_code(body)
        if is_kept and block is None and not is_fence and opens_block(body):
            block = depth
        yield line, bool(is_kept)


def _cells(line: str) -> Iterator[str]:
    """The cells of a row of a table or the blocks of a line of HTML, and what stands between; another line whole."""
    start = 0
    pattern = _ROW_COLUMN if line.startswith("|") else _BLOCK if line.startswith("<") else _COLUMN
    for match in pattern.finditer(line):
        if match[1] is not None:
            yield line[start : match.start()]
            yield match[1]
            start = match.end()
    yield line[start:]


def _sentences(text: str, language: str) -> Iterator[str]:
    start = 0
    for end in (*ends_of(text, language), len(text)):
        yield from _short(text[start:end])
        start = end


def _short(sentence: str) -> Iterator[str]:
    """The sentence, cut near the limit at a comma where there is one, else at a space, else anywhere."""
    while len(sentence) > MAX_SENTENCE_CHARACTERS:
        window = sentence[:MAX_SENTENCE_CHARACTERS]
        ends = [match.end() for match in _SOFT.finditer(window)]
        commas = [end for end in ends if window[:end].rstrip()[-1:] in ",;:，；：、"]
        late = [end for end in commas if end > MAX_SENTENCE_CHARACTERS // 3]
        cut = (late or ends or [len(window)])[-1]
        yield sentence[:cut]
        sentence = sentence[cut:]
    if sentence:
        yield sentence
