"""Judge how positive, neutral or negative texts are."""

from __future__ import annotations

import streamlit as st

from engine.applications import sentiment
from engine.applications.sentiment import SAMPLES, SentimentRequest, confidence_in_words
from pages.parts.charts import probability_bars, stacked_bars
from pages.parts.engine import get_engine
from pages.parts.picker import pick_model
from pages.parts.share import header
from pages.parts.streaming import ask, show_answer
from pages.parts.tables import as_csv
from pages.parts.text import show_text

KEY = "judgement"


def fill(sample: SentimentRequest) -> None:
    is_one = isinstance(sample.text, str)
    st.session_state["rows"] = "one" if is_one else "many"
    st.session_state["review"] = sample.text if is_one else "\n".join(sample.text)


header("Sentiment", "Reviews, comments, messages: how do they sound to the model, and how sure is it?")
model = pick_model("sentiment", sentiment.DEFAULT_MODEL, "judge")
left, right = st.columns(2, gap="large")
with left:
    rows = st.segmented_control(
        "Input", ["one", "many"], default="one", key="rows", bind="query-params", required=True,
        format_func={"one": "One text", "many": "One text a line"}.__getitem__,
    )  # fmt: skip
    with st.form("judge-form", border=False):
        text = st.text_area("Text", str(SAMPLES[0].text), height=200, key="review", bind="query-params")
        is_asked = st.form_submit_button("Judge", type="primary", disabled=model is None)
    st.caption("Examples")
    with st.container(horizontal=True):
        for number, sample in enumerate(SAMPLES):
            name = ("Mixed", "Complaint", "Four lines")[number]
            st.button(name, on_click=fill, args=(sample,), key=f"sentiment-example-{number}")

with right:
    if is_asked and model:
        lines = [line for line in text.splitlines() if line.strip()]
        ask(KEY, SentimentRequest(text if rows == "one" else lines, model.id))
    answer = show_answer(KEY, lambda request: sentiment.stream(get_engine(), request))
    if answer is None:
        st.caption("The judgement appears here.")
    if answer is None or answer.result is None:
        st.stop()
    asked, result = answer.request.text, answer.result
    if isinstance(asked, str):
        (score,) = result.results
        st.subheader(f"{score.label.capitalize()}, {confidence_in_words(score.score)}", anchor=False)
        show_text(asked[:300] + ("…" if len(asked) > 300 else ""))
        probability_bars(score.scores, key="bars")
        if score.warning:
            st.caption(f":material/info: {score.warning}")
    else:
        table = [
            {"Text": text, "Sounds": score.label, "Confidence": confidence_in_words(score.score), **score.scores}
            for text, score in zip(asked, result.results, strict=True)
        ]
        percent = {name: st.column_config.NumberColumn(format="percent") for name in sentiment.LABELS}
        stacked_bars([score.scores for score in result.results], key="stack")
        st.dataframe(table, column_config=percent, hide_index=True)
        st.download_button("Download CSV", as_csv(table), "sentiment.csv", "text/csv")
        if any(score.warning for score in result.results):
            st.caption(":material/info: Some rows look like another language than the model learned from.")
