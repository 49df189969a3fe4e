"""Judge how positive, neutral or negative texts are."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from engine.applications import sentiment
from engine.applications.sentiment import SAMPLES, SentimentRequest, confidence_in_words
from pages.parts.charts import probability_bars, stacked_bars
from pages.parts.engine import get_engine
from pages.parts.errors import errors_shown
from pages.parts.picker import pick_model
from pages.parts.share import header
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
        format_func={"one": "One text", "many": "One text a line"}.get,
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
        st.session_state.pop(KEY, None)
        asked: str | list[str] = text if rows == "one" else [line for line in text.splitlines() if line.strip()]
        with errors_shown(), st.spinner("Judging…"):
            st.session_state[KEY] = (asked, sentiment.run(get_engine(), SentimentRequest(asked, model.id)))
    if KEY not in st.session_state:
        st.caption("The judgement appears here.")
        st.stop()
    asked, result = st.session_state[KEY]
    if isinstance(asked, str):
        (score,) = result.results
        st.subheader(f"{score.label.capitalize()}, {confidence_in_words(score.score)}", anchor=False)
        show_text(asked[:300] + ("…" if len(asked) > 300 else ""))
        probability_bars(score.scores, key="bars")
        if score.warning:
            st.caption(f":material/info: {score.warning}")
    else:
        table = pd.DataFrame(
            {
                "Text": asked,
                "Sounds": [score.label for score in result.results],
                "Confidence": [confidence_in_words(score.score) for score in result.results],
                **{name: [score.scores.get(name) for score in result.results] for name in sentiment.LABELS},
            }
        )
        percent = {name: st.column_config.NumberColumn(format="percent") for name in sentiment.LABELS}
        stacked_bars([score.scores for score in result.results], key="stack")
        st.dataframe(table, column_config=percent, hide_index=True)
        st.download_button("Download CSV", table.to_csv(index=False), "sentiment.csv", "text/csv")
        if any(score.warning for score in result.results):
            st.caption(":material/info: Some rows look like another language than the model learned from.")
