"""Documents that somebody brings: text, Markdown, PDF, Word and web pages become one value, pages of paragraphs.

Nothing that arrives is trusted: a file is read by a child (`__main__`) within limits, and what is wrong with it is a
sentence that begins with its name.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from engine.errors import InputError, TooLargeError
from engine.jobs import apart
from engine.jobs.apart import about, line
from engine.messages import Text, read

Kind = Literal["heading", "paragraph", "list", "table"]
ENDINGS = (".pdf", ".docx", ".md", ".txt", ".html", ".htm", ".markdown", ".text")
"""Of the files that can be brought."""
MAX_BYTES = 50 * 2**20
"""Of a file."""
MAX_PAGES = 2_000
MAX_CHARACTERS = 3_000_000
"""Of all texts of a document: about half a million words."""
MAX_TITLE_CHARACTERS = 120
GAP = "\n\n"
"""Between the paragraphs of a page, where it is one text."""


@dataclass(frozen=True)
class Paragraph:
    """A piece of a page without line feeds of its layout; a table's is one row, its cells with " | " between.

    `level` is a heading's, from 1, or how deep a list's item stands, from 0.
    """

    text: str
    kind: Kind = "paragraph"
    level: int = 0


@dataclass(frozen=True)
class Page:
    """A page by its number in the file, from 1."""

    number: int
    paragraphs: tuple[Paragraph, ...]

    @property
    def text(self) -> str:
        """The whole page; places of passages and answers are characters of this."""
        return GAP.join(one.text for one in self.paragraphs)


@dataclass(frozen=True)
class Document:
    """What a file holds. Where its kind has no pages (`has_pages`), all of it is one page."""

    title: str
    pages: tuple[Page, ...]
    has_pages: bool = False
    notes: tuple[Text, ...] = ()
    """What was guessed or could not be read."""

    @property
    def paragraphs(self) -> Iterator[Paragraph]:
        """Of all pages, in their order."""
        return (one for page in self.pages for one in page.paragraphs)

    @property
    def characters(self) -> int:
        return sum(len(one.text) for one in self.paragraphs)

    @property
    def words(self) -> int:
        """Between spaces; of Chinese and Japanese two letters count as a word."""
        return sum(estimate_words(one.text) for one in self.paragraphs)

    def as_json(self) -> dict[str, Any]:
        """For what is kept; `document_of` is the way back."""
        pages = [_page_as_json(page) for page in self.pages]
        return _facts(self) | {"pages": pages}


def document_of(values: dict[str, Any]) -> Document:
    """A document from its JSON."""
    return Document(
        values["title"], tuple(map(_page_of, values["pages"])), values["has_pages"], tuple(map(read, values["notes"]))
    )


def estimate_words(text: str) -> int:
    """About how many words a reader finds: between spaces, and of Chinese and Japanese two letters as one.

    A length that people set or are told is counted as word processors do (`applications/extracts.py`).
    """
    han = sum("\u3040" <= letter <= "\u9fff" for letter in text)
    return len(text.split()) + han // 2


def read_document(content: bytes, name: str) -> Document:
    """What a file holds, read by a child of its own.

    Raises InputError, UnsupportedError or TooLargeError for what cannot be read, BusyError where others are being read.
    """
    with about(name):
        check_bytes(len(content))
    return apart.ask_about("engine.documents", content, name, _Pages()).document


def check_bytes(size: int) -> None:
    """Raise InputError or TooLargeError for a file of so many bytes."""
    if not size:
        raise InputError("is empty.")
    if size > MAX_BYTES:
        raise TooLargeError(
            "has {size:,.0f} MB; the limit is {limit:,.0f} MB. Bring a part of it.",
            size=size / 2**20, limit=MAX_BYTES / 2**20,
        )  # fmt: skip


def check_pages(count: int) -> None:
    """Raise TooLargeError for a document of so many pages."""
    if count > MAX_PAGES:
        raise TooLargeError(
            "has {count:,} pages; the limit is {limit:,}. Bring a part of it.", count=count, limit=MAX_PAGES
        )


@dataclass
class _Pages(apart.Answer):
    """A document, as its reader tells of it."""

    @property
    def document(self) -> Document:
        return document_of(self.told | {"pages": map(json.loads, self.pieces)})


def lines_of(document: Document) -> Iterator[bytes]:
    """A document as a child says it."""
    yield line(_facts(document))
    yield from (line(_page_as_json(page)) for page in document.pages)


def _facts(document: Document) -> dict[str, Any]:
    notes = [note.as_json() for note in document.notes]
    return {"title": document.title, "has_pages": document.has_pages, "notes": notes}


def _page_as_json(page: Page) -> list[Any]:
    return [page.number, [[one.kind, one.level, one.text] for one in page.paragraphs]]


def _page_of(values: list[Any]) -> Page:
    number, paragraphs = values
    return Page(number, tuple(Paragraph(text, kind, level) for kind, level, text in paragraphs))
