"""How texts are judged on Sentiment: by whom, by which labels, and what is told besides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import streamlit as st

from engine.applications import emotions
from engine.applications.sentiment import APPLICATION, SentimentRequest
from engine.jobs.files.judging import SentimentFile
from engine.messages import Text
from pages.parts.engine import house
from pages.parts.language import _, labelled
from pages.parts.picker import pick_model

ROWS = {"one": Text("One text"), "many": Text("One text a line"), "file": Text("A file")}
OWN = Text("delivery: the parcel came late\nquality: it broke or was bad\nprice: it costs too much\nservice: the staff")


@dataclass(frozen=True)
class Wishes:
    """What was chosen; no model where the one chosen is not there."""

    model: str | None
    labels: list[str]
    emotions: bool
    words: bool

    def request(self, text: str | list[Any], *, by_sentence: bool) -> SentimentRequest:
        """Of a text, or of several."""
        return SentimentRequest(text, self.model, by_sentence, self.labels, self.emotions, self.words)

    def order(self, column: str = "", date: str = "", has_names: bool | None = None) -> SentimentFile:
        """Of a file of rows."""
        return SentimentFile(self.model, column, date, self.labels, has_names, self.words, self.emotions)


def choose_rows() -> str:
    """Whether one text is judged, one a line, or a file."""
    if "rows_next" in st.session_state:
        st.session_state["rows"] = st.session_state.pop("rows_next")
    chosen = st.segmented_control(
        _("Input"), list(ROWS), default="one", key="rows", bind="query-params", required=True,
        format_func=labelled(ROWS, "rows"),
    )  # fmt: skip
    return str(chosen)


def choose_wishes(place: Any, below: Any, *, is_one: bool) -> Wishes:
    """Who judges, and at `place` what is told besides; what to do about a model that is not there stands at `below`."""
    model = pick_model(APPLICATION, below=below)
    with place:
        labels, asks_emotions = _choose_labels(), _choose_emotions()
        with_words = not is_one and _choose_words()
    return Wishes(model.id if model else None, labels, asks_emotions, with_words)


def _choose_labels() -> list[str]:
    """Labels of the visitor's own, a line each; none where the model's are meant."""
    if not st.toggle(_("Labels of my own"), key="own_labels", bind="query-params"):
        return []
    lines = st.text_area(
        _("Labels, one a line"), _(OWN), key="labels", persist_state="session", height=140,
        help=_("A name, or a name and what it means: the multilingual encoder tells which one a text is most like."),
    )  # fmt: skip
    return [line for line in lines.splitlines() if line.strip()]


def _choose_emotions() -> bool:
    """Whether emotions are to be named too; asked only where their model is here."""
    if not emotions.is_there(house().engine):
        return False
    return st.toggle(
        _("Emotions too"), key="emotions", bind="query-params",
        help=_("27 emotions, of which several may be true. Learned from English comments; other languages suffer."),
    )  # fmt: skip


def _choose_words() -> bool:
    """Whether the words that carried each judgement are wanted."""
    return st.toggle(
        _("Which words carried it"), key="carried", bind="query-params",
        help=_("Each row is judged again without each of its words: about twenty times the work."),
    )  # fmt: skip
