"""The text of a document that a visitor brings.

Reading takes a moment, and a browser shows a text a moment after it is there: whoever presses the page's button before
is answered for the document's text, and not for the one that it replaces.
"""

from __future__ import annotations

from typing import Any

import streamlit as st

from engine.documents import ENDINGS, read_document
from pages.parts import pressing
from pages.parts.engine import may
from pages.parts.errors import show_error
from pages.parts.language import _
from pages.parts.text import plain


def put_text(key: str) -> None:
    """Called before the text area of that key is drawn: a document's text that was read comes into it."""
    text = st.session_state.pop(f"{key}_read", None)
    if text is not None:
        st.session_state[f"{key}_brought"] = st.session_state.get(key), text
        st.session_state[key] = text
    elif not pressing.is_waiting(key):  # the page was drawn since, so that its browser has the text
        st.session_state.pop(f"{key}_brought", None)


def press(key: str) -> None:
    """The button's `on_click`: a browser that does not show a document's text yet sends the one before."""
    before, text = st.session_state.get(f"{key}_brought", (None, None))
    pressing.press(key)
    if text is not None and st.session_state[key] == before:
        st.session_state[key] = text


def text_of_document(key: str, errors: Any = None) -> None:
    """A field for a document, whose text comes into the text area of that key; a press is kept until it is there."""
    coming, fault = f"{key}_coming", f"{key}_fault"
    if not may("upload"):
        return

    def note() -> None:
        st.session_state[coming] = True

    endings = [ending[1:] for ending in ENDINGS]
    file = st.file_uploader(_("Or a document"), endings, key=f"{key}_document", on_change=note)
    if file is not None and st.session_state.get(coming):
        with st.spinner(_("Reading {name}…", name=plain(file.name))):
            _read(key, file)
        st.rerun()
    if error := st.session_state.pop(fault, None):
        show_error(error, errors)


def _read(key: str, file: Any) -> None:
    """Whatever interrupts the page, what came of it is kept for the next time that it is drawn."""
    try:
        document = read_document(file.getvalue(), file.name)
        st.session_state[f"{key}_read"] = "\n\n".join(one.text for one in document.paragraphs)
    except Exception as error:
        st.session_state[f"{key}_fault"] = error
        pressing.is_pressed(key)  # nothing is asked about a text that did not come
    st.session_state[f"{key}_coming"] = False
