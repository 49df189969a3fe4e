"""What can be done with an answer, the same on every page: take it along, do it in code, judge it, compare it."""

from __future__ import annotations

from functools import partial
from typing import Any

import streamlit as st

from engine.applications.snippets import body_of
from engine.applications.takeaway import FORMAT_NAMES, MIMES, Takeaway
from pages.parts.again import redraw
from pages.parts.beside import Can, Draw, asked_beside, name_beside, offer_beside, show_beside
from pages.parts.feedback import offer_thumbs
from pages.parts.language import _, spoken
from pages.parts.snippets import Deeds, offer_code
from pages.parts.streaming import Doubts
from pages.parts.visits import HERE, Exchange, Here, answer_of


def offer_actions(
    key: str, draw: Draw | None = None, beside: Any = None, doubts: Doubts | None = None, can: Can | None = None
) -> None:
    """Below the answer under this key, once it has come: the row of actions, and what was asked beside it.

    `draw` shows an answer that stands beside another, where it is more than its text, and `beside` is where;
    `doubts` as in `show_answer`; `can` says which of the application's models could have been asked the same.
    """
    here: Here | None = st.session_state.get(HERE)
    answer = answer_of(key)
    if here is None or answer is None or answer.state not in ("done", "stopped") or not (answer.text or answer.result):
        return
    with st.container(horizontal=True, vertical_alignment="center", key=f"{key}-actions"):
        _offer_download(here, answer)
        offer_code(here.answer, _deeds(key, here, answer))
        offer_beside(key, here.application, answer, can)
        if not getattr(answer.request, "documents", ()):  # which are judged in other words
            offer_thumbs(answer)
    with beside or st.container():
        show_beside(key, here.application, draw, doubts)
    redraw()


def _offer_download(here: Here, answer: Exchange) -> None:
    opened = st.popover(_("Download"), icon=":material/download:", key=f"{here.answer}-download", on_change="rerun")
    if not opened.open:
        return
    taken, language = Takeaway(here.application, answer.request, answer.result, answer.text), spoken()
    with opened:
        for kind in taken.formats:
            st.download_button(
                _(FORMAT_NAMES[kind]), partial(taken.as_file, kind, language), taken.file_name(kind), MIMES[kind],
                key=f"{here.answer}-download-{kind}", on_click="ignore", width="stretch",
            )  # fmt: skip


def _deeds(key: str, here: Here, answer: Exchange) -> Deeds:
    """The answer, those that were asked beside it, and what else was asked about it."""
    deeds = {_("The answer"): (here.application.id, body_of(here.application, answer.request, answer.result))}
    for other in asked_beside(key).values():
        name = name_beside(answer.request, other.request)
        deeds[name] = here.application.id, body_of(here.application, other.request, other.result)
    return {**deeds, **answer.deeds}
