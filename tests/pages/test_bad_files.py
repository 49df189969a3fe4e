"""Files that are broken, locked or bombs, on each page that takes documents: a sentence, and nothing is lost."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable

import pytest
from benches import Bench
from documents.files import docx, encrypted, of_many, paragraph, pdf
from streamlit.testing.v1 import AppTest

from tests.pages.test_pages import click, drawn

Open = Callable[..., AppTest]
PAGE = [["The harbour of Lindholm was built in 1742."]]


def bomb() -> bytes:
    """A Word document of 64 KB that unpacks to 65 MB."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", bytes(65 * 2**20))
    return file.getvalue()


BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "cut.docx": (lambda: docx(paragraph("x" * 5000))[:-300], "damaged or cut off"),
    "cut.pdf": (lambda: pdf(PAGE)[:200], "damaged or cut off"),
    "locked.pdf": (lambda: encrypted(pdf(PAGE), "secret"), "with a password"),
    "bomb.docx": (bomb, "unpacks to more than 64 MB"),
    "many.pdf": (lambda: of_many(10_000), "10,000 pages; the limit is 2,000"),
}


@pytest.mark.parametrize("name", BAD)
def test_answer_says_why_and_keeps_what_was_there(open_page: Open, bench: Bench, name: str) -> None:
    content, words = BAD[name]
    app = open_page("answer", answer_place="documents")
    app.file_uploader(key="documents_0").upload("good.pdf", pdf(PAGE)).run()
    (kept,) = bench.house.documents.of("home")
    app.file_uploader(key="documents_1").upload(name, content()).run()
    assert words in drawn(app) and not app.exception
    assert bench.house.documents.of("home") == [kept]
    app.text_input(key="question").set_value("Where is Lindholm?")
    app = click(app, "Find the answer")
    assert app.session_state["found"].result.answer == "Lindholm" and not app.exception


@pytest.mark.parametrize("name", BAD)
def test_summarize_says_why_and_keeps_the_text(open_page: Open, name: str) -> None:
    content, words = BAD[name]
    app = open_page("summarize", article="What stood here before. It is a text of two sentences.")
    app.get("file_uploader")[0].upload(name, content()).run()
    assert words in drawn(app) and not app.exception
    assert app.text_area(key="article").value == "What stood here before. It is a text of two sentences."
