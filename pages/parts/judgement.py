"""What came of judging one text, or several in a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import streamlit as st

from engine.applications.carriers import CarriedBy
from engine.applications.sentiment import LABELS, SentenceScore, SentimentResult, SentimentScore
from engine.jobs.files.figures import ends_of
from engine.messages import Text
from pages.parts.charts import probability_bars, share_histogram, stacked_bars
from pages.parts.judged import MAX_BARS, MAX_NAMED, show_ends
from pages.parts.labels import emotions_in_words, label_in_words
from pages.parts.language import _, capitalised
from pages.parts.sizes import confidence_in_words
from pages.parts.tables import as_csv
from pages.parts.text import plain, show_text
from pages.parts.visits import Exchange

TAKEN = (Text("Sounds"), Text("Label"), Text("Confidence"), Text("Text"))
"""Columns that a label of a person's own must not stand in for."""
SHOWN_CHARACTERS = 300


def show_judged(answer: Exchange) -> None:
    """One text with its shares, or several in a table."""
    text, asks_emotions = answer.request.text, answer.request.emotions
    if isinstance(text, str):
        _show_one(text, answer.result, asks_emotions=asks_emotions)
    else:
        _show_many(text, answer.result, asks_emotions=asks_emotions)


def _show_one(text: str, result: SentimentResult, *, asks_emotions: bool) -> None:
    (score,) = result.results
    label = capitalised(label_in_words(score.label))
    st.subheader(f"{plain(label)}, {confidence_in_words(score.score)}", anchor=False)
    show_text(text[:SHOWN_CHARACTERS] + ("…" if len(text) > SHOWN_CHARACTERS else ""))
    probability_bars(score.scores, key=f"bars-{result.model}")
    if asks_emotions:
        st.markdown(_("**Emotions:** {found}", found=plain(emotions_in_words(score.emotions))))
    if score.warning:
        st.caption(f":material/info: {plain(_(score.warning))}")
    _show_sentences(score.sentences, key=f"sentences-{result.model}")


def _show_sentences(sentences: Sequence[SentenceScore], *, key: str) -> None:
    """How each sentence of a text sounds by itself."""
    if not sentences:
        return
    with st.expander(_("Sentence by sentence"), icon=":material/segment:"):
        stacked_bars([one.scores for one in sentences[:MAX_BARS]], key=key)
        table = [
            {
                _("Sounds"): label_in_words(one.label),
                _("Confidence"): confidence_in_words(one.score),
                _("Text"): one.text,
            }
            for one in sentences
        ]
        st.dataframe(table, hide_index=True, key=f"{key}-table")


def _show_many(texts: list[str], result: SentimentResult, *, asks_emotions: bool) -> None:
    scores = result.results
    counts = Counter(score.label for score in scores if score.is_judged).most_common()
    words = ", ".join(f"{count} {plain(label_in_words(label))}" for label, count in counts[:MAX_NAMED])
    st.subheader(words + (" …" if len(counts) > MAX_NAMED else ""), anchor=False)
    (stacked_bars if len(scores) <= MAX_BARS else share_histogram)(
        [score.scores for score in scores], key=f"stack-{result.model}"
    )
    table, shares = _table(texts, scores, asks_emotions=asks_emotions)
    percent = {name: st.column_config.NumberColumn(format="percent") for name in shares}
    st.dataframe(table, column_config=percent, hide_index=True)
    st.download_button(
        _("Download CSV"), as_csv(table), "sentiment.csv", "text/csv", icon=":material/download:",
        key=f"csv-{result.model}",
    )  # fmt: skip
    if any(score.warning for score in scores):
        words = _("The model may be wrong where Note says why.")
        st.caption(f":material/info: {words}")
    if len(scores) > MAX_BARS:
        show_ends(_ends(texts, scores), key=f"ends-{result.model}")


def _table(
    texts: Sequence[str], scores: Sequence[SentimentScore], *, asks_emotions: bool
) -> tuple[list[dict[str, Any]], list[str]]:
    """A row for each text, and which of the columns are shares."""
    sounds, own, confidence, row = map(_, TAKEN)
    verdict = sounds if set(scores[0].scores) <= set(LABELS) else own
    names = {label: label_in_words(label) for label in scores[0].scores}
    columns = {label: f"P({name})" if name in map(_, TAKEN) else name for label, name in names.items()}
    table = [
        {
            verdict: names.get(score.label, "") if score.is_judged else "",
            confidence: confidence_in_words(score.score) if score.is_judged else "",
            row: text,
        }
        | {columns[label]: share for label, share in score.scores.items()}
        | ({_("Emotions"): emotions_in_words(score.emotions)} if asks_emotions else {})
        | ({_("Words"): _carriers(score.words)} if any(one.words for one in scores) else {})
        | ({_("Note"): _(score.warning)} if any(one.warning for one in scores) else {})
        for text, score in zip(texts, scores, strict=True)
    ]
    return table, list(columns.values())


def _carriers(words: Sequence[CarriedBy]) -> str:
    """The words that carried a judgement, with their parts."""
    return ", ".join(f"{one.word} {one.part:+.2f}" for one in words)


def _ends(texts: Sequence[str], scores: Sequence[SentimentScore]) -> dict[str, list[dict[str, Any]]]:
    """The texts at both ends, where they are judged between positive and negative."""
    balance = {
        place: score.scores["positive"] - score.scores["negative"]
        for place, score in enumerate(scores)
        if set(score.scores) == set(LABELS)
    }
    return ends_of(balance, texts, range(len(texts)))
