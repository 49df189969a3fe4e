"""Documents cut into passages that overlap: what is searched, and small enough for a reader to read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from engine.documents import GAP, Document, Page, estimate_words
from engine.documents.sentences import sentences_of

WORDS, OVERLAP_WORDS = 130, 25
"""Of a passage, and of its end that the next one begins with; both in whole sentences."""
MAX_SENTENCE_WORDS = 60
"""Longer ones, such as tables without an end, are cut between words."""


@dataclass(frozen=True)
class Passage:
    """A stretch of a page: `page.text[start:end]` is its text.

    `page` is the page's number, 0 in a document without pages; `heading` is the last one before it.
    """

    document: str
    title: str
    page: int
    start: int
    end: int
    text: str
    heading: str = ""

    @property
    def searched(self) -> str:
        """What is looked through: the text under its heading."""
        return self.text if not self.heading or self.heading in self.text else f"{self.heading}\n{self.text}"


def passages_of(document: Document, id: str = "") -> list[Passage]:
    """All passages of a document, in its order; none crosses a page."""
    heading, found = "", []
    for page in document.pages:
        headings = _headings(page)
        for start, end in _cut(page.text):
            heading = next((text for at, text in reversed(headings) if at <= start), heading)
            number = page.number if document.has_pages else 0
            found.append(Passage(id, document.title, number, start, end, page.text[start:end], heading))
        heading = headings[-1][1] if headings else heading
    return found


def _headings(page: Page) -> list[tuple[int, str]]:
    """Where each heading of a page begins, and what it says."""
    at, found = 0, []
    for one in page.paragraphs:
        if one.kind == "heading":
            found.append((at, one.text))
        at += len(one.text) + len(GAP)
    return found


def _cut(text: str) -> Iterator[tuple[int, int]]:
    """Places of passages of about equal length, which begin and end where sentences do."""
    places = [place for found in sentences_of(text) for place in _short(text, *found)]
    words = [estimate_words(text[start:end]) for start, end in places]
    count = max(1, -(-(sum(words) - OVERLAP_WORDS) // (WORDS - OVERLAP_WORDS)))
    aim = sum(words) / count + OVERLAP_WORDS * (count > 1)
    first = 0
    while True:
        last = _last(words, first, aim)
        yield places[first][0], places[last][1]
        if last + 1 == len(places):
            return
        first = max(first + 1, _overlapping(words, last + 1))


def _last(words: list[int], first: int, aim: float) -> int:
    """The last sentence of a passage that begins with that one."""
    last, held = first, words[first]
    while last + 1 < len(words) and held + words[last + 1] / 2 <= aim:
        last += 1
        held += words[last]
    return last


def _overlapping(words: list[int], after: int) -> int:
    """The sentence to go back to, so that a passage begins with the end of the one before it."""
    first, held = after, 0
    while first and held + words[first - 1] <= OVERLAP_WORDS:
        first -= 1
        held += words[first]
    return first


def _short(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """A sentence as it is, or cut between words where it is very long."""
    words = list(re.finditer(r"[\u3040-\u9fff]{1,2}|[^\s\u3040-\u9fff]+", text[start:end]))
    for first in range(0, len(words), MAX_SENTENCE_WORDS):
        last = words[min(first + MAX_SENTENCE_WORDS, len(words)) - 1]
        yield start + words[first].start(), start + last.end()
