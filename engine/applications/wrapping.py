"""Lines that somebody wrapped in mid-sentence: joined for a translator, and wrapped again as wide as they were."""

from __future__ import annotations

import re
from textwrap import wrap

from engine.applications.languages import SPACELESS

MIN_WIDTH = 40
"""Lines of fewer characters are verses, tables or lists rather than wrapped text."""
_OTHER = re.compile(r"\s*(?:[-*+•·–—>|#]|\d{1,3}[.)、]|```)|.*(?:\t|\S {3,}\S|\|)")
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
    if width < MIN_WIDTH:
        return False
    firsts = [match[1] for line in lines[1:] if (match := _WORD.match(line))]
    is_full = all(len(line.rstrip()) + 1 + len(word) > width for line, word in zip(lines, firsts, strict=False))
    return is_full and any(word[0].islower() for word in firsts)


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
