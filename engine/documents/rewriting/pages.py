"""PDFs: their text by paragraphs; what is written is a Word document, or a text file, with the words anew."""

from __future__ import annotations

import io
from collections.abc import Sequence

from engine.documents.pdf import read_pdf
from engine.documents.rewriting import Made, Options, Unit
from engine.documents.rewriting.plain import LETTER, short
from engine.messages import Text


class Pages:
    """The text of a PDF."""

    def __init__(self, content: bytes, options: Options) -> None:
        document = read_pdf(content)
        self.ending = ".txt" if options.output.strip(".") == "txt" else ".docx"
        self.notes: list[Text] = list(document.notes)
        self.parts = [
            (page.number, paragraph.kind, paragraph.level, list(short(paragraph.text)))
            for page in document.pages for paragraph in page.paragraphs
        ]  # fmt: skip
        self.units = [Unit(piece) for *_, pieces in self.parts for piece in pieces if LETTER.search(piece)]

    def written(self, made: Sequence[Made]) -> bytes:
        """A document of the same pages, headings and paragraphs."""
        ready = iter(made)
        texts = [
            "".join(next(ready).text + " " if LETTER.search(piece) else piece for piece in pieces).strip()
            for *_, pieces in self.parts
        ]
        return self._as_text(texts) if self.ending == ".txt" else self._as_word(texts)

    def _as_text(self, texts: Sequence[str]) -> bytes:
        out, last = "", 0
        for (number, *_), text in zip(self.parts, texts, strict=True):
            out += ("\f" if last and number != last else "") + f"{text}\n\n"
            last = number
        return out.rstrip("\n").encode() + b"\n"

    def _as_word(self, texts: Sequence[str]) -> bytes:
        import docx

        document, last = docx.Document(), 0
        for (number, kind, level, _), text in zip(self.parts, texts, strict=True):
            if last and number != last:
                document.add_page_break()
            last = number
            if kind == "heading":
                document.add_heading(text, min(9, max(1, level)))
            else:
                document.add_paragraph(text.lstrip("•*- "), style="List Bullet" if text[:1] in "•*-" else None)
        file = io.BytesIO()
        document.save(file)
        return file.getvalue()
