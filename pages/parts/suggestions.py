"""Questions that a model suggests to ask of documents or of a passage; a click puts one into its field."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import streamlit as st

from engine.applications.suggesting import passages_in, passages_of_text, suggest
from engine.requests import Event
from engine.serving.protocol import Caller, Engine
from pages.parts.engine import house
from pages.parts.language import _
from pages.parts.snippets import offer_code
from pages.parts.streaming import ask, show_answer
from pages.parts.text import plain
from pages.parts.visits import Exchange, answer_of

KEY = "suggested"


@dataclass(frozen=True)
class Asked:
    """What questions are wanted on: documents, or a passage; and who is to find that they are answered."""

    reader: str
    documents: list[str] = field(default_factory=list)
    passage: str = ""


def suggest_questions(now: Asked, question: str, *, is_wanted: bool) -> None:
    """Have a model suggest questions where they are wanted; a click puts one into the field of that key."""
    if is_wanted:
        ask(KEY, now, is_kept=False)
    known = answer_of(KEY)
    if known is None or known.request != now:  # of another text
        return

    def fill(words: str) -> None:
        st.session_state[question] = words

    def finished(answer: Exchange) -> bool:
        for words in answer.result.questions:
            st.button(plain(words), key=f"suggested-{words}", on_click=fill, args=(words,))
        return True

    answer = show_answer(KEY, _stream, finished=finished)
    if answer is None or answer.state != "done":
        return
    if not answer.result.questions:
        st.caption(_("No question came that its own passage answers."))
    body = {"documents": now.documents} if now.documents else {"text": now.passage}
    offer_code(KEY, {_("Suggest questions"): ("documents/questions", {**body, "model": now.reader})})


def _stream(engine: Engine, asked: Asked, caller: Caller) -> Iterator[Event]:
    if asked.documents:
        passages = passages_in(house(), asked.documents, caller)
    else:
        passages = passages_of_text(engine, asked.passage)
    yield from suggest(engine, passages, asked.reader, caller)
