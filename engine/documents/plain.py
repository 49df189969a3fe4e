"""Plain text and Markdown as documents."""

from __future__ import annotations

import re
import unicodedata

from engine.documents import Document, Kind, Page, Paragraph
from engine.documents.encoding import decoded
from engine.documents.lines import joined, paragraphs_of
from engine.errors import UnsupportedError
from engine.messages import Text

MAX_ODD_SHARE = 0.02
"""Of control characters in a text; what has more of them is none."""
FORM_FEED = "\f"
HEADING = re.compile(r" {0,3}(#{1,6})\s+(.*?)\s*#*\s*$")
UNDERLINE = re.compile(r" {0,3}(=+|-+)\s*$")
ITEM = re.compile(r"(\s*)(?:[-*+]|\d{1,9}[.)])\s+(.*)$")
FENCE = re.compile(r"\s{0,3}(```+|~~~+)")
TABLE = re.compile(r"\s*\|.*\|\s*$")
RULE = re.compile(r"\s*\|?[\s:|-]+\|?\s*$")
MARKS = (
    (re.compile(r"!\[([^\]]*)\]\([^)]*\)"), r"\1"),
    (re.compile(r"\[([^\]]*)\]\([^)]*\)"), r"\1"),
    (re.compile(r"(\*\*|__)(?=\S)(.+?)(?<=\S)\1"), r"\2"),
    (re.compile(r"(?<![\w*])([*_])(?=\S)([^*_]+?)(?<=\S)\1(?![\w*])"), r"\2"),
    (re.compile(r"`([^`]+)`"), r"\1"),
)
"""Markdown inside of a line, and what of it is text."""


def text_of(content: bytes) -> tuple[str, tuple[Text, ...]]:
    """A file's text, and what was guessed about its encoding. Raises InputError, UnsupportedError for what is none."""
    text, note = decoded(content)
    sample = text[:100_000]
    odd = sum(unicodedata.category(letter) in ("Cc", "Cn") for letter in sample if letter not in "\t\n\r\f")
    if odd > MAX_ODD_SHARE * len(sample):
        raise UnsupportedError("is no text, whatever its name says. Bring text, Markdown, PDF, Word (docx) or HTML.")
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n"), () if note is None else (note,)


def read_text(content: bytes) -> Document:
    """Paragraphs between empty lines; a form feed begins a page."""
    text, notes = text_of(content)
    parts = text.split(FORM_FEED)
    pages = tuple(Page(number, tuple(paragraphs_of(part.split("\n")))) for number, part in enumerate(parts, 1))
    return Document("", pages, len(pages) > 1, notes)


def read_markdown(content: bytes) -> Document:
    """Headings, lists, tables and paragraphs, without the marks inside of them."""
    text, notes = text_of(content)
    text = re.sub(r"\A---\n.*?\n(---|\.\.\.)\n", "", text, flags=re.DOTALL)  # front matter
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    blocks = _Blocks()
    for line in text.split("\n"):
        blocks.take(line)
    blocks.close()
    return Document("", (Page(1, tuple(blocks.found)),), notes=notes)


class _Blocks:
    """Paragraphs while lines come."""

    def __init__(self) -> None:
        self.found: list[Paragraph] = []
        self._open: list[str] = []
        self._kind: Kind = "paragraph"
        self._level, self._fence = 0, ""

    def take(self, line: str) -> None:
        """One line."""
        if self._fence:
            self._take_code(line)
        elif mark := FENCE.match(line):
            self.close()
            self._fence = mark[1][:3]
        elif heading := HEADING.match(line):
            self.close()
            self._add(heading[2], "heading", len(heading[1]))
        elif (under := UNDERLINE.match(line)) and self._open and self._kind == "paragraph":
            self._kind, self._level = "heading", 1 if under[1][0] == "=" else 2
            self.close()
        elif TABLE.match(line):
            self.close()
            self._take_row(line)
        elif item := ITEM.match(line):
            self.close("list", len(item[1].expandtabs(4)) // 2)
            self._open.append(item[2])
        elif not line.strip():
            self.close()
        else:
            self._open.append(re.sub(r"^\s*>+\s?", "", line))

    def close(self, kind: Kind = "paragraph", level: int = 0) -> None:
        """End what is open, and begin one of that kind."""
        self._add(joined([line.strip() for line in self._open]), self._kind, self._level)
        self._open, self._kind, self._level = [], kind, level

    def _take_code(self, line: str) -> None:
        if line.strip().startswith(self._fence):
            self._fence = ""
        elif line.strip():
            self.found.append(Paragraph(line.rstrip()))

    def _take_row(self, line: str) -> None:
        if not RULE.match(line):
            cells = [_unmarked(cell.strip()) for cell in line.strip().strip("|").split("|")]
            self.found.append(Paragraph(" | ".join(cells), "table"))

    def _add(self, text: str, kind: Kind, level: int) -> None:
        if text := _unmarked(text):
            self.found.append(Paragraph(text, kind, level))


def _unmarked(text: str) -> str:
    for pattern, kept in MARKS:
        text = pattern.sub(kept, text)
    return re.sub(r"\\([\\`*_{}\[\]()#+.!|<>~-])", r"\1", text).strip()
