"""Files on Sentiment: brought with their columns, and what came of one: figures, charts, the rows at both ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from engine.documents.rewriting.rows import ENDINGS
from engine.jobs.files import desk
from engine.jobs.files.figures import BINS
from engine.jobs.work import JobView
from engine.messages import Text
from pages.parts.charts import colours_of, plain_label
from pages.parts.engine import house
from pages.parts.errors import errors_shown
from pages.parts.files import begin, bring, choose_column, is_asked
from pages.parts.judging import Wishes
from pages.parts.labels import emotion_in_words, label_in_words
from pages.parts.language import _
from pages.parts.text import plain

MAX_NAMED, MAX_BARS = 6, 30
ENDS = {"positive": Text("Most positive"), "negative": Text("Most negative")}
PERIODS = {"day": Text("Day"), "week": Text("Week of"), "month": Text("Month of"), "year": Text("Year of")}
_CONFIG = {"displaylogo": False, "displayModeBar": False}


def judge_file(wishes: Wishes) -> None:
    """A field for a file of rows with its columns and its button."""
    with errors_shown():
        brought = bring("review", ENDINGS)
        column, date, has_names = "", "", None
        if brought:
            column, date, has_names = choose_column("review", brought, has_dates=True)
        is_ready = brought is not None and wishes.model is not None
        is_pressed = is_asked("review", _("Judge the file"), ":material/balance:", is_ready=is_ready)
        if brought and is_pressed:
            begin("sentiment", brought, wishes.order(column, date, has_names))


def is_many(lines: Sequence[str]) -> bool:
    """Whether so many lines are worked on as a file."""
    return len(lines) > house().engine.settings.max_rows


def judge_lines(lines: Sequence[str], wishes: Wishes) -> None:
    """Begin to judge pasted lines as a file."""
    st.session_state["rows_next"] = "file"
    begin("sentiment", ("lines.txt", "\n".join(lines).encode()), wishes.order())


def show_judged_file(job: JobView) -> None:
    """Counts, a histogram, shares over time where there are dates, and the rows at both ends."""
    figures = desk.figures(job)
    counts = figures.get("counts") or {}
    words = ", ".join(f"{count:,} {plain(label_in_words(label))}" for label, count in list(counts.items())[:MAX_NAMED])
    st.subheader(words + (" …" if len(counts) > MAX_NAMED else ""), anchor=False)
    if "histogram" in figures:
        _draw_histogram(figures["histogram"], key=f"histogram-{job.id}")
    elif counts:
        _draw_counts(counts, key=f"counts-{job.id}")
    if figures.get("over_time", {}).get("periods"):
        _draw_over_time(figures["over_time"], key=f"time-{job.id}")
    if felt := figures.get("emotions"):
        _show_emotions(felt, figures["rows"], key=f"emotions-{job.id}")
    if carriers := figures.get("words"):
        _show_carriers(carriers, key=f"words-{job.id}")
    show_ends(figures.get("ends", {}), key=job.id)


def show_ends(ends: Mapping[str, Sequence[Mapping[str, Any]]], *, key: str) -> None:
    """The most positive rows and the most negative ones."""
    for label, title in ENDS.items():
        if rows := ends.get(label):
            st.markdown(f"**{_(title)}**")
            table = [{_("Row"): one["row"], _("Balance"): one["balance"], _("Text"): one["text"]} for one in rows]
            shown = {_("Balance"): st.column_config.NumberColumn(format="%.2f")}
            st.dataframe(table, column_config=shown, hide_index=True, key=f"{label}-{key}")


def _show_emotions(felt: Mapping[str, int], rows: int, *, key: str) -> None:
    """In how many rows each emotion is."""
    st.markdown(f"**{_('Emotions')}**")
    table = [{_("Emotion"): emotion_in_words(name), _("Rows"): count, _("Share"): count / rows}
             for name, count in felt.items()]  # fmt: skip
    shown = {_("Share"): st.column_config.ProgressColumn(format="percent", min_value=0, max_value=1)}
    st.dataframe(table, column_config=shown, hide_index=True, key=key)


def _show_carriers(words: Mapping[str, Sequence[Mapping[str, Any]]], *, key: str) -> None:
    """The words that carried each label most, in all rows together."""
    st.markdown(f"**{_('Words that carried it')}**")
    table = [
        {
            _("Label"): label_in_words(label), _("Word"): one["word"], _("Rows"): one["rows"],
            _("Part"): one["part"],
        }
        for label, found in words.items()
        for one in found
    ]  # fmt: skip
    shown = {_("Part"): st.column_config.NumberColumn(format="%+.2f")}
    st.dataframe(table, column_config=shown, hide_index=True, key=key)
    st.caption(_("By how much a row's label is less likely without the word, on average."))


def _draw_histogram(bins: Mapping[str, Sequence[int]], *, key: str) -> None:
    middles = [-1 + (place + 0.5) * 2 / BINS for place in range(BINS)]
    colours = colours_of(list(bins))
    figure = go.Figure(
        [
            go.Bar(name=plain_label(label), x=middles, y=counts, marker_color=colours[label], width=2 / BINS)
            for label, counts in bins.items()
        ]
    )
    figure.update_xaxes(title=_("Negative to positive"), range=[-1.05, 1.05])
    _draw(figure, _("Rows"), _("How the rows are judged, as a histogram."), key)


def _draw_counts(counts: Mapping[str, int], *, key: str) -> None:
    colours = colours_of(list(counts))
    figure = go.Figure(
        [
            go.Bar(name=plain_label(label), x=[plain_label(label)], y=[count], marker_color=colours[label])
            for label, count in counts.items()
        ]
    )
    _draw(figure, _("Rows"), _("How many rows have each label."), key)


def _draw_over_time(found: Mapping[str, Any], *, key: str) -> None:
    """The share of each label in each period, and how many rows it has."""
    periods = found["periods"]
    labels = list(dict.fromkeys(label for one in periods for label in one["counts"]))
    colours, begins = colours_of(labels), [one["begin"] for one in periods]
    totals = [sum(one["counts"].values()) for one in periods]
    figure = go.Figure(
        [
            go.Bar(
                name=plain_label(label), x=begins, marker_color=colours[label], customdata=totals,
                y=[one["counts"].get(label, 0) / total for one, total in zip(periods, totals, strict=True)],
                hovertemplate="%{x}: %{y:.0%} / %{customdata}",
            )
            for label in labels
        ]
    )  # fmt: skip
    figure.update_yaxes(tickformat=".0%", range=[0, 1])
    figure.update_xaxes(title=_(PERIODS[found["period"]]), type="category")
    _draw(figure, _("Share"), _("The share of each label over time."), key)
    with st.expander(_("As a table"), icon=":material/table:", key=f"{key}-table-open"):
        table = [
            {_(PERIODS[found["period"]]): begin, _("Rows"): total}
            | {label_in_words(label): one["counts"].get(label, 0) / total for label in labels}
            for begin, one, total in zip(begins, periods, totals, strict=True)
        ]
        percent = {label_in_words(label): st.column_config.NumberColumn(format="percent") for label in labels}
        st.dataframe(table, column_config=percent, hide_index=True, key=f"{key}-table")
    if found["unread"]:
        st.caption(_("Rows whose date could not be read: {count:,}.", count=found["unread"]))


def _draw(figure: go.Figure, title: str, alt: str, key: str) -> None:
    figure.update_yaxes(title=title)
    figure.update_layout(
        barmode="stack", height=300, margin={"l": 0, "r": 20, "t": 8, "b": 8},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"},
    )  # fmt: skip
    st.plotly_chart(figure, key=key, config=_CONFIG, alt=alt)
