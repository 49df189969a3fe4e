"""Controls for decoding: temperature and length under the button, the others folded away.

Moving a control runs the page only where an answer is quick enough to follow; else the values that count are those at
the time of a request.
"""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import fields
from typing import Any, Literal

import streamlit as st

from engine.messages import Text
from engine.requests import MAX_SEED, MAX_STOP_CHARACTERS, SAMPLING_LIMITS, Sampling
from pages.parts.again import changes
from pages.parts.language import _, labelled
from pages.parts.text import plain

HELP = {
    "temperature": Text("0 always takes the likeliest word; higher dares more."),
    "top_p": Text("Keep the likeliest words that add up to this probability; 1 keeps all."),
    "top_k": Text("Keep this many of the likeliest words; 0 keeps all."),
    "min_p": Text("Drop words less likely than this share of the likeliest one; 0 drops none."),
    "repetition_penalty": Text("Above 1, words already used become less likely."),
}
NAMES = {
    "max_new_tokens": Text("max new tokens"),
    "temperature": Text("temperature"),
    "top_p": Text("top p"),
    "top_k": Text("top k"),
    "min_p": Text("min p"),
    "repetition_penalty": Text("repetition penalty"),
    "stop": Text("stop"),
    "seed": Text("seed"),
}
PRESETS: dict[str, dict[str, float]] = {
    "Precise": {"temperature": 0.3, "top_p": 0.9, "top_k": 50, "min_p": 0.0, "repetition_penalty": 1.15},
    "Balanced": {"temperature": 0.7, "top_p": 0.95, "top_k": 50, "min_p": 0.0, "repetition_penalty": 1.1},
    "Creative": {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "min_p": 0.08, "repetition_penalty": 1.05},
    "Neutral": {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0},
}
"""Named settings; Neutral is the model's own distribution without any filter.

Top-k also spares work: of 262,144 words Gemma would sort all for top-p at every step, a fifth of its time."""
PRESET_NAMES = {
    "Precise": Text("Precise"),
    "Balanced": Text("Balanced"),
    "Creative": Text("Creative"),
    "Neutral": Text("Neutral"),
}
_ALWAYS = ("temperature", "max_new_tokens")
OFF = {
    each.name: each.default for each in fields(Sampling) if each.name in SAMPLING_LIMITS and each.name not in _ALWAYS
}
"""Filters and penalties with the values at which they do nothing."""
MAX_LENGTH = 1000
"""Tokens offered on the pages; the engine takes more."""


def main_controls(key: str, max_new_tokens: int = 200) -> dict[str, Any]:
    """Temperature and length, side by side, to stand right under the button of every page that writes; by name."""
    left, right = st.columns(2)
    with left:
        temperature = _slider(key, "temperature", _("Temperature"), PRESETS["Balanced"], 0.05)
    length = right.slider(
        _("Length in tokens"), 8, MAX_LENGTH, max_new_tokens, 8, key=f"{key}_max_new_tokens", bind="query-params",
        on_change=changes(), help=_("A token is about three quarters of an English word."),
    )  # fmt: skip
    return {"temperature": temperature, "max_new_tokens": length}


def more_controls(key: str) -> dict[str, Any]:
    """The other sampling fields by name, as the engine takes them, folded away."""
    default = PRESETS["Balanced"]
    values: dict[str, Any] = {}
    with st.expander(_("More settings"), icon=":material/tune:"):
        _preset(key, default)
        st.caption(_("At temperature 0, top-p, top-k and min-p do not act."))
        values["top_p"] = _slider(key, "top_p", _("Top-p"), default, 0.01)
        low, high = SAMPLING_LIMITS["top_k"]
        values["top_k"] = st.number_input(
            _("Top-k"), int(low), int(high), int(default["top_k"]), key=f"{key}_top_k", bind=_bound(f"{key}_top_k"),
            on_change=changes(), help=_(HELP["top_k"]),
        )  # fmt: skip
        values["min_p"] = _slider(key, "min_p", _("Min-p"), default, 0.01)
        values["repetition_penalty"] = _slider(key, "repetition_penalty", _("Repetition penalty"), default, 0.05)
        stop = st.text_input(
            _("Stop at"), key=f"{key}_stop", bind="query-params", on_change=changes(), max_chars=MAX_STOP_CHARACTERS,
            help=_("Text that ends the answer."),
        )  # fmt: skip
        values["seed"] = st.number_input(
            _("Seed"), 0, MAX_SEED, None, key=f"{key}_seed", bind=_bound(f"{key}_seed"), on_change=changes(),
            placeholder=_("drawn anew each time"), help=_("The same seed gives the same text."),
        )  # fmt: skip
    return {**values, "stop": [stop] if stop else []}


def keys_of(key: str) -> list[str]:
    """The keys of all these controls."""
    names = ("temperature", "max_new_tokens", "top_p", "top_k", "min_p", "repetition_penalty", "stop", "seed")
    return [f"{key}_{name}" for name in names]


def settings_in_words(settings: dict[str, Any]) -> str:
    """The settings that acted, as Markdown; those that were off are left out."""
    is_greedy = settings.get("temperature") == 0
    off = OFF | ({"seed": settings.get("seed")} if is_greedy else {})
    acted = {name: value for name, value in settings.items() if value not in (None, [], ()) and value != off.get(name)}
    words = [f"{_(NAMES.get(name, name))} {plain(_shown(value))}" for name, value in acted.items()]
    if is_greedy:
        words.append(_("always the likeliest word: top-p, top-k, min-p and the seed did not act"))
    return _("Settings: {list}", list=" · ".join(words))


def _bound(key: str) -> Literal["query-params"] | None:
    """Whether a whole number follows the link: not where that holds one without end, at which Streamlit fails."""
    with suppress(ValueError):
        if math.isinf(float(st.query_params.get(key, ""))):
            del st.query_params[key]
            return None
    return "query-params"


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return ", ".join(map(repr, value)) if isinstance(value, list | tuple) else str(value)


def _preset(key: str, default: dict[str, float]) -> None:
    """Buttons that set all filters at once; the one in force is marked."""
    name = f"{key}_preset"

    def use() -> None:
        for field, value in PRESETS.get(st.session_state[name] or "", {}).items():
            st.session_state[f"{key}_{field}"] = value

    now = {field: st.session_state.get(f"{key}_{field}", value) for field, value in default.items()}
    st.session_state[name] = next((title for title, preset in PRESETS.items() if preset == now), None)
    st.pills(
        _("Preset"), list(PRESETS), key=name, on_change=use, format_func=labelled(PRESET_NAMES, name),
        help=_("Neutral switches every filter off."),
    )  # fmt: skip


def _slider(key: str, name: str, label: str, default: dict[str, float], step: float) -> float:
    low, high = SAMPLING_LIMITS[name]
    return st.slider(
        label, low, high, float(default[name]), step, key=f"{key}_{name}", bind="query-params", on_change=changes(),
        help=_(HELP[name]),
    )  # fmt: skip
