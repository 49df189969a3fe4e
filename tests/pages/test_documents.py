"""The page Answer over documents."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from benches import Bench, embedded_models
from fakes import FakeBackend
from streamlit.testing.v1 import AppTest

from engine.documents import Document, Page, Paragraph
from engine.messages import Text
from engine.requests import Generation
from pages.parts import engine as parts_engine
from tests.pages.test_pages import click, drawn

Open = Callable[..., AppTest]
HARBOUR = "The harbour of Lindholm was built in 1742. <script>alert(1)</script> It served the herring fleet."
OVER = {"answer_place": "documents", "answer_style": "quote"}


def bring(bench: Bench, *texts: str, title: str = "Report") -> str:
    pages = tuple(Page(n, (Paragraph(text),)) for n, text in enumerate(texts, 1))
    document = Document(title, pages, True, (Text("Pages without text, perhaps pictures: {pages}.", pages="3"),))
    return bench.house.documents.add("home", document, "report.pdf").id


def ask(app: AppTest, question: str) -> AppTest:
    app.text_input(key="question").set_value(question)
    return click(app, "Find the answer")


def test_without_documents_nothing_can_be_asked(open_page: Open) -> None:
    app = open_page("answer", **OVER)
    assert not app.exception and "No documents yet" in drawn(app)
    assert next(one for one in app.button if one.label == "Find the answer").disabled


def test_an_answer_stands_on_its_page_with_its_passages(open_page: Open, bench: Bench) -> None:
    id = bring(bench, "Music is played.", HARBOUR)
    app = open_page("answer", **OVER)
    assert "2 pages" in drawn(app) and "perhaps pictures" in drawn(app)
    assert bench.house.indexing.wait([id], 30)  # begun by the page
    app = ask(app, "Where is Lindholm?")
    words = drawn(app)
    assert not app.exception and "Report, page 2" in words and "Lindholm</mark>" in words
    assert "<script>" not in words and "Score" in words and "meaning" in words
    app = ask(app, "And where is music?")
    assert "Asked as: Where is Lindholm? Lindholm" in drawn(app)


def test_documents_that_are_left_out_are_not_asked(open_page: Open, bench: Bench) -> None:
    kept, other = bring(bench, HARBOUR), bring(bench, "The tower of Lindholm.", title="Other")
    app = open_page("answer", **OVER)
    app.checkbox(key=f"asked-{other}").uncheck().run()
    app = ask(app, "Where is Lindholm?")
    assert app.session_state["found"].request.documents == [kept]


def test_a_press_holds_while_an_index_is_finished(
    open_page: Open, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = bring(bench, HARBOUR)
    app = open_page("answer", **OVER)
    assert bench.house.indexing.wait([id], 30)
    done, told = bench.house.indexing.progress("home", id), iter(["working"])
    monkeypatch.setattr(
        bench.house.indexing, "progress", lambda *_: replace(done, state=next(told, done.state))
    )  # at work as the run of the press begins, and done as the list is drawn, which draws the page anew
    app = ask(app, "Where is Lindholm?")
    assert "Lindholm</mark>" in drawn(app) and next(told, None) is None


def test_a_written_answer_shows_what_was_refused(open_page: Open, bench: Bench) -> None:
    bring(bench, HARBOUR)
    app = ask(open_page("answer", answer_place="documents", answer_style="write"), "Where is the harbour of Lindholm?")
    assert not app.exception and app.session_state["found"].result.sentences
    assert "No answer that the documents bear out" in drawn(app) or "A model wrote this" in drawn(app)


def test_documents_are_deleted(open_page: Open, bench: Bench) -> None:
    one, other = bring(bench, HARBOUR), bring(bench, HARBOUR, title="Other")
    app = open_page("answer", **OVER)
    app.button(key=f"icon-delete-{one}").click().run()
    assert [kept.id for kept in bench.house.documents.of("home")] == [other] and not app.exception
    bring(bench, HARBOUR)
    app = click(app.run(), "Delete all")
    assert bench.house.documents.of("home") == [] and "No documents yet" in drawn(app)


def test_a_document_that_is_brought_twice_stands_once(open_page: Open, bench: Bench) -> None:
    app = open_page("answer", **OVER)
    app.file_uploader(key="documents_0").upload("notes.md", b"# Lindholm\n\nThe harbour.").run()
    assert "is here already" not in drawn(app)
    app.file_uploader(key="documents_1").upload("copy.md", b"# Lindholm\n\nThe harbour.").run()
    assert len(bench.house.documents.of("home")) == 1 and not app.exception
    assert "copy\\.md is here already, as Lindholm" in drawn(app)
    app.file_uploader(key="documents_2").upload("other.md", b"# Other\n\nThe tower.").run()
    assert len(bench.house.documents.of("home")) == 2 and "is here already" not in drawn(app)


def test_a_good_file_beside_a_bad_one_is_read_once(open_page: Open, bench: Bench) -> None:
    app = open_page("answer", **OVER)
    app.file_uploader(key="documents_0").set_value(
        [("a.md", b"# Lindholm\n\nThe harbour.", "text/markdown"), ("b.pdf", b"no PDF", "application/pdf")]
    ).run()
    app.run()
    assert len(bench.house.documents.of("home")) == 1 and "is here already" not in drawn(app)
    assert "b\\.pdf" in drawn(app) and not app.exception


def test_an_index_is_stopped_and_goes_on(open_page: Open, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.house.indexing, "_step", lambda work: work.ended.wait(0.01))  # none is ever finished
    id = bring(bench, HARBOUR)
    app = open_page("answer", **OVER)
    app.button(key=f"icon-stop-{id}").click().run()
    assert bench.house.indexing.progress("home", id).state == "stopped"
    app.button(key=f"icon-play_arrow-{id}").click().run()
    assert bench.house.indexing.progress("home", id).state in ("waiting", "working") and not app.exception


def test_what_was_right_is_kept_without_texts(open_page: Open, bench: Bench) -> None:
    bring(bench, HARBOUR)
    app = ask(open_page("answer", **OVER), "Where is Lindholm?")
    pills = next(one for one in app.get("button_group") if one.key and one.key.startswith("verdict-"))
    pills.set_value("wrong passage").run()
    (entry,) = bench.house.storage.listed("feedback")
    assert entry.value == {"page": "answer", "model": "answer-e5", "is_good": False, "reason": "wrong passage"}
    (field,) = [one for one in app.text_input if (one.key or "").startswith("verdict-")]
    field.set_value("it is of another town").run()
    (entry,) = bench.house.storage.listed("feedback")
    assert entry.value["reason"] == "wrong passage: it is of another town" and not app.exception


def test_questions_are_suggested_for_documents_and_for_a_passage(open_page: Open, bench: Bench) -> None:
    class Writer(FakeBackend):
        def _generate(self, job: Any) -> None:
            job.finish(Generation("Who was it that built Lindholm?", "stop", 1, 1, job.request.sampling.as_dict()))

    bench.plan["smollm2-135m-instruct"] = Writer()
    app = open_page("answer", passage="The harbour of Lindholm was built in 1742 by Karin Ostberg.")
    app = click(app, "Suggest questions")
    app = click(app, "Who was it that built Lindholm?")
    assert app.text_input(key="question").value == "Who was it that built Lindholm?" and not app.exception
    app.text_area(key="passage").set_value("Music is played in the sheds of the town.")
    app = click(app, "Find the answer")
    assert "Who was it that built Lindholm?" not in [button.label for button in app.button], "it is of another text"
    bring(bench, HARBOUR)
    app = click(open_page("answer", **OVER), "Suggest questions")
    assert "Who was it that built Lindholm?" in [button.label for button in app.button] and not app.exception
    app.session_state["suggested-code"] = app.session_state["documents-code"] = True
    app.run()
    lines = [code.value for code in app.code]
    assert any("/api/documents/questions" in line for line in lines) and not app.exception
    assert any("/api/documents?name=report.pdf" in line for line in lines)


def test_everything_that_is_kept_holds_documents_and_takes_them_along(open_page: Open, bench: Bench) -> None:
    from pages.parts import visits

    bring(bench, HARBOUR)

    def app() -> None:
        import streamlit as st

        from pages.parts import visits

        st.text(visits._everything())
        visits._forget_everything()

    shown = AppTest.from_function(app).run()
    assert json.loads(shown.text[0].value)["documents"][0]["title"] == "Report" and visits
    assert bench.house.documents.of("home") == []


def test_a_public_site_that_takes_no_files_says_so(monkeypatch: pytest.MonkeyPatch, open_page: Open) -> None:
    public = Bench(*embedded_models(), queue_length=64, is_public=True)
    monkeypatch.setattr(parts_engine, "open_house", lambda settings: public.house)
    app = open_page("answer", **OVER)
    assert not app.exception and "takes no documents" in drawn(app)
    public.house.close()
