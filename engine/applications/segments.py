"""Cutting a text into sentences so that what lies between them can be put back exactly."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from engine.applications.code import is_code, opens_block
from engine.applications.literals import prose

MAX_SENTENCE_CHARACTERS = 400
"""Longer sentences are cut at a comma or space: small translators lose the thread."""

_CLOSERS = r"(?:[\"'”’“»)\]」』》）]|[\s\u00a0\u202f]»)*"
_OPENERS = r"[\"'“„«‘¿¡(\[—–\-\s\u00a0]*"
_PREFIX = re.compile(r"\s*(?:(?:[-*+•·–—>]|#{1,6}|\d{1,3}[.)、])\s+)*")
_END = re.compile(rf"(?<![。！？])[。！？]++[”’」』》）»\"]*\s*|(?<![.!?…؟।])[.!?…؟।]++{_CLOSERS}\s+")
_SPEECH_TAG = re.compile(r"[\u4e00-\u9fff]{0,3}(?:说|問|问|道|喊|叫)")
"""What follows Chinese speech and belongs to its sentence: “你来吗？”他问。"""
_GOES_ON = re.compile(rf"{_OPENERS}[a-zà-öø-ÿ]")
_INITIAL = re.compile(r"(?:(?<!\S)[a-z]|\b[A-Z])\.$")
_ORDINAL = re.compile(r"(?<!\S)\d{1,2}\.$")
_TITLE = re.compile(
    r"\b(?:Mr|Mrs|Ms|Dr|Prof|St|Gen|Sen|Lt|Col|Sgt|Capt|Rev|Mt|vs|cf|e\.g|i\.e|approx|MM|Mme|Mmes|Mlle|Hr|Fr|Dipl|Ing|bzw"
    r"|ca|evtl|ggf|inkl|Sr|Sra|Srta|Dña|Ud|Uds|EE|env)\.$"
)
_BEFORE_NUMBER = re.compile(
    r"\b(?:[Nn]o|[Nn]r|[Nn]úm|Fig|fig|[Vv]ol|pp?|[Aa]rt|Abs|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\.$"
)
_SOFT = re.compile(r"[,;:，；：、]\s*|\s+")
_PLAIN = re.compile(r"https?://\S+|www\.\S+|[^\s@]+@[^\s@]+\.\w+|[\W\d_]+")
"""A word without anything to translate: an address, a number, a sign."""


_LETTER = re.compile(r"[^\W\d_]")


@dataclass(frozen=True)
class Segment:
    """A sentence, and the text before it that is kept as it is. `text` is empty where there is nothing but that."""

    before: str
    text: str


def split(text: str, language: str = "en") -> list[Segment]:
    """Segments of a text: the concatenation of every `before` and `text` is the text itself.

    Lines, blank lines, indentation, bullets and numbering are kept; so are segments without a letter, addresses, and
    code: between lines of three backticks, and lines that are nothing else.
    In German a number with a point is taken for an ordinal (am 3. Mai).
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
        for sentence in _sentences(body[start:], language):
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


def _sentences(text: str, language: str) -> Iterator[str]:
    start = 0
    for end in _END.finditer(text):
        if _is_end(text, end, language):
            yield from _short(text[start : end.end()])
            start = end.end()
    if start < len(text):
        yield from _short(text[start:])


def _is_end(text: str, end: re.Match[str], language: str) -> bool:
    """Whether a sentence ends here: not behind an abbreviation, nor where it goes on in small letters."""
    if end[0][0] in "。！？":
        return not (end[0].rstrip()[-1] in "”」』" and _SPEECH_TAG.match(text, end.end()))
    if _GOES_ON.match(text, end.end()):
        return False
    if not end[0].startswith(".") or end[0].startswith(".."):
        return True
    so_far = text[max(0, end.start() - 12) : end.start() + 1]
    if _BEFORE_NUMBER.search(so_far):
        return not text[end.end() : end.end() + 1].isdigit()
    is_ordinal = language == "de" and _ORDINAL.search(so_far)
    return not (is_ordinal or _INITIAL.search(so_far) or _TITLE.search(so_far))


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
