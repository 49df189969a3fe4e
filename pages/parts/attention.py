"""Attention on Explore: a layer's heads as matrix and as arcs, and what every head is in the habit of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import streamlit as st

from engine.explain.attention import AttentionRequest, AttentionResult
from engine.messages import Text
from pages.parts import plots
from pages.parts.engine import house
from pages.parts.language import _, labelled
from pages.parts.looking import look, show_behind, show_origin, show_plot, show_table
from pages.parts.readings import say_habit

HABITS = {
    0: Text("looks at the first token"), 1: Text("looks at itself"), 2: Text("looks at the token before"),
    3: Text("over how many tokens it spreads"),
}  # fmt: skip
PARTS = {"cross": Text("from translation to source"), "encoder": Text("inside the source")}
MOST_SAID = 24
"""Tokens that a picture's description tells."""


def show_attention(text: str, model_id: str, key: str, source: str = "") -> None:
    """A layer's heads as matrix and as arcs, and what every head is in the habit of."""
    model = house().catalogue.find(model_id)
    is_pair = model.architecture == "seq2seq"
    part = ""
    if is_pair and source:
        part = st.segmented_control(
            _("Attention"), list(PARTS), default="cross", key=f"{key}-part", bind="query-params", required=True,
            format_func=labelled(PARTS, f"{key}-part"),
        )  # fmt: skip
    request = AttentionRequest(text, source, -1 if part == "cross" else 0, part, model_id)  # type: ignore[arg-type]
    if opened := look("attention", request):
        layer, head = _layer_and_head(opened, f"{key}-{part}" if part else key)
        request = request if layer == opened.layer else replace(request, layer=layer)
        if result := look("attention", request):
            _show_layer(request, result, head, key)


def _show_layer(request: AttentionRequest, result: AttentionResult, head: int, key: str) -> None:
    layer, weights = result.layer, result.weights.values().astype(np.float64)
    chosen = weights.mean(0) if head == 0 else weights[head - 1]
    _say_kind(result)
    say_habit(result, head)
    is_short = max(len(result.rows), len(result.columns)) <= plots.MOST_CELLS
    left, right = st.columns(2) if is_short else (None, st.container())
    if left:
        with left:
            alt = _("Lines from each token to those that it looks at, in layer {layer}; most: {list}.", layer=layer + 1,
                    list=_strongest(chosen, result))  # fmt: skip
            show_plot(plots.arcs(chosen, result.rows, result.columns), f"{key}-arcs", alt)
    with right:
        alt = _("Attention weights of layer {layer} as a matrix, a row for each token that looks. Most: {list}.",
                layer=layer + 1, list=_strongest(chosen, result))  # fmt: skip
        show_plot(plots.matrix(chosen, result.rows, result.columns), f"{key}-matrix", alt)
    names = [f"{place} {piece.text}" for place, piece in enumerate(result.columns)]
    rows = [
        {_("Looks"): f"{place} {piece.text}"} | dict(zip(names, np.round(line, 4).tolist(), strict=True))
        for place, (piece, line) in enumerate(zip(result.rows, chosen, strict=True))
    ]
    show_behind(rows, f"{key}-weights", "attention", result.model, request)
    _show_heads(result, key)
    show_origin(result)


def _strongest(weights: Any, result: AttentionResult) -> str:
    """Where each token looks most, of the first ones, in words."""
    return ", ".join(
        f"{piece.text.strip()} → {result.columns[int(line.argmax())].text.strip()} {line.max():.0%}"
        for piece, line in zip(result.rows[:MOST_SAID], weights, strict=False)
    )


def _layer_and_head(opened: AttentionResult, key: str) -> tuple[int, int]:
    """The layer, from 0, and the head, from 1; head 0 is their mean. Begins at the layer of what was opened."""
    left, right = st.columns(2)
    layer = left.number_input(
        _("Layer"), 1, opened.layers, opened.layer + 1, key=f"{key}-layer", bind="query-params",
        help=_("1 to {count}.", count=opened.layers),
    )  # fmt: skip
    head = right.number_input(
        _("Head (0: the average of all)"), 0, opened.heads, value=1, key=f"{key}-head", bind="query-params",
        help=_("Each head looks by a rule of its own; their average hides that."),
    )  # fmt: skip
    return int(layer) - 1, int(head)


def _say_kind(result: AttentionResult) -> None:
    said = {
        "causal": _("Causal: a token looks only at itself and those before it, so the upper right stays empty."),
        "both ways": _("Both ways: each token looks at all others, before and behind it."),
        "cross": _(
            "Across: each word of the translation looks at the words of its source. Shown first is the last layer, "
            "which comes close to word alignment: which word is whose translation. In earlier layers a head may look "
            "a word too early or late."
        ),
    }
    st.caption(said[result.kind])


def _show_heads(result: AttentionResult, key: str) -> None:
    options = [0, 3] if result.kind == "cross" else list(HABITS)
    is_open = f"{key}-habit" in st.query_params
    words, icon = _("What each head is in the habit of"), ":material/grid_view:"
    with st.expander(words, icon=icon, key=f"{key}-heads-open", expanded=is_open):
        habit = st.selectbox(
            _("Habit"), options, format_func=labelled(HABITS, f"{key}-habit"), key=f"{key}-habit", bind="query-params"
        )
        habits = result.habits.values()
        show_plot(plots.heads(habits, habit), f"{key}-heads", _("A habit of every head: layers down, heads across."))
        if result.kind != "cross":
            st.caption(
                _("For the second token the first one is also the one before, so habits may add up to over 100 %.")
            )
        rows = [
            {_("Layer"): layer + 1, _("Head"): head + 1} | {_(HABITS[one]): round(float(value[one]),
            4) for one in options}
            for layer, line in enumerate(habits) for head, value in enumerate(line)
        ]  # fmt: skip
        show_table(rows, f"{key}-heads")
