"""Ask a passage or documents a question; the answer is marked where it stands, or said not to be there."""

from __future__ import annotations

import streamlit as st

from engine.applications.answer import APPLICATION, SAMPLES
from engine.applications.answers import AnswerRequest
from engine.messages import Text
from pages.parts.actions import offer_actions
from pages.parts.again import ask_again
from pages.parts.document_answers import as_asked, follow_up
from pages.parts.documents import choose_documents
from pages.parts.engine import house
from pages.parts.examples import offer_examples
from pages.parts.found import show_one, why_request
from pages.parts.language import _
from pages.parts.picker import pick_model
from pages.parts.pressing import is_pressed, press
from pages.parts.share import header
from pages.parts.streaming import ask, show_answer
from pages.parts.suggestions import Asked, suggest_questions
from pages.parts.visits import answer_of, is_tried, resume
from pages.parts.why import offer_why

KEY, PLACE, STYLE = "found", "answer_place", "answer_style"
PLACES = {"passage": Text("A passage"), "documents": Text("My documents")}
STYLES = {"quote": Text("Quote"), "write": Text("Write, with sources")}


def fill(sample: AnswerRequest) -> None:
    st.session_state["question"], st.session_state["passage"] = sample.question, sample.context


def clear_sample() -> None:
    """The sample's question is none for documents."""
    if st.session_state.get("question") == SAMPLES[0].question:
        st.session_state["question"] = ""


header(
    _(APPLICATION.title),
    _("The model looks for the words that answer your question. It quotes, or writes and names its sources."),
)
is_over = st.session_state.get(PLACE) == "documents"
resume(APPLICATION, KEY, ["question"] if is_over else ["question", "passage"], [PLACE, STYLE])
left, right = st.columns(2, gap="large")
with left:
    place = st.segmented_control(
        _("Look in"), list(PLACES), default="passage", format_func=lambda name: _(PLACES[name]), key=PLACE,
        required=True, persist_state="session", on_change=clear_sample,
    )  # fmt: skip
    is_over = place == "documents"
    ids: list[str] = []
    form, errors, examples = st.container(), st.container(), st.container()
    model = pick_model(APPLICATION, below=errors)
    reader = model.id if model else ""
    if is_over:
        with form:
            ids = choose_documents(errors)
    with form, st.form("answer-form", border=False):
        sample = "" if is_over else SAMPLES[0].question
        question = st.text_input(_("Question"), sample, key="question", persist_state="session")
        if is_over:
            style = st.segmented_control(
                _("Answer"), list(STYLES), default="quote", format_func=lambda name: _(STYLES[name]), key=STYLE,
                required=True, persist_state="session",
            )  # fmt: skip
        else:
            passage = st.text_area(
                _("Passage"), SAMPLES[0].context, height="content", key="passage", persist_state="session"
            )
        cannot = not model or (is_over and not ids)
        with st.container(horizontal=True):
            st.form_submit_button(
                _("Find the answer"), type="primary", icon=":material/search:", disabled=cannot, on_click=press,
                args=(KEY,),
            )  # fmt: skip
            is_wanted = st.form_submit_button(
                _("Suggest questions"), type="tertiary", icon=":material/lightbulb:", disabled=cannot
            )
    with examples:
        if not is_over:
            offer_examples({sample.question: sample for sample in SAMPLES}, fill, "answer_example")
        wanted = Asked(reader, ids, "" if is_over else passage)
        suggest_questions(wanted, "question", is_wanted=is_wanted)

now = None
if model and is_over and ids:
    now = AnswerRequest(question, top_k=4, model=reader, documents=ids, style="write" if style == "write" else "quote")
elif model and not is_over:
    now = AnswerRequest(question, passage, top_k=4, model=reader)
if now and (is_pressed(KEY) or is_tried(APPLICATION)):
    ask(KEY, follow_up(now, answer_of(KEY)))
now = now and as_asked(now, answer_of(KEY))
if now and now.style == "quote":
    ask_again(KEY, now)
with right, st.container(border=True, key="answer-box"):
    names = {"context": _("Passage")}
    answer = show_answer(
        KEY, APPLICATION.of(house()), errors=errors, now=now, names=names, finished=lambda answer: bool(answer.result)
    )
    if answer is None or answer.is_empty:
        st.caption(_("The answer appears here, marked where it stands."))
    elif answer.result:
        show_one(answer)
        if answer.request.style == "quote":
            offer_why(why_request(answer.request, answer.result), "why-span")
with right:
    offer_actions(KEY, show_one)
