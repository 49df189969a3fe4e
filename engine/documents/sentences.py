"""Where the sentences of a text end, as a reader would say: the one place that knows abbreviations and quotes."""

from __future__ import annotations

import re
from collections.abc import Iterator

_CLOSERS = r"(?:[\"'”’“»)\]」』》）*]|~~|[\s\u00a0\u202f]»)*"
_OPENERS = r"[\"'“„«‘¿¡(\[—–\-\s\u00a0]*"
_END = re.compile(rf"(?<![。！？])[。！？]++[”’」』》）»\"]*\s*|(?<![.!?…؟।])[.!?…؟।]++{_CLOSERS}\s+")
_SPEECH_TAG = re.compile(r"[\u4e00-\u9fff]{0,3}(?:说|問|问|道|喊|叫)")
"""What follows Chinese speech and belongs to its sentence: “你来吗？”他问。"""
_GOES_ON = re.compile(rf"{_OPENERS}[a-zà-öø-ÿ]")
_INITIAL = re.compile(r"(?:(?<!\S)[a-z]|\b[A-Z])\.$")
_ORDINAL = re.compile(r"(?<!\S)\d{1,2}\.$")
_TITLE = re.compile(
    r"\b(?:Mr|Mrs|Ms|Dr|Prof|St|Gen|Sen|Lt|Col|Sgt|Capt|Rev|Mt|vs|cf|e\.g|i\.e|approx|MM|Mme|Mmes|Mlle|Hr|Fr|Dipl|Ing|bzw"
    r"|d\.h|ca|evtl|ggf|inkl|Sr|Sra|Srta|Dña|Ud|Uds|EE|env)\.$"
)
_BEFORE_NUMBER = re.compile(
    r"\b(?:[Nn]o|[Nn]r|[Nn]úm|Fig|fig|[Vv]ol|pp?|[Aa]rt|Abs|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\.$"
)
_LINE = re.compile(r"[^\n]+")


def sentences_of(text: str, language: str = "") -> list[tuple[int, int]]:
    """Where each sentence of a text begins and ends, without the space around it; lines end one."""
    found = []
    for line in _LINE.finditer(text):
        start = line.start()
        for end in (*(line.start() + end for end in ends_of(line[0], language)), line.end()):
            body = text[start:end]
            if body.strip():
                found.append((start + len(body) - len(body.lstrip()), start + len(body.rstrip())))
            start = end
    return found


def ends_of(line: str, language: str = "") -> Iterator[int]:
    """Where the sentences of a line end, the space behind them included; not the line's own end.

    In German, and where nobody knows the language, a small number with a point is an ordinal (am 3. Mai).
    """
    return (end.end() for end in _END.finditer(line) if _is_end(line, end, language))


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
    is_ordinal = language in ("de", "") and _ORDINAL.search(so_far)
    return not (is_ordinal or _INITIAL.search(so_far) or _TITLE.search(so_far))
