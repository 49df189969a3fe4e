"""Word documents (docx): every paragraph's words anew; styles, lists, tables, pictures and notes stay where they are.

Bold, italics and links of a paragraph's runs are its spans; pictures, breaks and numbers of notes are its marks.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from engine.documents.rewriting import Made, Options, Unit
from engine.documents.rewriting.markup import numbers_of, spans_of
from engine.documents.rewriting.plain import LETTER
from engine.documents.word import BODY, DAMAGED, check_archive
from engine.errors import InputError, PeopleError
from engine.messages import Text

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
XML_SPACE = "{http://www.w3.org/XML/1998/namespace}space"
PARTS = re.compile(r"/word/(document|header\d*|footer\d*|footnotes|endnotes)\.xml")
"""What of a document holds text that is read."""
AROUND = {f"{W}{name}" for name in ("hyperlink", "ins", "moveTo", "smartTag", "customXml", "sdt", "sdtContent")}
"""What runs may stand in."""
UNSEEN = {f"{W}{name}" for name in ("lang", "noProof", "proofErr")}
"""Of a run's properties, what no reader sees."""
SIGNS = {f"{W}noBreakHyphen": "\u2011", f"{W}softHyphen": "\u00ad", f"{W}tab": "\t", f"{W}cr": "\n"}


@dataclass
class Piece:
    """Of a paragraph: text in one formatting, or a run that stands for itself."""

    run: Any
    link: Any
    text: str = ""
    is_object: bool = False


@dataclass
class Paragraph:
    """A paragraph with text, and its pieces; formattings are numbered, 0 the one of most of it."""

    element: Any
    pieces: list[Piece]
    looks: list[Piece] = field(default_factory=list)
    """A piece for each formatting."""
    unit: Unit = field(init=False)

    def __post_init__(self) -> None:
        sizes = Counter[str]()
        first: dict[str, Piece] = {}
        for piece in self.pieces:
            if not piece.is_object:
                sizes[_look(piece)] += len(piece.text.strip())
                first.setdefault(_look(piece), piece)
        order = [key for key, _ in sizes.most_common()]
        self.looks = [first[key] for key in order]
        text, spans, marks = "", [], []
        for piece in self.pieces:
            if piece.is_object:
                marks.append(len(text))
                continue
            number = order.index(_look(piece))
            spans += [(len(text), len(text) + len(piece.text), number)] if number and piece.text else []
            text += piece.text
        self.unit = Unit(text, spans_of(numbers_of(tuple(spans), len(text))), tuple(marks))


class Word:
    """A Word document."""

    ending = ".docx"

    def __init__(self, content: bytes, options: Options) -> None:
        import docx

        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                check_archive(archive)
            self.package = docx.Document(io.BytesIO(content)).part.package
            self.parts = [(part, _root(part)) for part in self.package.iter_parts() if PARTS.fullmatch(part.partname)]
        except (PeopleError, MemoryError):
            raise
        except Exception:  # a damaged archive makes the library raise nearly anything
            raise InputError(DAMAGED) from None
        if not any(part.partname == f"/{BODY}" for part, _ in self.parts):
            raise InputError(DAMAGED)
        found = (_paragraph(each) for _, root in self.parts for each in root.iter(f"{W}p"))
        self.paragraphs = [paragraph for paragraph in found if LETTER.search(paragraph.unit.text)]
        self.units = [paragraph.unit for paragraph in self.paragraphs]
        self.notes: list[Text] = []

    def written(self, made: Sequence[Made]) -> bytes:
        """The document with what was made of each paragraph."""
        for paragraph, one in zip(self.paragraphs, made, strict=True):
            _rewrite(paragraph, one)
        for part, root in self.parts:
            if not hasattr(part, "element"):
                part._blob = _bytes(root)
        file = io.BytesIO()
        self.package.save(file)
        return file.getvalue()


def _root(part: Any) -> Any:
    from docx.oxml.parser import parse_xml  # resolves no entities

    return part.element if hasattr(part, "element") else parse_xml(part.blob)


def _bytes(root: Any) -> bytes:
    from lxml import etree  # type: ignore[import-untyped]

    return bytes(etree.tostring(root, xml_declaration=True, encoding="UTF-8", standalone=True))


def _paragraph(element: Any) -> Paragraph:
    pieces = list(_pieces(element, None))
    return Paragraph(element, pieces)


