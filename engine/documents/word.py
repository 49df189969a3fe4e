"""Word documents (docx): headings, lists, tables and pages, from their XML; no entity in it is resolved."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from engine.documents import Document, Kind, Page, Paragraph
from engine.errors import InputError, TooLargeError, UnsupportedError

Element = Any
"""lxml's, which bears no types."""
BODY, STYLES, CORE = "word/document.xml", "word/styles.xml", "docProps/core.xml"
MAX_XML_BYTES, MAX_UNPACKED_BYTES, MAX_FILES = 64 * 2**20, 512 * 2**20, 10_000
"""Of one part, of all together, and of how many: pictures are never unpacked, but a bomb is refused as a whole."""
W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
SKIPPED = {"Fallback", "del", "moveFrom", "instrText", "pPr", "rPr"}
"""What says again what stands beside it, what was deleted, and what is no text."""
AROUND = {"sdt", "sdtContent", "ins", "moveTo", "customXml", "smartTag", "hyperlink", "body"}
"""What blocks may stand in."""
DAMAGED = "is a Word document that is damaged or cut off. Save or download it anew."


def read_docx(content: bytes) -> Document:
    """Raises InputError, TooLargeError, and UnsupportedError for another kind of archive."""
    from lxml.etree import XMLSyntaxError  # type: ignore[import-untyped]

    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            check_archive(archive)
            body = _parsed(archive, BODY)
            styles = _styles(_parsed(archive, STYLES)) if STYLES in archive.namelist() else {}
            title = _title(_parsed(archive, CORE)) if CORE in archive.namelist() else ""
    except (
        zipfile.BadZipFile, NotImplementedError, EOFError, zlib.error, struct.error, LookupError, ValueError, OSError,
        XMLSyntaxError, RuntimeError,
    ):  # fmt: skip
        raise InputError(DAMAGED) from None
    return _document(body, styles, title)


def check_archive(archive: zipfile.ZipFile) -> None:
    members = archive.infolist()
    if len(members) > MAX_FILES or sum(member.file_size for member in members) > MAX_UNPACKED_BYTES:
        raise TooLargeError(
            "unpacks to more than {limit:,.0f} MB. Bring a part of it.", limit=MAX_UNPACKED_BYTES / 2**20
        )
    if BODY not in archive.namelist():
        raise UnsupportedError(
            "is an archive, but no Word document. Save it as Word document (docx) or PDF, and bring that."
        )


def _too_large(limit: int) -> TooLargeError:
    return TooLargeError("unpacks to more than {limit:,.0f} MB. Bring a part of it.", limit=limit / 2**20)


def _parsed(archive: zipfile.ZipFile, name: str) -> Element:
    from lxml import etree  # type: ignore[import-untyped]

    if archive.getinfo(name).file_size > MAX_XML_BYTES:
        raise _too_large(MAX_XML_BYTES)
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True, remove_pis=True
    )
    return etree.fromstring(archive.read(name), parser)


@dataclass(frozen=True)
class _Style:
    kind: Kind = "paragraph"
    level: int = 0


def _styles(root: Element) -> dict[str, _Style]:
    """Styles of headings and lists by id; names are English in every language's Word."""
    found, bases = {}, {}
    for style in root.iter(f"{W}style"):
        id, name = str(style.get(f"{W}styleId")), _value(style.find(f"{W}name")).lower()
        bases[id] = _value(style.find(f"{W}basedOn"))
        outline = _value(style.find(f"{W}pPr/{W}outlineLvl"))
        if name == "title":
            found[id] = _Style("heading", 1)
        elif name.startswith("heading ") or outline.isdigit():
            level = name.removeprefix("heading ") if name.startswith("heading ") else str(int(outline) + 1)
            found[id] = _Style("heading", int(level) if level.isdigit() else 1)
        elif name.startswith("list "):
            found[id] = _Style("list")
    for id, base in bases.items():
        for _ in range(8):  # a style may go back to another in a circle
            if id in found or not base:
                break
            if base in found:
                found[id] = found[base]
            base = bases.get(base, "")
    return found


def _document(root: Element, styles: dict[str, _Style], title: str) -> Document:
    """Pages as Word laid them out the last time; one where it never did, and nobody broke one."""
    mark = "lastRenderedPageBreak" if root.find(f".//{W}lastRenderedPageBreak") is not None else "br"
    pages: dict[int, list[Paragraph]] = {1: []}
    number = 1
    for block in _blocks(root):
        breaks = [one for one in block.iter(f"{W}{mark}") if mark != "br" or one.get(f"{W}type") == "page"]
        if breaks and not _text_before(block, breaks[0]):
            number, breaks = number + 1, breaks[1:]
        made = _rows(block) if block.tag == f"{W}tbl" else _paragraph(block, styles)
        pages.setdefault(number, []).extend(made)
        number += len(breaks)
    filled = tuple(Page(number, tuple(paragraphs)) for number, paragraphs in pages.items() if paragraphs)
    return Document(title, filled, number > 1)


def _blocks(parent: Element) -> Iterator[Element]:
    for child in parent:
        name = _name(child)
        if name in ("p", "tbl"):
            yield child
        elif name in AROUND:
            yield from _blocks(child)


def _paragraph(block: Element, styles: dict[str, _Style]) -> list[Paragraph]:
    text = _text(block)
    if not text:
        return []
    properties = block.find(f"{W}pPr")
    style = styles.get(_value(properties.find(f"{W}pStyle")) if properties is not None else "", _Style())
    if properties is not None and properties.find(f"{W}numPr") is not None and style.kind != "heading":
        depth = _value(properties.find(f"{W}numPr/{W}ilvl"))
        style = _Style("list", int(depth) if depth.isdigit() else 0)
    return [Paragraph(text, style.kind, style.level)]


def _rows(table: Element) -> list[Paragraph]:
    rows = []
    for row in table.iter(f"{W}tr"):
        cells = [" ".join(filter(None, (_text(one) for one in cell.iter(f"{W}p")))) for cell in row.iter(f"{W}tc")]
        if any(cells):
            rows.append(Paragraph(" | ".join(cells), "table"))
    return rows


def _text(block: Element) -> str:
    return " ".join("".join(_pieces(block)).split())


def _pieces(element: Element) -> Iterator[str]:
    for child in element:
        name = _name(child)
        if name == "t":
            yield child.text or ""
        elif name in ("tab", "br", "cr"):
            yield " "
        elif name == "noBreakHyphen":
            yield "-"
        elif name not in SKIPPED:
            yield from _pieces(child)


def _text_before(block: Element, mark: Element) -> bool:
    """Whether a block has text before a break in it."""
    for one in block.iter(f"{W}t", mark.tag):
        if one is mark:
            return False
        if (one.text or "").strip():
            return True
    return False


def _title(root: Element) -> str:
    found = root.find("{http://purl.org/dc/elements/1.1/}title")
    return (found.text or "") if found is not None else ""


def _name(element: Element) -> str:
    tag: Any = element.tag
    return str(tag).rpartition("}")[2] if isinstance(tag, str) else ""


def _value(element: Element | None) -> str:
    return str(element.get(f"{W}val") or "") if element is not None else ""
