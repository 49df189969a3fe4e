"""The text of a document that a visitor brings."""

from __future__ import annotations

from typing import Any

import streamlit as st

from engine.documents import ENDINGS, read_document
from pages.parts.engine import may
from pages.parts.errors import show_error
from pages.parts.language import _


def text_of_document(key: str, errors: Any = None) -> None:
    """A field for a document, whose text comes into the text area of that key."""

    def take() -> None:
        if (file := st.session_state[f"{key}_document"]) is not None:
            try:
                document = read_document(file.getvalue(), file.name)
                st.session_state[key] = "\n\n".join(one.text for one in document.paragraphs)
            except Exception as error:
                st.session_state[f"{key}_fault"] = error

    if may("upload"):
        endings = [ending[1:] for ending in ENDINGS]
        st.file_uploader(_("Or a document"), endings, key=f"{key}_document", on_change=take)
    if fault := st.session_state.pop(f"{key}_fault", None):
        show_error(fault, errors)
