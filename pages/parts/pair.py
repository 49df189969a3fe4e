"""Between which languages is translated and by whom: both languages, the button that exchanges them, the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import streamlit as st

from engine.applications.directions import languages_of
from engine.applications.languages import NAMED
from engine.applications.routes import translates
from engine.applications.translate import APPLICATION, first_target, known_languages
from engine.catalogue.models import Model
from engine.messages import Text
from pages.parts.engine import house
from pages.parts.language import _, labelled
from pages.parts.picker import pick_way
from pages.parts.visits import answer_of

KEY = "translation"
FROM_WIDTH, TO_WIDTH, MODEL_WIDTH = 145, 122, 310
"""Pixels for the longest titles; on a phone both languages stand beside each other, and the model below them."""
NAMES = {"auto": Text("Detect language")} | NAMED


@dataclass(frozen=True)
class Pair:
    """What was chosen. `label` stands above the source, and what is told of the way belongs at `below`."""

    source: str
    target: str
    model: Model | None
    is_automatic: bool
    label: str
    below: Any

    @property
    def is_able(self) -> bool:
        """Whether there is who translates."""
        return self.model is not None or self.is_automatic

    @property
    def model_id(self) -> str | None:
        """None leaves the model to the application."""
        return self.model.id if self.model else None


def choose_pair() -> Pair:
    """Pickers in one row, and below it what to do about a model that is not there."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="xsmall"):
        source_place, swap_place, target_place, model_place = st.empty(), st.empty(), st.empty(), st.empty()
    below, catalogue = st.container(), house().catalogue
    is_automatic, model = pick_way(
        APPLICATION, APPLICATION.default_model, Text("Best at hand"), place=model_place, below=below, width=MODEL_WIDTH
    )
    codes = languages_of(model) if model else known_languages(catalogue)
    sources, targets = ([code] for code in model.pair) if model and model.pair else (["auto", *codes], codes)
    label = from_label()
    source = source_place.selectbox(
        label, sources, format_func=labelled(NAMES, "from"), key="from", bind="query-params", width=FROM_WIDTH
    )
    swap_place.button(
        _("Swap languages"), icon=":material/swap_horiz:", on_click=_swap, key="icon-swap",
        disabled=model is not None and model.pair is not None,
    )  # fmt: skip
    first = first_target(catalogue, (st.context.locale or "").partition("-")[0])
    target = target_place.selectbox(
        _("To"), targets, index=targets.index(first) if first in targets else 0, format_func=labelled(NAMES, "to"),
        key="to", bind="query-params", width=TO_WIDTH,
    )  # fmt: skip
    return Pair(source, target, model, is_automatic, label, below)


def from_label() -> str:
    """What the source language was taken for, where nobody named it."""
    answer = answer_of(KEY)
    if answer and answer.result and answer.request.source == "auto":
        return _("From ({language})", language=NAMED[answer.result.translations[0].source])
    return _("From")


def can_too(model: Model) -> bool:
    """Whether it can be asked beside: it translates the languages of the translation that is shown."""
    answer = answer_of(KEY)
    return bool(
        answer and answer.result
        and translates(model, answer.result.translations[0].source, answer.request.target)
    )  # fmt: skip


def _swap() -> None:
    """Exchange the languages, and take the translation as the new text."""
    source, target = st.session_state["from"], st.session_state["to"]
    answer = answer_of(KEY)
    if source == "auto":
        found = answer.result.translations[0].source if answer and answer.result else "en"
        source = found if found != target else ("fr" if target == "en" else "en")
    st.session_state["from"], st.session_state["to"] = target, source
    if answer and answer.text:
        st.session_state["text"] = answer.text.strip()
        del st.session_state[KEY]
