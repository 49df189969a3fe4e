"""Code that does by the HTTP API what was done on a page."""

from __future__ import annotations

import streamlit as st

from pages.parts.engine import house
from pages.parts.language import _


def show_code(words: str, curl: str, python: str) -> None:
    """Both forms of it, and what else the API wants here."""
    st.caption(words)
    st.code(curl, language="bash", wrap_lines=True)
    st.code(python, language="python", wrap_lines=True)
    if house().settings.api_needs_key:
        st.caption(_("This site's API wants a key from its host: add the header `Authorization: Bearer …`."))
