"""Thumbs under an answer of a public site, for its host."""

from __future__ import annotations

import streamlit as st

from pages.parts.engine import house
from pages.parts.language import _
from pages.parts.visits import HERE, Exchange, Here, visitor


def offer_feedback(key: str, answer: Exchange) -> None:
    """Take a thumb for the answer of the page; nothing at home, where host and visitor are one."""
    here: Here | None = st.session_state.get(HERE)
    if here is None or here.answer != key or not house().settings.is_public or answer.result is None:
        return
    name = f"thumb-{answer.visit or id(answer)}"
    model = str(getattr(answer.result, "model", ""))

    def take() -> None:
        if (thumb := st.session_state.get(name)) is not None:
            house().feedback.take(visitor(), here.application.id, model, name, is_good=bool(thumb))

    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(_("Was this good? Whoever runs this site sees the thumb, not the text."), width="content")
        st.feedback(key=name, on_change=take)
