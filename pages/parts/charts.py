"""Charts in plotly, in colours that colour-blind eyes tell apart and that sit on light and dark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
import streamlit as st

COLOURS = {"negative": "#d1603d", "neutral": "#9aa5a1", "positive": "#1f8a84"}
_CONFIG = {"displaylogo": False, "displayModeBar": False}


def probability_bars(scores: Mapping[str, float], *, key: str) -> None:
    """One horizontal bar a label with its probability in percent."""
    labels = list(scores)[::-1]
    values = [scores[label] for label in labels]
    figure = go.Figure(
        go.Bar(
            x=values,
            y=[label.capitalize() for label in labels],
            orientation="h",
            marker_color=[COLOURS.get(label, "#1f8a84") for label in labels],
            text=[f"{value:.1%}" for value in values],
            textposition="outside",
            cliponaxis=False,
            hoverinfo="skip",
        )
    )
    figure.update_xaxes(range=[0, 1.12], visible=False)
    figure.update_layout(height=60 + 46 * len(labels), margin={"l": 0, "r": 0, "t": 8, "b": 8}, bargap=0.35)
    words = ", ".join(f"{label} {value:.0%}" for label, value in scores.items())
    st.plotly_chart(figure, key=key, config=_CONFIG, alt=f"Probabilities: {words}.")


def stacked_bars(rows: Sequence[Mapping[str, float]], *, key: str) -> None:
    """One stacked bar a row, in the rows' order from the top."""
    numbers = [str(number) for number in range(1, len(rows) + 1)]
    figure = go.Figure(
        [
            go.Bar(
                name=label.capitalize(),
                x=[row.get(label, 0.0) for row in rows],
                y=numbers,
                orientation="h",
                marker_color=colour,
                hovertemplate="%{x:.0%}",
            )
            for label, colour in COLOURS.items()
        ]
    )
    figure.update_xaxes(range=[0, 1], tickformat=".0%")
    figure.update_yaxes(autorange="reversed", title="Row", type="category")
    figure.update_layout(
        barmode="stack",
        height=min(900, 110 + 26 * len(rows)),
        margin={"l": 0, "r": 20, "t": 8, "b": 8},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"},
    )
    st.plotly_chart(figure, key=key, config=_CONFIG, alt=f"Probabilities of {len(rows)} texts as stacked bars.")
