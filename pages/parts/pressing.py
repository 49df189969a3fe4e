"""A main button's press, kept until it is acted on: a file that has just come, or what is told of typing, may end the
run that the press began, and Streamlit tells of a press in one run alone."""

from __future__ import annotations

import streamlit as st


def press(key: str) -> None:
    """The button's `on_click`."""
    st.session_state[f"{key}-pressed"] = True


def is_waiting(key: str) -> bool:
    """Whether a press waits to be acted on."""
    return f"{key}-pressed" in st.session_state


def is_pressed(key: str) -> bool:
    """Whether it was pressed since this was last asked."""
    return bool(st.session_state.pop(f"{key}-pressed", False))
