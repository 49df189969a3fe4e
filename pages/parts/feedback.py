"""A thumb under an answer, and why: for whoever runs this site, or to look back at at home."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from engine.messages import Text
from engine.storage.feedback import MAX_REASON_CHARACTERS
from pages.parts.engine import house
from pages.parts.language import _
from pages.parts.visits import HERE, Exchange, Here, visitor

REASONS: dict[bool, dict[str, Text]] = {
    True: {"right": Text("it is right"), "well said": Text("well said"), "useful": Text("useful")},
    False: {
        "wrong": Text("it is wrong"), "made up": Text("made up"), "not what I asked": Text("not what I asked"),
        "badly said": Text("badly said"), "wrong length": Text("wrong length"), "too slow": Text("too slow"),
    },
}  # fmt: skip
"""By whether the thumb is up; what is kept is the English word."""


def offer_thumbs(answer: Exchange) -> None:
    """Two thumbs for the answer of the page, and once one is given, what for."""
    here: Here | None = st.session_state.get(HERE)
    if here is not None and answer.result is not None:
        model = str(getattr(answer.result, "model", ""))
        take_thumb(f"thumb-{answer.visit or id(answer)}", here.application.id, model)


def take_thumb(name: str, page: str, model: str) -> None:
    """The same for what goes by that name."""
    if not house().settings.storage_bytes:
        return

    def take() -> None:
        if (thumb := st.session_state.get(name)) is not None:
            said = [st.session_state.get(f"{name}-why-{bool(thumb)}"), st.session_state.get(f"{name}-words")]
            reason = ": ".join(str(part).strip() for part in said if part)
            house().feedback.take(visitor(), page, model, name, is_good=bool(thumb), reason=reason)

    st.feedback(key=name, on_change=take)
    if st.session_state.get(name) is None:
        return
    reasons = REASONS[bool(st.session_state[name])]
    with st.popover(_("Why?"), icon=":material/rate_review:", key=f"{name}-popover"):
        st.pills(
            _("What for?"), list(reasons), format_func=lambda one: _(reasons[one]), on_change=take,
            key=f"{name}-why-{bool(st.session_state[name])}",
        )  # fmt: skip
        take_words(name, take)


def take_words(name: str, take: Callable[[], None]) -> None:
    """A field for a reason in one's own words."""
    st.text_input(
        _("In your words"), key=f"{name}-words", on_change=take, max_chars=MAX_REASON_CHARACTERS,
        placeholder=_("Press Enter to keep it"),
    )  # fmt: skip
    st.caption(_("Whoever runs this site sees the thumb and the reason, not what was asked or answered."))
