"""A changed setting asks again by itself, where an answer is quick: at home, and only after a first answer.

What is typed waits for the button, in a form or not.

Streamlit's sliders tell of a change once they have rested for 200 ms, and a new run of the page ends the one before,
which cancels its work.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import streamlit as st

from pages.parts.engine import house, may
from pages.parts.streaming import ask
from pages.parts.visits import HERE, TYPED, Here, answer_of, difference

QUICK_SECONDS = 0.5
Change = Literal["rerun", "ignore"]
DRAWN = "changes_drawn"
"""What the settings of the page do, as it was drawn."""
LENGTHS = ("max_new_tokens", "words")
"""Settings with which an answer's time grows."""


def changes() -> Change:
    """What the change of a setting does, as a widget's `on_change`: nothing where an answer takes its time."""
    drawn = st.session_state[DRAWN] = _changes()
    return drawn


def redraw() -> None:
    """Draw the page again, where the answer that has just come changes what its settings do."""
    if st.session_state.pop(DRAWN, None) not in (None, _changes()):
        st.rerun()


def _changes() -> Change:
    here: Here | None = st.session_state.get(HERE)
    answer = answer_of(here.answer) if here else None
    is_quick = answer is not None and answer.seconds is not None and answer.seconds < QUICK_SECONDS
    return "rerun" if is_quick and may("ask while typing") else "ignore"


def ask_again(key: str, now: Any) -> None:
    """Ask with the new settings, if the last answer under this key was quick and the text is still the same.

    Of what was typed since, the answer's own stays until the button is pressed.
    """
    answer = answer_of(key)
    if now is None or answer is None or answer.seconds is None or answer.state in ("asked", "failed"):
        return
    now = replace(now, **{name: getattr(answer.request, name) for name in TYPED if hasattr(now, name)})
    seconds = answer.seconds * _growth(answer.request, now)
    is_at_hand = now.model == answer.request.model or (now.model and house().engine.is_loaded(now.model))
    if seconds < QUICK_SECONDS and is_at_hand and may("ask while typing") and difference(answer, now) == "settings":
        ask(key, now, is_kept=False)


def _growth(before: Any, now: Any) -> float:
    """How many times longer the new answer may be."""
    for name in LENGTHS:
        one, other = getattr(before, name, None), getattr(now, name, None)
        if one and other:
            return float(max(1.0, other / one))
    return 1.0
