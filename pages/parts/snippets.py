"""Code that does by the HTTP API what was done on a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from engine.applications import Application
from engine.applications.snippets import FILE, as_json, body_of, curl, is_long, python
from pages.parts.engine import house
from pages.parts.language import _
from pages.parts.share import origin
from pages.parts.visits import Exchange

Deeds = Mapping[str, tuple[str, Mapping[str, Any]]]
"""What was done, by name: where it is asked for, behind `/api/`, and the body."""


def note_deed(
    answer: Exchange, name: str, application: Application[Any, Any], request: Any, result: Any = None
) -> None:
    """Have the code below an answer hold what else was asked about it."""
    answer.deeds[name] = application.id, body_of(application, request, result)


def offer_code(key: str, deeds: Deeds) -> None:
    """A popover with the code of each thing that was done."""
    opened = st.popover(_("Code"), icon=":material/terminal:", key=f"{key}-code", on_change="rerun")
    if not opened.open:
        return
    with opened:
        names = list(deeds)
        chosen = st.selectbox(_("What was done"), names, key=f"{key}-code-of") if len(names) > 1 else names[0]
        path, body = deeds[chosen]
        show_request(_("What you just did, asked of the HTTP API with the same settings and seed:"), path, body, key)


def show_request(words: str, path: str, body: Mapping[str, Any], key: str) -> None:
    """The code of one request, and its body as a file where that is long."""
    show_code(words, curl(origin(), path, body), python(origin(), path, body))
    if is_long(body):
        st.download_button(
            FILE, as_json(body), FILE, "application/json", icon=":material/download:", key=f"{key}-code-body",
            on_click="ignore",
        )  # fmt: skip


def show_code(words: str, curl: str, python: str) -> None:
    """Both forms of it, and what else the API wants here."""
    st.caption(words)
    st.code(curl, language="bash", wrap_lines=True)
    st.code(python, language="python", wrap_lines=True)
    if house().settings.api_needs_key:
        st.caption(_("This site's API wants a key from its host: add the header `Authorization: Bearer …`."))
