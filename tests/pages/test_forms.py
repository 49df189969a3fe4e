"""Write's forms and its chat: what is offered, what is shown of lines and tries, and turns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from benches import Bench
from fakes import FakeBackend
from streamlit.testing.v1 import AppTest

from engine.requests import Generation
from tests.pages.test_pages import NASTY, click, drawn

Open = Callable[..., AppTest]
LINES = ("Rain falls on the roof", "and wakes the dog by the door", "who listens, then sleeps")


class Poet(FakeBackend):
    """Says the line of a haiku that comes next; in a chat, how many turns it was given."""

    def _generate(self, job: Any) -> None:
        messages = job.request.messages
        begun = job.request.begun if messages and messages[-1].role == "assistant" else ""
        is_verse = "haiku" in " ".join(turn.content for turn in messages)
        text = LINES[begun.count("\n") % 3] if is_verse else f"{len(messages)} turns"
        job.emit(text)
        job.finish(Generation(text, "stop", 5, 7, job.request.sampling.as_dict(), 0.01, 50.0))


@pytest.fixture
def poet(bench: Bench) -> Poet:
    made = bench.plan["smollm2-135m-instruct"] = bench.plan["verse-smollm2"] = Poet()
    return made


def test_a_haiku_shows_syllables_and_that_it_is_kept(open_page: Open, poet: Poet) -> None:
    app = open_page("write", kind="poem")
    app.selectbox(key="form").set_value("haiku").run()
    app = click(app, "Write")
    assert not app.exception and app.session_state["draft"].result.verse.is_kept
    assert "5 syllables" in drawn(app) and "The form is kept" in drawn(app) and "24 candidates" in drawn(app)
    assert "more than planned" not in drawn(app)
    assert app.button(key="continue").disabled and LINES[2] in drawn(app)


def test_a_missed_form_says_in_which_line(open_page: Open) -> None:
    app = open_page("write", kind="poem", form="haiku", about="rain")
    app = click(app, "Write")
    assert not app.exception and "The form is missed" in drawn(app) and "Line 1" in drawn(app)
    assert "rounds more than planned" in drawn(app)


@pytest.mark.parametrize(
    ("kind", "language", "offered", "missing"),
    [("poem", "en", ["", "haiku", "couplet", "limerick", "sonnet"], "绝句"),
     ("poem", "de", ["", "haiku"], "Couplet"),
     ("poem", "zh", ["", "haiku", "quatrain5", "quatrain7"], "Sonnet"), ("story", "fr", ["", "chapters"], ""),
     ("lyrics", "en", ["", "song"], ""), ("slogan", "es", ["", "slogans"], "")],
)  # fmt: skip
def test_each_language_has_its_forms_and_the_others_are_named(
    open_page: Open, kind: str, language: str, offered: list[str], missing: str
) -> None:
    app = open_page("write", kind=kind, language=language)
    assert len(app.selectbox(key="form").options) == len(offered)
    assert (missing in drawn(app)) if missing else "Not in" not in drawn(app)


def test_a_form_goes_with_its_kind(open_page: Open) -> None:
    app = open_page("write", kind="poem", form="haiku")
    app.button_group(key="kind").set_value("story").run()
    assert not app.exception and app.session_state["form"] == ""
    app.button_group(key="kind").set_value("free").run()
    assert not app.exception and "form" not in [one.key for one in app.selectbox]


def test_a_story_in_chapters_and_slogans_say_what_code_did(open_page: Open) -> None:
    app = open_page("write", kind="story", form="chapters")
    app.slider(key="chapters").set_value(2).run()
    app = click(app, "Write")
    assert not app.exception and "Chapter 2" in drawn(app) and "characters and 2 chapters" in drawn(app)
    app = click(open_page("write", kind="slogan", form="slogans"), "Write")
    assert not app.exception and "dropped" in drawn(app)


def say(app: AppTest, message: str) -> AppTest:
    app.chat_input[0].set_value(message).run()
    return app


def test_a_chat_hands_on_what_was_said(open_page: Open, poet: Poet) -> None:
    app = open_page("write", kind="chat")
    app.text_area(key="system").set_value("Be brief.").run()
    app = say(app, "Hello")
    assert app.session_state["draft"].text == "2 turns"
    app = say(app, "And now?")
    assert not app.exception and app.session_state["draft"].text == "4 turns"
    assert [one.name for one in app.chat_message] == ["user", "assistant", "user", "assistant"]
    app.button(key="chat-again").click().run()
    assert len(app.chat_message) == 4 and len(app.session_state["draft"].request.turns) == 2
    app.button(key="chat-new").click().run()
    assert not app.exception and not app.chat_message and "kept" not in app.query_params


def test_an_answer_in_a_chat_ends_with_a_sentence_and_says_how(open_page: Open, bench: Bench) -> None:
    class Talker(FakeBackend):
        def _generate(self, job: Any) -> None:
            text = " wet here. And" if job.request.messages[-1].role == "assistant" else "It rains. It is"
            job.emit(text)
            job.finish(Generation(text, "length", 5, 5, job.request.sampling.as_dict(), 0.01, 50.0))

    backend = bench.plan["smollm2-135m-instruct"] = Talker()
    app = say(open_page("write", kind="chat", system="Be brief."), "How is it there?")
    assert app.session_state["draft"].text == "It rains. It is wet here." and not app.exception
    assert "It rains. It is wet here." in drawn(app) and "more to end a sentence" in drawn(app)
    assert [turn.role for turn in backend.seen[-1].messages] == ["system", "user", "assistant"]
    assert backend.seen[-1].sampling.max_new_tokens == 30, "at most 15 % more"


def test_what_is_said_in_a_chat_is_no_markup(open_page: Open, poet: Poet) -> None:
    app = say(open_page("write", kind="chat"), NASTY)
    assert not app.exception and "<script>" not in drawn(app) and "<img" not in drawn(app)


def test_another_kind_is_no_chat(open_page: Open, poet: Poet) -> None:
    app = click(open_page("write", kind="story"), "Write")
    app.button_group(key="kind").set_value("chat").run()
    assert not app.exception and not app.chat_message
    app = say(app, "Hello")
    assert app.session_state["draft"].request.turns == []


def test_a_model_that_does_not_chat_says_so(open_page: Open) -> None:
    app = open_page("write", kind="chat", writer="gemma-3-270m")
    assert not app.exception and "system" not in [one.key for one in app.text_area]
    app = say(app, "Hello")
    assert "does not chat" in drawn(app)


def test_a_model_chosen_by_hand_stays_when_the_kind_changes(open_page: Open) -> None:
    app = open_page("write")
    app.selectbox(key="writer").set_value("gemma-3-270m").run()
    for kind, language, writer in [
        ("poem", "en", "gemma-3-270m"), ("story", "fr", "gemma-3-270m"), ("chat", "fr", "smollm2-135m-instruct"),
        ("poem", "en", "verse-smollm2"),
    ]:  # fmt: skip
        app.selectbox(key="language").set_value(language)
        app.pills(key="kind").set_value(kind).run()
        assert not app.exception and app.session_state["writer"] == writer
