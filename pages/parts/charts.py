"""Plotly charts in colours that colour-blind people can tell apart, on a light and on a dark page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from itertools import cycle

import plotly.graph_objects as go
import streamlit as st

from engine.messages import counted
from pages.parts.labels import label_in_words
from pages.parts.language import _, capitalised

COLOURS = {"negative": "#d1603d", "neutral": "#7d8a85", "positive": "#1f8a84"}
OTHERS = ("#1f8a84", "#d1603d", "#6a7fc1", "#a8841a", "#8a5a9e", "#5b9f3c", "#3d6f94", "#b5537e", "#7d8a85", "#94683a")
"""For labels that are none of these, in their order and then again from the start; 3:1 on a light and a dark page."""
MAX_BARS = 12
_CONFIG = {"displaylogo": False, "displayModeBar": False}


def colours_of(labels: Sequence[str]) -> dict[str, str]:
    """A colour for each label; where there are others than the known three, all get one of OTHERS."""
    others = cycle(OTHERS)
    is_known = set(labels) <= set(COLOURS)
    return {label: COLOURS[label] if is_known else next(others) for label in labels}


def probability_bars(scores: Mapping[str, float], *, key: str) -> None:
    """One horizontal bar a label with its probability in percent; of many labels the likeliest."""
    if len(scores) > MAX_BARS:
        scores = dict(sorted(scores.items(), key=lambda item: -item[1])[:MAX_BARS])
    labels = list(scores)[::-1]
    values = [scores[label] for label in labels]
    figure = go.Figure(
        go.Bar(
            x=values,
            y=list(range(len(labels))),
            orientation="h",
            marker_color=[COLOURS.get(label, "#1f8a84") for label in labels],
            text=[f"{value:.1%}" for value in values],
            textposition="outside",
            cliponaxis=False,
            hoverinfo="skip",
        )
    )
    figure.update_xaxes(range=[0, 1.12], visible=False)
    # By number, because two labels of a person's own may look alike once they are cut.
    figure.update_yaxes(tickvals=list(range(len(labels))), ticktext=[plain_label(label) for label in labels])
    figure.update_layout(height=60 + 46 * len(labels), margin={"l": 0, "r": 0, "t": 8, "b": 8}, bargap=0.35)
    words = ", ".join(f"{label_in_words(label)} {value:.0%}" for label, value in scores.items())
    st.plotly_chart(figure, key=key, config=_CONFIG, alt=_("Probabilities: {list}.", list=words))


def plain_label(label: str, longest: int = 28) -> str:
    """A label as plotly shows it: begun in upper case, cut where it is long, never read as markup."""
    shown = capitalised(label_in_words(label))
    return escape(shown if len(shown) <= longest else shown[: longest - 1] + "…")


def stacked_bars(rows: Sequence[Mapping[str, float]], *, key: str) -> None:
    """One stacked bar a row, in the rows' order from the top."""
    colours = colours_of(list(dict.fromkeys(label for row in rows for label in row)))
    numbers = [str(number) for number in range(1, len(rows) + 1)]
    figure = go.Figure(
        [
            go.Bar(
                name=plain_label(label),
                x=[row.get(label, 0.0) for row in rows],
                y=numbers,
                orientation="h",
                marker_color=colour,
                hovertemplate="%{x:.0%}",
            )
            for label, colour in colours.items()
        ]
    )
    figure.update_xaxes(range=[0, 1], tickformat=".0%")
    figure.update_yaxes(autorange="reversed", title=_("Row"), type="category")
    figure.update_layout(
        barmode="stack",
        height=min(900, 110 + 26 * len(rows)),
        margin={"l": 0, "r": 20, "t": 8, "b": 8},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"},
    )
    alt = counted(
        "Probabilities of {count} text as a stacked bar.", "Probabilities of {count} texts as stacked bars.", len(rows)
    )
    st.plotly_chart(figure, key=key, config=_CONFIG, alt=_(alt))


def share_histogram(rows: Sequence[Mapping[str, float]], *, key: str) -> None:
    """How many rows lie where between negative and positive; for a person's own labels, how many have each."""
    likeliest = [max(row, key=lambda label: row[label]) for row in rows]
    colours = colours_of(list(dict.fromkeys(label for row in rows for label in row)))
    is_known = set(colours) <= set(COLOURS)
    figure = go.Figure()
    for label, colour in colours.items():
        own = [row for row, best in zip(rows, likeliest, strict=True) if best == label]
        name = plain_label(label)
        if is_known:
            balance = [row["positive"] - row["negative"] for row in own]
            bins = {"start": -1.0, "end": 1.05, "size": 0.1}
            figure.add_trace(go.Histogram(name=name, x=balance, xbins=bins, marker_color=colour))
        else:
            figure.add_trace(go.Bar(name=name, x=[name], y=[len(own)], marker_color=colour))
    if is_known:
        figure.update_xaxes(title=_("Negative to positive"), range=[-1.05, 1.05])
    figure.update_yaxes(title=_("Rows"))
    figure.update_layout(
        barmode="stack",
        height=300,
        margin={"l": 0, "r": 20, "t": 8, "b": 8},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"},
    )
    alt = counted("How {count} text is judged.", "How {count} texts are judged, as a histogram.", len(rows))
    st.plotly_chart(figure, key=key, config=_CONFIG, alt=_(alt))
