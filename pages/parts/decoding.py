"""Temperature and length in front, everything else folded away."""

from __future__ import annotations

from typing import Any

import streamlit as st

from engine.applications.write import PRESETS
from engine.requests import SAMPLING_LIMITS


def decoding_controls(key: str, max_new_tokens: int = 200) -> dict[str, Any]:
    """Draw the controls and return the sampling fields by name, as the engine takes them."""

    def use_preset() -> None:
        for name, value in PRESETS.get(st.session_state[f"{key}_preset"] or "", {}).items():
            st.session_state[f"{key}_{name}"] = value

    st.session_state.setdefault(f"{key}_preset", "Balanced")
    st.segmented_control(
        "Preset", list(PRESETS), key=f"{key}_preset", on_change=use_preset, help="Neutral switches every filter off."
    )
    values = dict(PRESETS["Balanced"])
    values["temperature"] = _slider(
        key, "temperature", "Temperature", 0.7, 0.05, "0 always takes the likeliest word; higher dares more."
    )
    values["max_new_tokens"] = st.slider(
        "Length (tokens)", 8, 1000, max_new_tokens, 8, key=f"{key}_max_new_tokens", bind="query-params"
    )
    with st.expander("More settings"):
        if values["temperature"] == 0:
            st.caption("At temperature 0 the likeliest token is taken: top-p, top-k and min-p do not act.")
        is_greedy = values["temperature"] == 0
        values["top_p"] = _slider(
            key, "top_p", "Top-p", 0.95, 0.01, "Keep the likeliest words that add up to this.", is_greedy
        )
        values["top_k"] = st.number_input(
            "Top-k", 0, 1000, 0, key=f"{key}_top_k", bind="query-params", disabled=is_greedy, help="0 keeps all."
        )
        values["min_p"] = _slider(
            key, "min_p", "Min-p", 0.0, 0.01, "Drop words less likely than this share of the likeliest.", is_greedy
        )
        values["repetition_penalty"] = _slider(
            key,
            "repetition_penalty",
            "Repetition penalty",
            1.1,
            0.05,
            "Above 1, words already used become less likely.",
        )
        stop = st.text_input("Stop at", key=f"{key}_stop", bind="query-params", help="Text that ends the answer.")
        seed = st.number_input(
            "Seed",
            0,
            2**31 - 1,
            None,
            key=f"{key}_seed",
            bind="query-params",
            help="The same seed gives the same text.",
        )
    return {**values, "stop": [stop] if stop else [], "seed": seed}


def _slider(
    key: str, name: str, label: str, default: float, step: float, help: str, is_disabled: bool = False
) -> float:
    low, high = SAMPLING_LIMITS[name]
    return st.slider(
        label, low, high, default, step, key=f"{key}_{name}", bind="query-params", help=help, disabled=is_disabled
    )
