"""Texts from a file that a visitor brings: a column of a table, or the lines of a text."""

from __future__ import annotations

from typing import Any

import streamlit as st

from engine.documents import ENDINGS, read_document
from engine.training.formats import READERS, read_table
from pages.parts.engine import may
from pages.parts.errors import errors_shown, show_error
from pages.parts.language import _

LIKELY = ("text", "review", "comment", "content", "message", "sentence", "tweet")
"""Names of columns that hold what people want judged."""


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


def texts_of_file(key: str, errors: Any = None) -> list[str]:
    """The cells of the chosen column that are not empty; none before there is a file."""
    file = st.file_uploader(_("File"), [ending[1:] for ending in READERS], key=f"{key}_file")
    if file is None:
        return []
    with errors_shown(errors):
        table = read_table(file.getvalue(), file.name)
        columns = list(table.columns)
        likely = next((columns.index(name) for name in columns if name.strip().lower() in LIKELY), 0)
        column = st.selectbox(_("Column"), columns, likely, key=f"{key}_column")
        cells = [row.get(column) for row in table.rows]
        return [str(cell) for cell in cells if cell is not None and str(cell).strip()]
    return []
