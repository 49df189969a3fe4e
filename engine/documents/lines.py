"""Paragraphs from lines as they were laid out: of a page of a PDF, or of a text that is wrapped."""

from __future__ import annotations

import re
from collections.abc import Sequence

from engine.documents import Paragraph

BULLET = re.compile(r"\s*(?:[•‣◦▪●·∙*+–—-]|\(?\d{1,3}[.)]|\(?[a-z][.)])\s+(?=\S)")
"""What begins an item of a list."""
NUMBERED = re.compile(r"(?:(?:chapter|section|part|appendix|chapitre|kapitel|capítulo)\s+)?"
                      r"(?:\d{1,2}(?:\.\d{1,2}){0,3}|[IVX]{1,5})[.:)]?\s+\S", re.IGNORECASE)  # fmt: skip
"""How a numbered heading begins."""
END = re.compile(r"[.!?:;…。！？：；][\"'”’»)\]]*\s*$")
MAX_HEADING_CHARACTERS, SHORT, LONG_LINE = 90, 0.75, 250
"""A line under this share of the widest ends a paragraph where a sentence ends; lines over so many characters are
paragraphs of their own."""


def paragraphs_of(lines: Sequence[str]) -> list[Paragraph]:
    """Paragraphs, items of lists and headings; hyphens at ends of lines are undone."""
    lines = [line.strip().replace("\0", "") for line in lines]
    width = _width(lines)
    found: list[Paragraph] = []
    open_lines: list[str] = []

    def close() -> None:
        if open_lines:
            found.append(_paragraph(open_lines))
            open_lines.clear()

    for place, line in enumerate(lines):
        after = lines[place + 1] if place + 1 < len(lines) else ""
        if not line:
            close()
        elif not open_lines and is_heading(line, after, width):
            found.append(Paragraph(line, "heading", _level(line)))
        else:
            if BULLET.match(line):
                close()
            open_lines.append(line)
            if width > LONG_LINE or (END.search(line) and len(line) < SHORT * width):
                close()
    close()
    return found


def is_heading(line: str, after: str, width: int) -> bool:
    """Whether a line that begins a paragraph looks like one of a few words above it."""
    if len(line) > min(MAX_HEADING_CHARACTERS, max(20, int(0.7 * width))) or END.search(line) or line[-1] in ",-–":
        return False
    words = [word for word in line.split() if any(map(str.isalpha, word))]
    if not words or len(words) > 12:
        return False
    is_written_so = line.isupper() or all(word[:1].isupper() for word in words if len(word) > 3)
    return bool(NUMBERED.match(line)) or (not after and len(words) <= 10) or (is_written_so and len(words) <= 8)


def joined(lines: Sequence[str]) -> str:
    """Lines as one: a hyphen before a small letter goes, and between Chinese letters no space comes."""
    text = ""
    for line in lines:
        if re.search(r"[^\W\d_]-$", text) and line[:1].islower():
            text = text[:-1] + line
        elif text and "\u3000" <= text[-1] <= "\uffef" and "\u3000" <= line[:1] <= "\uffef":
            text += line
        else:
            text += f" {line}" if text else line
    return " ".join(text.split())


def _paragraph(lines: Sequence[str]) -> Paragraph:
    mark = BULLET.match(lines[0])
    return Paragraph(joined(lines), "list" if mark and len(lines[0]) > mark.end() else "paragraph")


def _width(lines: Sequence[str]) -> int:
    """Characters of a full line: what nine in ten do not exceed."""
    lengths = sorted(len(line) for line in lines if line)
    return lengths[int(0.9 * (len(lengths) - 1))] if lengths else 0


def _level(line: str) -> int:
    number = re.match(r"\d+(?:\.\d+)*", line)
    return number[0].count(".") + 1 if number else 1
