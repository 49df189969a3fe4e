"""Judge how positive, neutral or negative texts are."""

from __future__ import annotations

from collections import Counter

import streamlit as st

from engine.applications.sentiment import (
    APPLICATION,
    LABELS,
    SAMPLES,
    SentimentRequest,
    SentimentResult,
)
from engine.explain.why import WhyRequest
from engine.messages import Text
from pages.parts.actions import offer_actions
from pages.parts.again import ask_again
from pages.parts.charts import probability_bars, share_histogram, stacked_bars
from pages.parts.counterfactual import compare_edited
from pages.parts.errors import errors_shown
from pages.parts.examples import offer_examples
from pages.parts.files import show_files
from pages.parts.judged import (
    bring_rows,
    choose_labels,
    choose_words,
    is_many,
    judge_lines,
    show_judged_file,
    show_sentences,
    words_in_words,
)
from pages.parts.judging import choose_emotions, pick_judge
from pages.parts.labels import emotions_in_words, label_in_words
from pages.parts.language import _, capitalised, labelled
from pages.parts.share import header
from pages.parts.sizes import confidence_in_words
from pages.parts.streaming import ask, show_answer
from pages.parts.tables import as_csv
from pages.parts.text import plain, show_text
from pages.parts.visits import Exchange, is_tried, resume
from pages.parts.why import offer_why

KEY = "judgement"
MAX_NAMED = 6
TAKEN = (Text("Sounds"), Text("Label"), Text("Confidence"), Text("Text"))
"""Columns that a label of a person's own must not stand in for."""
NAMES = (Text("A mixed review"), Text("A complaint"), Text("Four lines"))
ROWS = {"one": Text("One text"), "many": Text("One text a line"), "file": Text("A file")}
MAX_BARS = 30
"""More rows make a histogram."""


def fill(sample: SentimentRequest) -> None:
    is_one = isinstance(sample.text, str)
    st.session_state["rows"] = "one" if is_one else "many"
    st.session_state["review"] = sample.text if is_one else "\n".join(sample.text)


def show_one(text: str, result: SentimentResult, *, asks_emotions: bool) -> None:
    (score,) = result.results
    label = capitalised(label_in_words(score.label))
    st.subheader(f"{plain(label)}, {confidence_in_words(score.score)}", anchor=False)
    show_text(text[:300] + ("…" if len(text) > 300 else ""))
    probability_bars(score.scores, key=f"bars-{result.model}")
    if asks_emotions:
        st.markdown(_("**Emotions:** {found}", found=plain(emotions_in_words(score.emotions))))
    if score.warning:
        st.caption(f":material/info: {plain(_(score.warning))}")
    show_sentences(score.sentences, key=f"sentences-{result.model}")


def show_many(texts: list[str], result: SentimentResult, *, asks_emotions: bool) -> None:
    scores = result.results
    counts = Counter(score.label for score in scores).most_common()
    words = ", ".join(f"{count} {plain(label_in_words(label))}" for label, count in counts[:MAX_NAMED])
    st.subheader(words + (" …" if len(counts) > MAX_NAMED else ""), anchor=False)
    (stacked_bars if len(scores) <= MAX_BARS else share_histogram)(
        [score.scores for score in scores], key=f"stack-{result.model}"
    )
    sounds, own, confidence, row = map(_, TAKEN)
    verdict = sounds if set(scores[0].scores) <= set(LABELS) else own
    names = {label: label_in_words(label) for label in scores[0].scores}
    columns = {label: f"P({name})" if name in map(_, TAKEN) else name for label, name in names.items()}
    table = [
        {verdict: names.get(score.label, ""), confidence: confidence_in_words(score.score), row: text}
        | {columns[label]: share for label, share in score.scores.items()}
        | ({_("Emotions"): emotions_in_words(score.emotions)} if asks_emotions else {})
        | ({_("Words"): words_in_words(score.words)} if any(one.words for one in scores) else {})
        | ({_("Note"): _(score.warning)} if any(one.warning for one in scores) else {})
        for text, score in zip(texts, scores, strict=True)
    ]
    percent = {name: st.column_config.NumberColumn(format="percent") for name in columns.values()}
    st.dataframe(table, column_config=percent, hide_index=True)
    st.download_button(
        _("Download CSV"),
        as_csv(table),
        "sentiment.csv",
        "text/csv",
        icon=":material/download:",
        key=f"csv-{result.model}",
    )
    if any(score.warning for score in scores):
        words = _("The model may be wrong where Note says why.")
        st.caption(f":material/info: {words}")


def show_judged(answer: Exchange) -> None:
    """One text with its shares, or several in a table."""
    text, asks_emotions = answer.request.text, answer.request.emotions
    if isinstance(text, str):
        show_one(text, answer.result, asks_emotions=asks_emotions)
    else:
        show_many(text, answer.result, asks_emotions=asks_emotions)


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
                compare_edited(answer.request, score)
                if not answer.request.labels:
                    offer_why(WhyRequest(answer.request.text, score.label, model=answer.result.model), "why-label")
    offer_actions(KEY, show_judged)


header(_(APPLICATION.title), _("Reviews, comments, messages: how do they sound to the model, and how sure is it?"))
resume(APPLICATION, KEY, ["review"], ["rows"])
left, right = st.columns(2, gap="large")
with left:
    if "rows_next" in st.session_state:
        st.session_state["rows"] = st.session_state.pop("rows_next")
    rows = st.segmented_control(
        _("Input"), list(ROWS), default="one", key="rows", bind="query-params", required=True,
        format_func=labelled(ROWS, "rows"),
    )  # fmt: skip
    form, own, errors, examples = st.container(), st.container(), st.container(), st.container()
    is_there, model = pick_judge(errors)
    with own:
        labels, asks_emotions = choose_labels(), choose_emotions()
        with_words = rows != "one" and choose_words()
    text, is_asked = "", False
    if rows == "file":
        with form:
            bring_rows(model, labels, is_there=is_there, with_words=with_words)
    else:
        with form, st.form("judge-form", border=False):
            text = st.text_area(_("Text"), str(SAMPLES[0].text), height=180, key="review", persist_state="session")
            is_asked = st.form_submit_button(
                _("Judge"), type="primary", icon=":material/balance:", disabled=not is_there
            )
    with examples:
        if rows != "file":
            offer_examples(dict(zip(map(_, NAMES), SAMPLES, strict=True)), fill, "sentiment_example")

lines = [line for line in text.splitlines() if line.strip()]
asked = lines if rows == "many" and lines else text
now = (
    SentimentRequest(asked, model.id if model else None, rows == "one", labels, asks_emotions, with_words)
    if is_there and rows != "file"
    else None
)
if is_there and is_asked and rows == "many" and is_many(lines):
    with errors, errors_shown():
        judge_lines(lines, model, labels, with_words=with_words)
elif now and (is_asked or is_tried(APPLICATION)):
    ask(KEY, now)
else:
    ask_again(KEY, now)
with right:
    if rows == "file":
        show_files(APPLICATION.id, show_judged_file)
    else:
        show_judgement(now)
