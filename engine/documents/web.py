"""Web pages as documents: what stands on the page, without scripts and the way around the site."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from engine.documents import Document, Kind, Page, Paragraph
from engine.documents.plain import text_of

HIDDEN = {"script", "style", "noscript", "template", "svg", "nav", "iframe", "object", "select", "button", "form"}
"""What is not read."""
BLOCKS = {
    "p", "div", "section", "article", "main", "header", "footer", "aside", "blockquote", "pre", "figcaption", "figure",
    "dl", "dt", "dd", "address", "ul", "ol", "table", "tbody", "thead", "hr", "br", "body", "details", "summary",
}  # fmt: skip
"""What ends a paragraph."""
CHARSET = re.compile(rb"<meta[^>]{0,200}charset=[\"']?([\w-]{2,40})", re.IGNORECASE)


def read_html(content: bytes) -> Document:
    """Headings, lists, rows of tables and paragraphs, in the order of the page."""
    page = _Page()
    text, notes = text_of(_in_utf8(content))
    page.feed(text)
    page.close()
    page.end_block()
    return Document(page.title, (Page(1, tuple(page.found)),), notes=notes)


def _in_utf8(content: bytes) -> bytes:
    """The page in UTF-8 where it names another encoding that is known."""
    named = CHARSET.search(content[:4096])
    try:
        return content.decode(named[1].decode()).encode("utf-8", "replace") if named else content
    except (LookupError, UnicodeDecodeError):
        return content


class _Page(HTMLParser):
    """Paragraphs while tags come; what is never closed ends with the next block."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[Paragraph] = []
        self.title = ""
        self._pieces: list[str] = []
        self._cells: list[str] | None = None
        self._kind: Kind = "paragraph"
        self._level = self._depth = 0
        self._hidden = ""
        self._is_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._hidden:
            return
        if tag in HIDDEN:
            self._hidden = tag
        elif tag == "title":
            self._is_title = not self.title
        elif re.fullmatch("h[1-6]", tag):
            self.end_block("heading", int(tag[1]))
        elif tag == "li":
            self.end_block("list", max(0, self._depth - 1))
        elif tag == "tr":
            self.end_block()
            self._cells = []
        elif tag in ("td", "th"):
            self._end_cell()
        elif tag in BLOCKS and self._cells is None:
            self._depth += tag in ("ul", "ol")
            self.end_block(*(("list", max(0, self._depth - 1)) if self._kind == "list" and tag == "p" else ()))

    def handle_endtag(self, tag: str) -> None:
        if self._hidden:
            self._hidden = "" if tag == self._hidden else self._hidden
        elif tag == "title":
            self._is_title = False
        elif tag in ("td", "th"):
            self._end_cell()
        elif tag == "tr" and self._cells is not None:
            self._end_cell()
            row, self._cells = " | ".join(self._cells), None
            if row.strip(" |"):
                self.found.append(Paragraph(row, "table"))
        elif (tag in BLOCKS or tag == "li" or re.fullmatch("h[1-6]", tag)) and self._cells is None:
            self._depth -= self._depth > 0 and tag in ("ul", "ol")
            self.end_block()

    def handle_data(self, data: str) -> None:
        if self._is_title:
            self.title += data
        elif not self._hidden:
            self._pieces.append(data)

    def end_block(self, kind: Kind = "paragraph", level: int = 0) -> None:
        """Close what is open, and begin one of that kind."""
        if self._cells is None and (text := self._taken()):
            self.found.append(Paragraph(text, self._kind, self._level))
        self._kind, self._level = kind, level

    def _end_cell(self) -> None:
        text = self._taken()
        if self._cells is not None and text:
            self._cells.append(text)

    def _taken(self) -> str:
        text = " ".join("".join(self._pieces).split())
        self._pieces.clear()
        return text
