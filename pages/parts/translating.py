"""The text that is translated, as it was sent and as it is typed, and when it is translated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import streamlit as st

from engine.applications.translate import APPLICATION, SAMPLES, TranslateRequest, direction_of
from pages.parts.again import ask_again
from pages.parts.engine import house, may
from pages.parts.examples import offer_examples
from pages.parts.language import _
from pages.parts.pair import KEY, NAMES, Pair
from pages.parts.pressing import is_pressed, press
from pages.parts.routes import show_route
from pages.parts.streaming import ask
from pages.parts.typing import typed_text
from pages.parts.visits import is_new, is_tried


@dataclass(frozen=True)
class Typed:
    """The text as it was sent and as it is typed now, and where what is wrong with it belongs."""

    text: str
    newest: str
    errors: Any

    @property
    def is_typing(self) -> bool:
        return self.newest != self.text


def type_text(pair: Pair) -> Typed:
    """A field for the text with its button; examples fill it."""
    with st.form("translate", border=False):
        text = st.text_area(
            _("Text"), str(SAMPLES[0].text), height="content", key="text", persist_state="session",
            label_visibility="collapsed",
        )  # fmt: skip
        st.form_submit_button(
            _("Translate"),
            type="primary",
            icon=":material/translate:",
            disabled=not pair.is_able,
            on_click=press,
            args=(KEY,),
        )
    errors = st.container()
    newest = typed_text("text", text) if pair.is_automatic and may("ask while typing") else text
    limit = house().engine.settings.max_text_characters
    st.caption(_("{count:,} of {limit:,} characters", count=len(newest), limit=limit))
    offer_examples({_pair_of(sample): sample for sample in SAMPLES}, _fill, "translate_example")
    return Typed(text, newest, errors)


def ask_for(typed: Typed, pair: Pair, glossary: list[str]) -> TranslateRequest | None:
    """What would be asked now; it is asked where the button was pressed, and while it is typed where that is quick."""
    if not pair.is_able:
        return None
    now = TranslateRequest(typed.newest, pair.source, pair.target, pair.model_id, glossary)
    route = None
    if pair.is_automatic:
        with pair.below:
            route = show_route(*direction_of(house().catalogue, now))
    is_typing = typed.is_typing and route is not None and route.is_quick
    if is_pressed(KEY) or is_tried(APPLICATION) or (is_typing and is_new(KEY, now)):
        ask(KEY, now, is_kept=not is_typing)
    elif not typed.is_typing:
        ask_again(KEY, now)
    return now


def _pair_of(sample: TranslateRequest) -> str:
    return f"{_(NAMES[sample.source])} → {_(NAMES[sample.target])}"


def _fill(sample: TranslateRequest) -> None:
    st.session_state["text"] = sample.text
    st.session_state["from"], st.session_state["to"] = sample.source, sample.target
