"""Ask a passage a question; the answer is marked where it stands, or said not to be there."""

from __future__ import annotations

import streamlit as st

from engine.applications.answer import APPLICATION, SAMPLES, AnswerRequest, AnswerResult, context_of
from engine.explain.why import WhyRequest, around
from pages.parts.actions import offer_actions
from pages.parts.again import ask_again
from pages.parts.examples import offer_examples
from pages.parts.language import _, capitalised
from pages.parts.picker import pick_model
from pages.parts.share import header
from pages.parts.sizes import confidence_in_words, percent_in_words
from pages.parts.streaming import ask, show_answer
from pages.parts.text import plain, show_passage, show_text
from pages.parts.visits import Exchange, is_tried, resume
from pages.parts.why import offer_why

KEY = "found"


def fill(sample: AnswerRequest) -> None:
    st.session_state["question"], st.session_state["passage"] = sample.question, sample.context


def show_found(passage: str, found: AnswerResult) -> None:
    """The answer with how sure the model is, where it stands, and what came next."""
    if found.answer:
        show_text(found.answer)
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


def show_beside(other: Exchange) -> None:
    show_found(other.request.context, other.result)


def why_request(asked: AnswerRequest, found: AnswerResult) -> WhyRequest:
    """About the words of the passage around the answer: a model reads so many at once."""
    part = around(asked.context, found.start, found.end)
    return WhyRequest(part, found.answer, question=asked.question, model=found.model)


header(
    _(APPLICATION.title),
    _("The model looks for the words of a passage that answer your question. It quotes; it does not invent."),
)
resume(APPLICATION, KEY, ["question", "passage"])
left, right = st.columns(2, gap="large")
with left:
    form, errors, examples = st.container(), st.container(), st.container()
    model = pick_model(APPLICATION, below=errors)
    with form, st.form("answer-form", border=False):
        question = st.text_input(_("Question"), SAMPLES[0].question, key="question", persist_state="session")
        passage = st.text_area(_("Passage"), SAMPLES[0].context, height=240, key="passage", persist_state="session")
        is_asked = st.form_submit_button(
            _("Find the answer"), type="primary", icon=":material/search:", disabled=model is None
        )
    with examples:
        offer_examples({sample.question: sample for sample in SAMPLES}, fill, "answer_example")

now = AnswerRequest(question, passage, top_k=4, model=model.id) if model else None
if now and (is_asked or is_tried(APPLICATION)):
    ask(KEY, now)
else:
    ask_again(KEY, now)
with right, st.container(border=True, key="answer-box"):
    answer = show_answer(KEY, APPLICATION.stream, errors=errors, now=now, names={"context": _("Passage")})
    if answer is None or answer.is_empty:
        st.caption(_("The answer appears here, marked in the passage."))
    elif answer.result:
        show_found(answer.request.context, answer.result)
        offer_why(why_request(answer.request, answer.result), "why-span")
with right:
    offer_actions(KEY, show_beside)
