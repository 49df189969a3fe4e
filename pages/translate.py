"""Translate a text, sentence by sentence, and see how sure the model is of each."""

from __future__ import annotations

from typing import Any

import streamlit as st

from engine.applications.languages import NAMED
from engine.applications.routes import translates
from engine.applications.translate import (
    APPLICATION,
    SAMPLES,
    TranslateRequest,
    direction_of,
    first_target,
    known_languages,
    languages_of,
)
from engine.catalogue.models import Model
from engine.messages import Text
from pages.parts.actions import offer_actions
from pages.parts.again import ask_again
from pages.parts.engine import house, may
from pages.parts.examples import offer_examples
from pages.parts.language import _, labelled
from pages.parts.picker import pick_way
from pages.parts.routes import show_route
from pages.parts.share import header
from pages.parts.streaming import ask, show_answer
from pages.parts.translated import choose_glossary, choose_input, translate_files
from pages.parts.translation import doubts_of, show_details, show_translation
from pages.parts.typing import typed_text
from pages.parts.visits import answer_of, is_new, is_tried, resume
from pages.parts.wordings import show_wordings

KEY = "translation"
FROM_WIDTH, TO_WIDTH, MODEL_WIDTH = 145, 122, 310
"""Pixels for the longest titles; on a phone both languages stand beside each other, and the model below them."""
ASKED = f"{KEY}-asked"
"""That the button was pressed, until it is acted on: what is told of typing may end the run that the press began."""
NAMES = {"auto": Text("Detect language")} | NAMED


def pair_of(sample: TranslateRequest) -> str:
    return f"{_(NAMES[sample.source])} → {_(NAMES[sample.target])}"


def swap() -> None:
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


def press() -> None:
    st.session_state[ASKED] = True


def fill(sample: TranslateRequest) -> None:
    st.session_state["text"] = sample.text
    st.session_state["from"], st.session_state["to"] = sample.source, sample.target


def input_text() -> tuple[str, str, Any]:
    """The text as it was sent and as it is typed now, and where errors belong."""
    with st.form("translate", border=False):
        text = st.text_area(
            _("Text"), str(SAMPLES[0].text), height=230, key="text", persist_state="session",
            label_visibility="collapsed",
        )  # fmt: skip
        st.form_submit_button(
            _("Translate"), type="primary", icon=":material/translate:", disabled=not (model or is_automatic),
            on_click=press,
        )  # fmt: skip
    errors = st.container()
    newest = typed_text("text", text) if is_automatic and may("ask while typing") else text
    limit = house().engine.settings.max_text_characters
    st.caption(_("{count:,} of {limit:,} characters", count=len(newest), limit=limit))
    offer_examples({pair_of(sample): sample for sample in SAMPLES}, fill, "translate_example")
    return text, newest, errors


def translate_text() -> None:
    """The text on one side, its translation on the other."""
    left, right = st.columns(2, gap="medium")
    with left:
        text, newest, errors = input_text()
        glossary = choose_glossary()
    id = model.id if model else None
    now = TranslateRequest(newest, source, target, id, glossary) if model or is_automatic else None
    with offer_place:
        route = show_route(*direction_of(catalogue, now)) if now and is_automatic else None
    is_typing = newest != text and route is not None and not route.is_makeshift
    if now and (st.session_state.get(ASKED) or is_tried(APPLICATION) or (is_typing and is_new(KEY, now))):
        ask(KEY, now, is_kept=not is_typing)
        st.session_state.pop(ASKED, None)
    elif newest == text:
        ask_again(KEY, now)
    with right:
        with st.container(border=True, key="answer-box"):
            answer = show_answer(
                KEY, APPLICATION.stream, errors=errors, now=now, doubts=doubts_of, finished=show_wordings,
                is_repeatable=True,
            )  # fmt: skip
            if answer is None or answer.is_empty:
                st.caption(_("The translation appears here, sentence by sentence."))
        if answer and answer.result:
            show_translation(answer.text, answer.result)
        offer_actions(KEY, can=can_too)
        if answer and answer.result:
            show_details(answer.result, str(answer.request.target))
    if label != from_label():  # the answer that tells the language came after the label was drawn
        st.rerun()


header(_(APPLICATION.title), _("A small model reads each sentence and writes it in another language, word by word."))
resume(APPLICATION, KEY, ["text"], ["from", "to", "glossary"])
is_file = choose_input()
with st.container(horizontal=True, vertical_alignment="bottom", gap="xsmall"):
    source_place, swap_place, target_place, model_place = st.empty(), st.empty(), st.empty(), st.empty()
offer_place = st.container()
catalogue = house().catalogue
is_automatic, model = pick_way(
    APPLICATION,
    APPLICATION.default_model,
    Text("Best at hand"),
    place=model_place,
    below=offer_place,
    width=MODEL_WIDTH,
)
codes = languages_of(model) if model else known_languages(catalogue)
is_pair = model is not None and model.pair is not None
sources, targets = ([code] for code in model.pair) if model and model.pair else (["auto", *codes], codes)
label = from_label()
source = source_place.selectbox(
    label, sources, format_func=labelled(NAMES, "from"), key="from", bind="query-params", width=FROM_WIDTH
)
swap_place.button(_("Swap languages"), icon=":material/swap_horiz:", on_click=swap, key="icon-swap", disabled=is_pair)
first = first_target(catalogue, (st.context.locale or "").partition("-")[0])
target = target_place.selectbox(
    _("To"), targets, index=targets.index(first) if first in targets else 0, format_func=labelled(NAMES, "to"),
    key="to", bind="query-params", width=TO_WIDTH,
)  # fmt: skip

if is_file:
    with offer_place:
        if is_automatic:
            show_route(source, target)
    translate_files(source, target, model, is_able=model is not None or is_automatic)
else:
    translate_text()
