"""An answer found in a passage or in documents: the words, how sure the model is, and where they stand."""

from __future__ import annotations

import streamlit as st

from engine.applications.answers import AnswerRequest, AnswerResult
from engine.applications.reading import context_of
from engine.explain.why import WhyRequest, around
from pages.parts.document_answers import show_over_documents
from pages.parts.language import _, capitalised
from pages.parts.sizes import confidence_in_words, percent_in_words
from pages.parts.text import plain, show_passage, show_text
from pages.parts.visits import Exchange


def show_found(passage: str, found: AnswerResult) -> None:
    """The answer with how sure the model is, where it stands, and what came next."""
    if found.answer:
        show_text(found.answer, is_headline=True)
        st.caption(capitalised(f"{confidence_in_words(found.score)} ({percent_in_words(found.score)})"))
    else:
        st.subheader(_("No answer in this text"), anchor=False)
        sure, share = confidence_in_words(found.score), percent_in_words(found.score)
        st.caption(_("The model is {sure} ({share}) that the passage does not say.", sure=sure, share=share))
    show_passage(passage, found.start, found.end)
    if found.warning:
        st.caption(f":material/info: {plain(_(found.warning))}")
    if not found.shown:
        return
    st.caption(_("Next best") if found.answer else _("What came closest"))
    for other in found.shown:
        before, after = context_of(passage, other.start, other.end)
        words = f"{plain(before)}**{plain(other.answer.strip())}**{plain(after)}"
        st.markdown(f"{percent_in_words(other.score)} · … {words} …")


def show_one(answer: Exchange) -> None:
    """An answer, also beside another."""
    if answer.request.documents:
        show_over_documents(answer)
    else:
        show_found(answer.request.context, answer.result)


def why_request(asked: AnswerRequest, found: AnswerResult) -> WhyRequest:
    """About the words of the passage around the answer: a model reads so many at once."""
    context = found.passages[found.source].text if found.passages else asked.context
    part = around(context, found.start, found.end)
    return WhyRequest(part, found.answer, question=found.asked or asked.question, model=found.model)