def _pieces(parent: Any, link: Any) -> Iterator[Piece]:
    """Runs as pieces. What a field computes, such as a page's number, stands for itself."""
    depth = 0
    for child in parent:
        if child.tag == f"{W}r":
            kinds = [one.get(f"{W}fldCharType") for one in child.iter(f"{W}fldChar")]
            is_field = depth > 0 or "begin" in kinds
            depth = max(0, depth + kinds.count("begin") - kinds.count("end"))
            text = _text(child)
            if is_field or text is None:
                yield Piece(child, link, is_object=True)
            elif text:
                yield Piece(child, link, text)
        elif child.tag == f"{W}fldSimple":
            yield Piece(child, link, is_object=True)
        elif child.tag in AROUND:
            yield from _pieces(child, child if child.tag == f"{W}hyperlink" else link)


def _text(run: Any) -> str | None:
    """What a run says; None where it holds something else."""
    text = ""
    for child in run:
        if child.tag == f"{W}t":
            text += child.text or ""
        elif child.tag in SIGNS:
            text += SIGNS[child.tag]
        elif child.tag == f"{W}br" and child.get(f"{W}type") in (None, "textWrapping"):
            text += "\n"
        elif child.tag not in (f"{W}rPr", f"{W}lastRenderedPageBreak"):
            return None
    return text


def _look(piece: Piece) -> str:
    """What a reader sees of a run's formatting, and its link."""
    properties = piece.run.find(f"{W}rPr")
    seen = [] if properties is None else [one for one in properties if one.tag not in UNSEEN]
    return repr((sorted((one.tag, sorted(one.attrib.items())) for one in seen), id(piece.link)))


def _rewrite(paragraph: Paragraph, made: Made) -> None:
    """New runs in place of the old ones; what stands for itself moves to where it belongs now."""
    objects = [piece for piece in paragraph.pieces if piece.is_object]
    numbers = numbers_of(made.spans, len(made.text))
    anchor = _anchor(paragraph)
    around = {id(one): one for piece in paragraph.pieces for one in _around(piece.run)}
    for piece in paragraph.pieces:
        piece.run.getparent().remove(piece.run)
    marks = [min(mark, len(made.text)) for mark in made.marks]
    places = sorted(zip([*marks, *[len(made.text)] * len(objects)], objects, strict=False), key=lambda one: one[0])
    new: list[Any] = []
    for number, group in groupby(range(len(made.text)), lambda place: numbers[place]):
        letters = list(group)
        look = paragraph.looks[number] if number < len(paragraph.looks) else paragraph.looks[0]
        start = letters[0]
        for place, piece in [one for one in places if letters[0] <= one[0] <= letters[-1]]:
            new += _runs(look, made.text[start:place])
            new.append(piece.run)
            start = place
        new += _runs(look, made.text[start : letters[-1] + 1])
    new += [piece.run for place, piece in places if place >= len(made.text)]
    for element in new:
        anchor.addprevious(element)
    anchor.getparent().remove(anchor)
    for one in around.values():  # what stands around nothing any more
        if one.getparent() is not None and next(one.iter(f"{W}r"), None) is None:
            one.getparent().remove(one)


def _around(run: Any) -> Iterator[Any]:
    """What a run stands in, within its paragraph."""
    while (run := run.getparent()).tag in AROUND:
        yield run


def _anchor(paragraph: Paragraph) -> Any:
    """Where the first run stands in the paragraph itself."""
    element = paragraph.pieces[0].run
    while element.getparent() is not paragraph.element:
        element = element.getparent()
    anchor = element.makeelement(f"{W}r", {})
    element.addprevious(anchor)
    return anchor


def _runs(look: Piece, text: str) -> list[Any]:
    """A run that says the text in that formatting, in its link where it has one."""
    if not text:
        return []
    run = look.run.makeelement(f"{W}r", {})
    properties = look.run.find(f"{W}rPr")
    if properties is not None:
        run.append(deepcopy(properties))
        for language in run.iter(f"{W}lang"):  # the words are of another one now
            language.getparent().remove(language)
    for piece in re.findall(r"[^\n\t]+|[\n\t]", text):
        name = {"\n": "br", "\t": "tab"}.get(piece, "t")
        child = run.makeelement(f"{W}{name}", {XML_SPACE: "preserve"} if name == "t" else {})
        child.text = piece if name == "t" else None
        run.append(child)
    if look.link is None:
        return [run]
    link = look.link.makeelement(look.link.tag, dict(look.link.attrib))
    link.append(run)
    return [link]
