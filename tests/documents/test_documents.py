"""Files become pages of paragraphs; each bad one gets its sentence."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable

import pytest
from documents.files import bomb, docx, encrypted, of_many, paragraph, pdf

import engine.documents as documents
from engine.documents import Document, Page, Paragraph, document_of, estimate_words, read_document
from engine.documents.reading import read_content
from engine.errors import InputError, PeopleError, TooLargeError, UnsupportedError

LINES = [
    "1. The harbour",
    "The harbour of Lindholm was built in 1742 by the engineer Karin Ostberg, after a",
    "storm had destroyed the wooden pier. For two centuries it served the her-",
    "ring fleet.",
    "Today about 90,000 visitors come every summer, most of them by ferry to the old",
    "town, where they stay.",
]
LOREM = "The quick brown fox jumps over the lazy dog near the river bank every single day."


def said(document: Document) -> list[tuple[str, str]]:
    return [(one.kind, one.text) for one in document.paragraphs]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", b"Hello there.\n\nSecond one.\fNext page."),
        ("a.md", b"# Title\n\nHello *there*."),
        ("a.html", b"<title>T</title><p>Hello<p>there"),
        ("a.pdf", pdf([LINES, ["Second page."]], "The Title")),
        ("a.docx", docx(paragraph("Hello", "berschrift1") + paragraph("there"))),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_child_reads_what_is_read_here(name: str, content: bytes) -> None:
    there, here = read_document(content, name), read_content(content, name)
    assert there == here and document_of(there.as_json()) == there


def test_a_pdf_has_pages_paragraphs_headings_and_its_title() -> None:
    found = read_content(pdf([LINES, ["Second page."]], "All of Lindholm"), "x.pdf")
    assert found.title == "All of Lindholm" and found.has_pages and [page.number for page in found.pages] == [1, 2]
    first = found.pages[0].paragraphs
    assert first[0] == Paragraph("1. The harbour", "heading", 1)
    assert "served the herring fleet." in first[1].text and first[2].text.startswith("Today")
    assert found.pages[0].text == "\n\n".join(one.text for one in first)


def test_heads_and_feet_that_run_through_a_pdf_are_left_out() -> None:
    pages = [["Annual report", f"{LOREM} {number}", f"Page {number} of 6"] for number in range(1, 7)]
    text = " ".join(one.text for one in read_content(pdf(pages), "x.pdf").paragraphs)
    assert "Annual" not in text and "Page" not in text and text.count("fox") == 6


def test_a_pdf_that_is_locked_against_changes_alone_is_read() -> None:
    assert said(read_content(encrypted(pdf([LINES]), ""), "x.pdf"))[0][1] == "1. The harbour"


def test_word_documents_have_headings_lists_tables_and_pages() -> None:
    row = "<w:tr>" + "".join(f"<w:tc>{paragraph(cell)}</w:tc>" for cell in ("Pier", "1742")) + "</w:tr>"
    body = "".join(
        (
            paragraph("Lindholm", "Mine"), paragraph("Odd", "Loop"),
            '<w:p><w:pPr><w:numPr><w:ilvl w:val="1"/></w:numPr></w:pPr><w:hyperlink><w:r><w:t>An item</w:t></w:r>'
            "</w:hyperlink></w:p>",
            f"<w:tbl>{row}</w:tbl>",
            f"<w:sdt><w:sdtContent>{paragraph('Inside')}</w:sdtContent></w:sdt>",
            '<w:p><w:del><w:r><w:delText>gone</w:delText></w:r></w:del><w:ins><w:r><w:t xml:space="preserve">come</w:t>'
            "</w:r></w:ins></w:p>",
            paragraph("Next page", before='<w:br w:type="page"/>'),
        )
    )  # fmt: skip
    found = read_content(docx(body), "x.docx")
    assert said(found) == [
        ("heading", "Lindholm"), ("paragraph", "Odd"), ("list", "An item"), ("table", "Pier | 1742"),
        ("paragraph", "Inside"), ("paragraph", "come"), ("paragraph", "Next page"),
    ]  # fmt: skip
    assert found.has_pages and [len(page.paragraphs) for page in found.pages] == [6, 1]
    assert next(iter(found.pages[0].paragraphs)).level == 1 and found.title == "Lindholm"


def test_entities_of_a_word_document_are_not_resolved() -> None:
    laughs = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>'
    content = docx(paragraph("x"))
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w") as new:
        xml = old.read("word/document.xml").decode().replace(">x<", ">before &b; after<")
        new.writestr("word/document.xml", laughs + xml)
    assert "ha" not in said(read_content(out.getvalue(), "x.docx"))[0][1]


def test_markdown() -> None:
    text = (
        "---\ntitle: x\n---\nThe *Harbour*\n===\n\n## Its `parts`\n- one [link](http://x)\n  - two\n    goes on\n\n"
        "| a | b |\n|---|---|\n| **1** | 2 |\n\n```py\ncode_here = 1\n```\n> quoted\nlines <!-- no -->\n"
    )
    assert said(read_content(text.encode(), "x.md")) == [
        ("heading", "The Harbour"), ("heading", "Its parts"), ("list", "one link"), ("list", "two goes on"),
        ("table", "a | b"), ("table", "1 | 2"), ("paragraph", "code_here = 1"), ("paragraph", "quoted lines"),
    ]  # fmt: skip


def test_web_pages() -> None:
    text = (
        "<html><head><title>A &amp; B</title><style>p{}</style></head><body><nav>menu</nav><h2>Head</h2>"
        "<p>One <b>bold</b>.<p>Two<ul><li>item<li><p>other</p></ul><table><tr><th>a<th>b</tr><tr><td>1</td><td>2</td>"
        "</tr></table><script>alert('x')</script>after<br>break</body>"
    )
    found = read_content(text.encode(), "x.html")
    assert found.title == "A & B" and said(found) == [
        ("heading", "Head"), ("paragraph", "One bold."), ("paragraph", "Two"), ("list", "item"), ("list", "other"),
        ("table", "a | b"), ("table", "1 | 2"), ("paragraph", "after"), ("paragraph", "break"),
    ]  # fmt: skip


def test_form_feeds_of_a_text_begin_pages_and_wrapped_lines_are_joined() -> None:
    lines = "\n".join(LINES[1:])
    found = read_content(f"{lines}\n\n* item\n* other\f{LOREM}".encode(), "x.txt")
    assert [page.number for page in found.pages] == [1, 2] and found.has_pages
    assert [kind for kind, _ in said(found)] == ["paragraph", "paragraph", "list", "list", "paragraph"]
    assert "herring fleet" in said(found)[0][1]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252", "cp1251"])
def test_encodings(encoding: str) -> None:
    words = "Привет, мир! Это гавань." if encoding == "cp1251" else "Über den Häfen von Ångström, à bientôt."
    found = read_content(words.encode(encoding), "x.txt")
    assert said(found) == [("paragraph", words)] and bool(found.notes) == encoding.startswith("cp")


def test_a_web_page_that_names_its_encoding() -> None:
    assert said(read_content('<meta charset="shift_jis"><p>港'.encode("shift_jis"), "x.html")) == [("paragraph", "港")]


BAD: list[tuple[str, Callable[[], bytes], type[PeopleError], str]] = [
    ("a.txt", lambda: b"", InputError, "is empty"),
    ("a.txt", lambda: b" \n ", InputError, "is empty"),
    ("a.md", lambda: b"<!-- nothing -->", InputError, "holds no text"),
    ("a.html", lambda: b"<script>x</script>", InputError, "holds no text"),
    ("a.txt", lambda: b"abc\0def" * 9, InputError, "at line 1: this holds zero bytes, so it is no text file"),
    ("a.txt", lambda: b"\x7fELF\x02\x01" + bytes(range(256)), UnsupportedError, "is a program, whatever its name"),
    ("a.txt", lambda: bytes(range(1, 32)) * 9, UnsupportedError, "is no text, whatever its name says"),
    ("a.txt", lambda: b"\x89PNG\r\n\x1a\n", UnsupportedError, "is a picture, whatever its name says"),
    ("a.exe", lambda: b"hello", UnsupportedError, "is of no known kind"),
    ("a.pdf", lambda: b"hello", InputError, "is no PDF, though its name says so"),
    ("a.pdf", lambda: pdf([LINES])[:200], InputError, "damaged or cut off"),
    ("a.pdf", lambda: pdf([LINES]).removesuffix(b"%%EOF\n"), InputError, "damaged or cut off"),
    ("a.pdf", lambda: encrypted(pdf([LINES]), "secret"), InputError, "is a PDF with a password"),
    ("a.pdf", lambda: pdf([[], []]), InputError, "is a PDF of 2 pages without text, perhaps a scan"),
    ("a.pdf", lambda: of_many(10_000), TooLargeError, "has 10,000 pages; the limit is 2,000"),
    ("a.docx", lambda: b"hello", InputError, "is no Word document, though"),
    ("a.docx", lambda: docx(paragraph("x" * 5000))[:-300], InputError, "is a Word document that is damaged"),
    ("a.docx", lambda: b"\xd0\xcf\x11\xe0" + b"x" * 99, InputError, "is a Word document with a password, or an old"),
    ("a.docx", lambda: docx("<w:p>"), InputError, "is a Word document that is damaged"),
    ("a.docx", lambda: bomb(65), TooLargeError, "unpacks to more than 64 MB"),
    ("a.zip", lambda: docx(paragraph("x")), UnsupportedError, "is a zip archive"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "error", "sentence"), BAD, ids=[f"{at}" for at in range(len(BAD))])
def test_bad_files(name: str, content: Callable[[], bytes], error: type[PeopleError], sentence: str) -> None:
    with pytest.raises(error) as raised:
        read_document(content(), name)
    assert str(raised.value).startswith(f"{name} {sentence}") or sentence in str(raised.value)
    assert type(raised.value) is error and raised.value.param == "file"


def test_pictures_among_pages_are_told() -> None:
    found = read_content(pdf([LINES, [], LINES]), "x.pdf")
    assert [page.number for page in found.pages] == [1, 3]
    assert str(found.notes[0]) == "Pages without text, perhaps pictures: 2."


def test_enormous_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MAX_BYTES", 2**20)
    with pytest.raises(TooLargeError, match=r"^a\.txt has 2 MB; the limit is 1 MB"):
        read_document(b"x" * 2**21, "a.txt")
    with pytest.raises(TooLargeError, match="characters of text; the limit is 3,000,000"):
        monkeypatch.undo()
        read_content(b"word " * 700_000, "a.txt")


def test_words_are_counted_in_every_script() -> None:
    assert estimate_words("one two") == 2 and estimate_words("港口建于一七") >= 3
    assert Document("", (Page(1, (Paragraph("a b"), Paragraph("c"))),)).words == 3
