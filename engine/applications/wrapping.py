"""Lines that somebody wrapped in mid-sentence: joined for a translator, and wrapped again as wide as they were."""

from __future__ import annotations

import re
from textwrap import wrap

from engine.applications.languages import SPACELESS

MIN_WIDTH, NARROW = 18, 40
"""Lines of fewer characters are no wrapped text; below the second they must look like prose besides."""
MIN_WORDS = 3
"""In a narrow line of prose, on average."""
_LITTLE = """
    a an the of to in on at by for from with and or but that which who as is are was has be before after because
    if when while than my your our their his her its this these de la le les des du un une et à en dans pour sur
    par avec que qui mais ou au aux est sont der die das den dem ein eine einen und zu mit von für auf im am aus
    bei nach dass ist sind el los las del y o con por para se su una em da do dos ao no na um uma com seu sua il
    lo gli di che per
"""
GOING_ON = frozenset(_LITTLE.split())
"""Words that no line of prose ends a thought with, and few verses break at."""
_OTHER = re.compile(r"\s*(?:[-*+•·–—>|#]|\d{1,3}[.)、]|```)|.*(?:\t|\S {3,}\S|\|)")
_FIELD = re.compile(r"\s*\S[^:]{0,30}:\s")
_WORD = re.compile(r"\s*(\S+)")


def unwrapped(text: str) -> tuple[str, dict[int, int]]:
    """The text with wrapped paragraphs as one line each, and how wide each of these lines was, by its number."""
    joined, is_fenced = "", False
    widths: dict[int, int] = {}
    for paragraph in re.split(r"(\n[^\S\n]*\n\s*?)(?=\S|\Z)", text):
        lines = paragraph.split("\n")
        is_fenced ^= paragraph.count("```") % 2 == 1
        if is_wrapped(lines) and not is_fenced:
            widths[joined.count("\n")] = max(map(len, lines))
            paragraph = " ".join([lines[0].rstrip(), *(line.strip() for line in lines[1:])])
        joined += paragraph
    return joined, widths


def is_wrapped(lines: list[str]) -> bool:
    """Whether each line but the last is as full as it could be, and a sentence goes on in the next one."""
    if len(lines) < 2 or any(not line.strip() or _OTHER.match(line) for line in lines):
        return False
    width = max(map(len, lines))
    firsts = [match[1] for line in lines[1:] if (match := _WORD.match(line))]
    is_full = all(len(line.rstrip()) + 1 + len(word) > width for line, word in zip(lines, firsts, strict=False))
    if width < MIN_WIDTH or not is_full or _is_verse(lines):
        return False
    return any(word[0].islower() for word in firsts) if width >= NARROW else _is_narrow_prose(lines, firsts)


def _is_narrow_prose(lines: list[str], firsts: list[str]) -> bool:
    """Whether short lines are sentences: they go on at every line's end that ends none, and are no list or form."""
    lasts = [line.split()[-1] for line in lines]
    words = sum(len(line.split()) for line in lines)
    if words < MIN_WORDS * len(lines) or sum(map(bool, map(_FIELD.match, lines))) > 1:
        return False
    breaks = [(last, first) for last, first in zip(lasts, firsts, strict=False) if last[-1] not in '.!?…:"”»)']
    leads = [last.lower() in GOING_ON for last, _ in breaks]
    is_going_on = all(lead or first[0].islower() for lead, (_, first) in zip(leads, breaks, strict=True))
    has_end = lasts[-1][-1] in '.!?…"”»)' and lines[0].lstrip()[0].isupper()
    return bool(breaks) and is_going_on and (has_end or any(leads) or any(first in GOING_ON for _, first in breaks))


def _is_verse(lines: list[str]) -> bool:
    """Whether most lines end in a rhyme, or with a comma."""
    ends = [re.sub(r"\W+", "", line.split()[-1]).casefold() for line in lines]
    near = [ends[max(0, place - 2) : place] + ends[place + 1 : place + 3] for place in range(len(ends))]
    rhymes = sum(any(_is_rhyme(end, other) for other in others) for end, others in zip(ends, near, strict=True))
    commas = sum(line.rstrip().endswith((",", ";")) for line in lines[:-1])
    return rhymes * 2 >= len(lines) or commas * 2 > len(lines)


def _is_rhyme(one: str, other: str) -> bool:
    return one != other and not {one, other} & GOING_ON and len(one) > 1 and one[-2:] == other[-2:]


def wrapped(text: str, widths: dict[int, int], language: str) -> str:
    """The translation of an unwrapped text, with the same lines wrapped."""
    lines = text.split("\n")
    for place, width in widths.items():
        if place < len(lines):
            lines[place] = _filled(lines[place], width // 2 if language in SPACELESS else width, language)
    return "\n".join(lines)


def _filled(line: str, width: int, language: str) -> str:
    indent = line[: len(line) - len(line.lstrip())]
    if language in SPACELESS:
        return "\n".join(line[start : start + width] for start in range(0, len(line), width))
    options = {"break_long_words": False, "break_on_hyphens": False, "subsequent_indent": indent}
    return "\n".join(wrap(line, width, initial_indent=indent, **options))  # type: ignore[arg-type]
