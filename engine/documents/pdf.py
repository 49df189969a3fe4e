"""PDFs as documents: the text of each page, in paragraphs as far as lines tell them."""

from __future__ import annotations

import io
import logging
import re
from collections import Counter
from typing import Any

from engine.documents import Document, Page, check_pages
from engine.documents.lines import paragraphs_of
from engine.errors import InputError, PeopleError
from engine.messages import Text

DAMAGED = "is a PDF that is damaged or cut off. Save or download it anew."
MIN_CHARACTERS = 10
"""Of a page that has text; pages of scans have none, or a number."""
MIN_REPEATED_PAGES, REPEATED_SHARE = 4, 0.6
"""From so many pages on a first or last line that is on this share of them is a running head, not text."""
MAX_NAMED = 8
NAME = re.compile(r"\.(docx?|tex|dvi|indd|pages|odt|html?|pdf)$|^(untitled|microsoft word)\b", re.IGNORECASE)


def read_pdf(content: bytes) -> Document:
    """Raises InputError for an encrypted, damaged or scanned one, TooLargeError for one of too many pages."""
    import pypdf

    logging.getLogger("pypdf").setLevel(logging.ERROR)
    try:
        reader = pypdf.PdfReader(io.BytesIO(content), strict=False)
        if reader.is_encrypted:
            _open(reader)
        check_pages(len(reader.pages))
        texts = [_text(page) for page in reader.pages]
        title = str(reader.metadata.title or "") if reader.metadata else ""
    except (PeopleError, MemoryError):
        raise
    except Exception:  # a damaged file makes the library raise nearly anything
        raise InputError(DAMAGED) from None
    if not texts:
        raise InputError(DAMAGED)
    return _document(title, texts)


def _open(reader: Any) -> None:
    """Unlock what is only locked against changes. Raises InputError."""
    import pypdf

    try:
        if reader.decrypt(""):
            return
    except (pypdf.errors.DependencyError, pypdf.errors.PdfReadError, NotImplementedError):
        pass
    raise InputError("is a PDF with a password. Save it without one, and bring that.")


def _text(page: Any) -> str | None:
    """A page's text; None where it cannot be read."""
    try:
        return str(page.extract_text()).encode("utf-8", "replace").decode()
    except MemoryError:
        raise
    except Exception:
        return None


def _document(title: str, texts: list[str | None]) -> Document:
    if all(text is None for text in texts):
        raise InputError(DAMAGED)
    bare = [number for number, text in enumerate(texts, 1) if text is not None and len(text.strip()) < MIN_CHARACTERS]
    if len(bare) + texts.count(None) == len(texts) and max(len((text or "").strip()) for text in texts) < 2:
        raise InputError(
            "is a PDF of {count:,} pages without text, perhaps a scan. Bring one with text, as text recognition (OCR) "
            "makes it.", count=len(texts),
        )  # fmt: skip
    lines = _without_heads([(text or "").split("\n") for text in texts])
    pages = tuple(Page(number, tuple(paragraphs_of(each))) for number, each in enumerate(lines, 1))
    return Document(_sensible(title), pages, True, _notes(texts, bare))


def _notes(texts: list[str | None], bare: list[int]) -> tuple[Text, ...]:
    found = []
    if bare:
        found.append(Text("Pages without text, perhaps pictures: {pages}.", pages=_named(bare)))
    if broken := [number for number, text in enumerate(texts, 1) if text is None]:
        found.append(Text("Pages that could not be read: {pages}.", pages=_named(broken)))
    return tuple(found)


def _named(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers[:MAX_NAMED])) + (" …" if len(numbers) > MAX_NAMED else "")


def _without_heads(pages: list[list[str]]) -> list[list[str]]:
    """Pages without a head or foot that runs through them, in which numbers may differ."""
    pages = [_stripped(lines) for lines in pages]
    if len(pages) < MIN_REPEATED_PAGES:
        return pages
    for place in (0, -1):
        counts = Counter(_shape(lines[place]) for lines in pages if lines)
        shape, count = counts.most_common(1)[0] if counts else ("", 0)
        if count >= REPEATED_SHARE * len(pages):
            pages = [_without(lines, place, shape) for lines in pages]
    return pages


def _without(lines: list[str], place: int, shape: str) -> list[str]:
    """Lines without the first or last where it has that shape."""
    if not lines or _shape(lines[place]) != shape:
        return lines
    return _stripped(lines[1:] if place == 0 else lines[:-1])


def _shape(line: str) -> str:
    return re.sub(r"\d+", "0", line.strip())


def _stripped(lines: list[str]) -> list[str]:
    """Without empty lines at both ends."""
    full = [number for number, line in enumerate(lines) if line.strip()]
    return lines[full[0] : full[-1] + 1] if full else []


def _sensible(title: str) -> str:
    """A title that says something: programs write their own names and paths there."""
    is_name = re.search(
        r"\.(docx?|tex|dvi|indd|pages|odt|html?|pdf)$|^(untitled|microsoft word)\b", title, re.IGNORECASE
    )
    return "" if is_name or not re.search(r"[^\W\d_]{2}", title) else title
