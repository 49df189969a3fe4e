"""Ask a passage a question; the answer is marked where it stands, or said not to be there."""

from __future__ import annotations

import streamlit as st

from engine.applications import answer
from engine.applications.answer import SAMPLES, AnswerRequest
from engine.applications.sentiment import confidence_in_words
from pages.parts.engine import get_engine
from pages.parts.picker import pick_model
from pages.parts.share import header
from pages.parts.streaming import ask, show_answer
from pages.parts.text import show_passage, show_text

KEY = "found"


def fill(sample: AnswerRequest) -> None:
    st.session_state["question"], st.session_state["passage"] = sample.question, sample.context


header(
    "Answer", "The model looks for the words of the passage that answer your question. It quotes; it does not invent."
)
model = pick_model("answer", answer.DEFAULT_MODEL, "reader")
left, right = st.columns(2, gap="large")
with left:
    with st.form("answer-form", border=False):
        question = st.text_input("Question", SAMPLES[0].question, key="question", bind="query-params")
        passage = st.text_area("Passage", SAMPLES[0].context, height=260, key="passage", bind="query-params")
        is_asked = st.form_submit_button("Find the answer", type="primary", disabled=model is None)
    st.caption("Examples")
    with st.container(horizontal=True):
        for number, sample in enumerate(SAMPLES):
            st.button(sample.question, on_click=fill, args=(sample,), key=f"answer-example-{number}")

with right:
    if is_asked and model:
        ask(KEY, AnswerRequest(question, passage, top_k=4, model=model.id))
    shown = show_answer(KEY, lambda request: answer.stream(get_engine(), request))
    if shown is None:
        st.caption("The answer appears here, marked in the passage.")
    if shown is None or shown.result is None:
        st.stop()
    read, found = shown.request.context, shown.result
    if found.answer:
        st.caption("Answer")
        show_text(found.answer)
        st.caption(f"{confidence_in_words(found.score).capitalize()} ({found.score:.0%})")
    else:
        st.info("No answer in this text, as far as the model can tell.", icon=":material/search_off:")
    with st.container(border=True):
        show_passage(read, found.start, found.end)
    if found.alternatives:
        st.caption("Next best" if found.answer else "What came closest")
        st.dataframe(
            [{"Answer": span.answer, "Score": span.score, "At": span.start} for span in found.alternatives],
            column_config={
                "Score": st.column_config.NumberColumn(format="percent"),
                "At": st.column_config.NumberColumn(help="First character in the passage"),
            },
            hide_index=True,
        )
