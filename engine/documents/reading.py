"""Which reader a file has: by its ending, and by its first bytes where these say otherwise."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import PurePosixPath

from engine.documents import ENDINGS, MAX_CHARACTERS, MAX_TITLE_CHARACTERS, Document, check_bytes, check_pages
from engine.documents.kinds import check_word, kind_of
from engine.documents.pdf import read_pdf
from engine.documents.plain import read_markdown, read_text
from engine.documents.web import read_html
from engine.documents.word import read_docx
from engine.errors import InputError, TooLargeError, UnsupportedError

READERS: dict[str, Callable[[bytes], Document]] = {
    ".txt": read_text,
    ".text": read_text,
    ".md": read_markdown,
    ".markdown": read_markdown,
    ".pdf": read_pdf,
    ".docx": read_docx,
    ".html": read_html,
    ".htm": read_html,
}


def read_content(content: bytes, name: str) -> Document:
    """The document in a file, read here. Raises InputError, UnsupportedError or TooLargeError without a subject."""
    check_bytes(len(content))
    if not content.strip(b" \t\r\n\0"):
        raise InputError("is empty.")
    document = _reader(content, name)(content)
    pages = tuple(page for page in document.pages if page.paragraphs)
    if not pages:
        raise InputError("holds no text.")
    check_pages(pages[-1].number)
    if document.characters > MAX_CHARACTERS:
        raise TooLargeError(
            "has {count:,} characters of text; the limit is {limit:,}. Bring a part of it.",
            count=document.characters, limit=MAX_CHARACTERS,
        )  # fmt: skip
    return replace(document, title=_title(document, name), pages=pages)


def _reader(content: bytes, name: str) -> Callable[[bytes], Document]:
    ending = PurePosixPath(name).suffix.lower()
    if content[:1024].lstrip().startswith(b"%PDF-"):
        return read_pdf
    if ending == ".docx" and content.startswith(b"PK"):
        return read_docx
    check_word(content, ending)
    if kind := kind_of(content):
        raise UnsupportedError(
            "is {kind}, whatever its name says. Bring text, Markdown, PDF, Word (docx) or HTML.", kind=kind
        )
    if ending == ".pdf":
        raise InputError("is no PDF, though its name says so. Save or download it anew.")
    if ending == ".docx":
        raise InputError("is no Word document, though its name says so. Save or download it anew.")
    if ending not in READERS:
        raise UnsupportedError("is of no known kind. Bring one of {kinds}.", kinds=list(ENDINGS))
    return READERS[ending]


def _title(document: Document, name: str) -> str:
    """The document's own title, its first heading, or the file's name without its ending."""
    heading = next((one.text for one in document.paragraphs if one.kind == "heading"), "")
    stem = PurePosixPath(re.split(r"[/\\]", name)[-1]).stem
    found = next((words for one in (document.title, heading, stem) if (words := " ".join(one.split()))), "?")
    return found if len(found) <= MAX_TITLE_CHARACTERS else found[: MAX_TITLE_CHARACTERS - 1] + "…"
