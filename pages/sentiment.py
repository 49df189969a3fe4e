"""Judge how positive, neutral or negative texts are."""

from __future__ import annotations

import streamlit as st

from engine.applications.sentiment import APPLICATION, SAMPLES, SentimentRequest
from engine.explain.why import WhyRequest
from engine.messages import Text
from pages.parts.actions import offer_actions
from pages.parts.again import ask_again
from pages.parts.counterfactual import compare_edited
from pages.parts.errors import errors_shown
from pages.parts.examples import offer_examples
from pages.parts.files import show_files
from pages.parts.judged import is_many, judge_file, judge_lines, show_judged_file
from pages.parts.judgement import show_judged
from pages.parts.judging import choose_rows, choose_wishes
from pages.parts.language import _
from pages.parts.share import header
from pages.parts.streaming import ask, show_answer
from pages.parts.visits import is_tried, resume
from pages.parts.why import offer_why

KEY = "judgement"
NAMES = (Text("A mixed review"), Text("A complaint"), Text("Four lines"))


def fill(sample: SentimentRequest) -> None:
    is_one = isinstance(sample.text, str)
    st.session_state["rows"] = "one" if is_one else "many"
    st.session_state["review"] = sample.text if is_one else "\n".join(sample.text)


def show_judgement(now: SentimentRequest | None) -> None:
    """The answer, what can be done with it, and what other words would do to it."""
    with st.container(border=True, key="answer-box"):
        answer = show_answer(KEY, APPLICATION.stream, errors=errors, now=now)
        if answer is None or answer.is_empty:
            st.caption(_("The judgement appears here."))
        elif answer.result:
            show_judged(answer)
            if isinstance(answer.request.text, str):
                (score,) = answer.result.results
                compare_edited(answer, score)
                if not answer.request.labels:
                    offer_why(WhyRequest(answer.request.text, score.label, model=answer.result.model), "why-label")
    offer_actions(KEY, show_judged)


header(_(APPLICATION.title), _("Reviews, comments, messages: how do they sound to the model, and how sure is it?"))
resume(APPLICATION, KEY, ["review"], ["rows"])
left, right = st.columns(2, gap="large")
with left:
    rows = choose_rows()
    form, own, errors, examples = st.container(), st.container(), st.container(), st.container()
    wishes = choose_wishes(own, errors, is_one=rows == "one")
    text, is_asked = "", False
    if rows == "file":
        with form:
            judge_file(wishes)
    else:
        with form, st.form("judge-form", border=False):
            text = st.text_area(
                _("Text"), str(SAMPLES[0].text), height="content", key="review", persist_state="session"
            )
            is_asked = st.form_submit_button(
                _("Judge"), type="primary", icon=":material/balance:", disabled=not wishes.model
            )
        with examples:
            offer_examples(dict(zip(map(_, NAMES), SAMPLES, strict=True)), fill, "sentiment_example")

lines = [line for line in text.splitlines() if line.strip()]
now = None
if wishes.model and rows != "file":
    now = wishes.request(lines if rows == "many" and lines else text, by_sentence=rows == "one")
if now and is_asked and rows == "many" and is_many(lines):
    with errors, errors_shown():
        judge_lines(lines, wishes)
elif now and (is_asked or is_tried(APPLICATION)):
    ask(KEY, now)
else:
    ask_again(KEY, now)
with right:
    if rows == "file":
        show_files(APPLICATION.id, show_judged_file)
    else:
        show_judgement(now)
