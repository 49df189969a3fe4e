"""The page Summarize: two ways side by side, their sources, and what is not in the text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from benches import Bench
from streamlit.testing.v1 import AppTest

from engine.applications.summarize import SAMPLES
from tests.pages.test_pages import NASTY, click, drawn

Open = Callable[..., AppTest]


def test_a_text_is_shortened_in_two_ways(open_page: Open) -> None:
    app = click(open_page("summarize"), "Summarize")
    assert not app.exception and not app.error
    quoted, written = app.session_state["summary"], app.session_state["summary-beside-0"]
    assert quoted.result.is_quoted and 45 <= quoted.result.words <= 55 and not written.result.is_quoted
    assert quoted.text in drawn(app) and f"{quoted.result.words} words" in drawn(app)
    assert [one.label for one in app.expander].count("Where it comes from") == 2
    assert "<mark" in drawn(app), "chosen sentences are marked in the text"


def test_a_changed_length_asks_again_where_that_was_quick(open_page: Open) -> None:
    app = click(open_page("summarize", beside="nobody"), "Summarize")
    app.session_state["summary"].seconds = 0.1
    app.run()
    app.slider(key="words").set_value(100).run()
    answer = app.session_state["summary"]
    assert answer.request.words == 100 and 90 <= answer.result.words <= 110 and answer.visit == ""
    answer.seconds = 3.0
    app.slider(key="words").set_value(50).run()
    assert app.session_state["summary"].request.words == 100 and "For the settings before" in drawn(app)


def test_examples_bullets_and_a_reference(open_page: Open) -> None:
    app = open_page("summarize", beside="nobody")
    app.pills(key="summarize_example").set_value("Minutes").run()
    assert app.text_area(key="article").value == SAMPLES[1].text and app.toggle(key="bullets").value
    app.text_area(key="reference").set_value(SAMPLES[1].text)
    app = click(app, "Summarize")
    assert app.session_state["summary"].text.startswith("- ") and "ROUGE-1" in drawn(app)


@pytest.mark.parametrize("text", ["", "?!", NASTY])
def test_odd_texts_get_a_sentence_and_nothing_is_taken_for_markup(open_page: Open, text: str) -> None:
    app = open_page("summarize", beside="nobody")
    app.text_area(key="article").set_value(text)
    app = click(app, "Summarize")
    assert not app.exception and "<script>" not in drawn(app) and "<img" not in drawn(app)
    if text != NASTY:
        assert "Text" in drawn(app) and app.warning


def test_a_document_fills_the_text_in(open_page: Open, bench: Bench) -> None:
    app = open_page("summarize")
    app.get("file_uploader")[0].upload(
        "notes.md", b"# Title\n\nFirst things are here.\n\nAnd then some.", "text/markdown"
    ).run()
    assert (
        app.text_area(key="article").value == "Title\n\nFirst things are here.\n\nAnd then some." and not app.exception
    )
    app.get("file_uploader")[0].upload("notes.pdf", b"%PDF-1.7 broken", "application/pdf").run()
    assert app.warning and not app.exception


def test_who_presses_before_a_documents_text_stands_is_answered_for_it(open_page: Open) -> None:
    first, second = "First things are here.\n\nAnd then some.", "Other things are there.\n\nAnd no more."
    app = open_page("summarize", beside="nobody")
    before = app.text_area(key="article").value
    app.get("file_uploader")[0].upload("notes.md", first.encode(), "text/markdown")
    app = click(app, "Summarize")  # while it is being read
    assert app.session_state["summary"].request.text == first and app.text_area(key="article").value == first
    app.get("file_uploader")[0].set_value(("other.md", second.encode(), "text/markdown")).run()
    app.text_area(key="article").set_value(first)  # as a browser does that does not show the second yet
    app = click(app, "Summarize")
    assert app.session_state["summary"].request.text == second and app.text_area(key="article").value == second
    app.run().text_area(key="article").set_value(first)
    app = click(app, "Summarize")
    assert app.session_state["summary"].request.text == first, "what is typed later is meant"
    app.get("file_uploader")[0].set_value(("other.md", second.encode(), "text/markdown")).run()
    app.pills(key="summarize_example").set_value("Science news").run()
    assert app.text_area(key="article").value == before and not app.exception


def test_a_press_while_a_broken_document_is_read_asks_for_nothing(open_page: Open) -> None:
    app = open_page("summarize", beside="nobody")
    app.get("file_uploader")[0].upload("notes.pdf", b"%PDF-1.7 broken", "application/pdf")
    app = click(app, "Summarize")
    assert app.warning and "summary" not in app.session_state and not app.exception
    assert "summary" in click(app, "Summarize").session_state


def test_what_the_text_does_not_have_is_marked(open_page: Open, bench: Bench) -> None:
    app = click(open_page("summarize"), "Summarize")
    written: Any = app.session_state["summary-beside-0"]
    sentence = written.result.sentences[0]
    assert sentence.sources or "No sentence of the text says this." in drawn(app)
