"""The text of a document that a visitor brings.

Reading takes a moment, and a browser shows a text a moment after it is there: whoever presses the page's button before
is answered for the document's text, and not for the one that it replaces.
"""

from __future__ import annotations

from typing import Any

import streamlit as st

from engine.documents import ENDINGS, read_document
from pages.parts.engine import may
from pages.parts.errors import show_error
from pages.parts.language import _
from pages.parts.text import plain


def put_text(key: str) -> None:
    """Called before the text area of that key is drawn: a document's text that was read comes into it."""
    text, was_pressed = (st.session_state.pop(f"{key}_{state}", None) for state in ("read", "pressed"))
    if text is not None:
        st.session_state[f"{key}_brought"] = st.session_state.get(key), text
        st.session_state[key] = text
    elif not was_pressed:  # the page was drawn since, so that its browser has the text
        st.session_state.pop(f"{key}_brought", None)


def press(key: str) -> None:
    """What the button's press does first: a browser that does not show a document's text yet sends the one before."""
    before, text = st.session_state.get(f"{key}_brought", (None, None))
    st.session_state[f"{key}_pressed"] = True
    if text is not None and st.session_state[key] == before:
        st.session_state[key] = text


def text_of_document(key: str, errors: Any = None, *, is_asked: bool = False) -> bool:
    """A field for a document, whose text comes into the text area of that key; whether that text is asked about.

    `is_asked` is whether the button was pressed; while a document is being read that holds until its text is there.
    """
    coming, asked, fault = (f"{key}_{state}" for state in ("coming", "asked", "fault"))
    if not may("upload"):
        return is_asked

    def note() -> None:
        st.session_state[coming] = True

    endings = [ending[1:] for ending in ENDINGS]
    file = st.file_uploader(_("Or a document"), endings, key=f"{key}_document", on_change=note)
    if file is not None and st.session_state.get(coming):
        st.session_state[asked] = is_asked or st.session_state.get(asked, False)
        with st.spinner(_("Reading {name}…", name=plain(file.name))):
            _read(key, file)
        st.rerun()
    was_asked = st.session_state.pop(asked, False)
    if error := st.session_state.pop(fault, None):
        show_error(error, errors)
        return is_asked
    return is_asked or was_asked


def _read(key: str, file: Any) -> None:
    """Whatever interrupts the page, what came of it is kept for the next time that it is drawn."""
    try:
        document = read_document(file.getvalue(), file.name)
        st.session_state[f"{key}_read"] = "\n\n".join(one.text for one in document.paragraphs)
    except Exception as error:
        st.session_state[f"{key}_fault"] = error
    st.session_state[f"{key}_coming"] = False
