"""Files that are broken, locked or bombs, on each page that takes files: a sentence, and nothing is lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from benches import Bench
from documents.files import bomb, docx, encrypted, of_many, paragraph, pdf
from fakes import HOST
from streamlit.testing.v1 import AppTest

from engine.jobs.files import desk
from tests.pages.test_files import ended, kept_in
from tests.pages.test_pages import click, drawn

Open = Callable[..., AppTest]
PAGE = [["The harbour of Lindholm was built in 1742."]]


BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "cut.docx": (lambda: docx(paragraph("x" * 5000))[:-300], "damaged or cut off"),
    "cut.pdf": (lambda: pdf(PAGE)[:200], "damaged or cut off"),
    "locked.pdf": (lambda: encrypted(pdf(PAGE), "secret"), "with a password"),
    "bomb.docx": (lambda: bomb(65), "unpacks to more than 64 MB"),
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


TRANSLATED = {
    **{name: BAD[name] for name in BAD if name != "bomb.docx"},
    "bomb.docx": (lambda: bomb(513), "unpacks to more than 512 MB"),
    "times.srt": (lambda: b"1\n00:00:aa,000 --> 00:00:03,500\nHello\n", "these times cannot be read"),
    "back.srt": (lambda: b"1\n00:00:05,000 --> 00:00:03,500\nHello\n", "these times"),
}


def test_translate_says_why_and_keeps_what_was_done(open_page: Open, bench: Bench, tmp_path: Path) -> None:
    with kept_in(bench, tmp_path):
        app = open_page("translate", input="file", **{"from": "en", "to": "fr"})
        for name, (content, words) in {"good.csv": (lambda: b"It rains.\nIt snows.\n", ""), **TRANSLATED}.items():
            app.file_uploader(key="translate_file").upload(name, content()).run()
            app = click(app, "Translate the file")
            ended(bench, "translate")
            app = app.run()
            bad, *before = desk.jobs_of(bench.house, "translate", HOST)
            assert bad.title == name and bad.state == ("failed" if words else "finished") and not app.exception
            assert words in drawn(app), name
        assert before[-1].title == "good.csv" and desk.result_path(before[-1]).read_bytes().count(b"\n") == 2
        assert "Download good\\.fr\\.csv" in [button.label for button in app.get("download_button")]


JUDGED = {
    "open.csv": (b'id,text\n1,"abc\n2,def\n', "a quote is opened and never closed"),
    "head.csv": (b"id,text\n", "holds no text"), "cut.json": (b'[{"text": "good"}, {"te', "this is not JSON"),
    "picture.csv": (b"\x89PNG\r\n\x1a\n", "is a picture"), "empty.txt": (b" \n ", "holds no text"),
}  # fmt: skip


def test_sentiment_says_why_and_keeps_what_was_done(open_page: Open, bench: Bench, tmp_path: Path) -> None:
    with kept_in(bench, tmp_path):
        app = open_page("sentiment", rows="file")
        for name, (content, words) in {"good.csv": (b"It is good.\nIt is bad.\n", ""), **JUDGED}.items():
            app.file_uploader(key="review_file").upload(name, content).run()
            if any(button.label == "Judge the file" for button in app.button):  # of a table columns are asked first
                app = click(app, "Judge the file")
                ended(bench, "sentiment")
                app = app.run()
            assert words in drawn(app) and not app.exception, name
            assert "Download good\\.judged\\.csv" in [button.label for button in app.get("download_button")], name
