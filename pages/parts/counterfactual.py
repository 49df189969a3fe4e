"""What a text would sound like with other words: both judged beside each other, with what changed."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import streamlit as st

from engine.applications.changes import changed_words
from engine.applications.sentiment import APPLICATION, SentimentRequest, SentimentScore
from pages.parts.labels import label_in_words
from pages.parts.language import _, capitalised
from pages.parts.snippets import note_deed
from pages.parts.streaming import ask, show_answer
from pages.parts.text import plain, show_text
from pages.parts.visits import Exchange, answer_of

KEY = "edited"


def compare_edited(main: Exchange, before: SentimentScore) -> None:
    """A field with the text to be changed, and what it sounds like then."""
    request: SentimentRequest = main.request
    text = str(request.text)
    with st.expander(_("Change the text and compare"), icon=":material/compare_arrows:", key="edit-open"):
        with st.form("edit-form", border=False):
            edited = st.text_area(_("Changed text"), text, key=f"edit-{hash(text)}", height=140)
            is_asked = st.form_submit_button(_("Compare"), icon=":material/compare_arrows:")
        judge = request.model or (None if request.labels else before.model or None)
        now = replace(request, text=edited, by_sentence=False, model=judge)  # the same, whatever language it looks now
        if is_asked and edited.strip() == text.strip():
            st.caption(_("Nothing is changed yet: edit the text above first."))
        elif is_asked:
            ask(KEY, now, is_kept=False)
        known = answer_of(KEY)
        if known is None or known.request != now:
            return
        answer = show_answer(KEY, APPLICATION.stream)
        if answer and answer.result:
            note_deed(main, _("The changed text"), APPLICATION, now, answer.result)
            _draw(text, edited, before, answer.result.results[0])


def _draw(text: str, edited: str, before: SentimentScore, after: SentimentScore) -> None:
    taken_out, put_in = changed_words(text, edited)
    left, right = st.columns(2)
    for place, title, words, score, spans, why in (
        (left, _("Before"), text, before, taken_out, _("Taken out")),
        (right, _("After"), edited, after, put_in, _("Put in")),
    ):
        with place:
            st.markdown(f"**{title}: {plain(capitalised(label_in_words(score.label)))}**")
            show_text(words, doubts=spans, why=why)
    with st.container(horizontal=True):
        for label, share in before.scores.items():
            now = after.scores.get(label, 0.0)
            name = capitalised(label_in_words(label))
            points = round(100 * (now - share))
            arrow: Literal["auto", "off"] = "auto" if points else "off"
            st.metric(
                plain(name), f"{now:.0%}", f"{points:+d}" if points else "±0", delta_color="off", border=True,
                delta_arrow=arrow,
            )  # fmt: skip
