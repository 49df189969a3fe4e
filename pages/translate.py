"""Translate a text, sentence by sentence, and see how sure the model is of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import streamlit as st

from engine.applications.languages import NAMED
from engine.applications.routes import translates
from engine.applications.sentences import Sentence
from engine.applications.translate import (
    APPLICATION,
    SAMPLES,
    TranslateRequest,
    TranslateResult,
    direction_of,
    first_target,
    known_languages,
    languages_of,
)
from engine.applications.words import alternatives, exchanged, find_words
from engine.catalogue.models import Model
from engine.explain.why import WhyRequest
from engine.messages import Text
from pages.parts.actions import offer_actions
from pages.parts.again import ask_again
from pages.parts.copying import copy_text
from pages.parts.decoding import settings_in_words
from pages.parts.engine import caller, house, may
from pages.parts.errors import errors_shown
from pages.parts.examples import offer_examples
from pages.parts.language import _, capitalised, labelled
from pages.parts.picker import pick_way
from pages.parts.reference import compare_with_reference
from pages.parts.routes import show_route
from pages.parts.share import header
from pages.parts.sizes import confidence_in_words
from pages.parts.streaming import ask, show_answer
from pages.parts.text import plain
from pages.parts.translated import choose_glossary, choose_input, translate_files
from pages.parts.typing import typed_text
from pages.parts.visits import Exchange, answer_of, is_new, is_tried, resume
from pages.parts.why import offer_why_sentence
from pages.parts.words import Place, show_words

KEY = "translation"
FROM_WIDTH, TO_WIDTH, MODEL_WIDTH = 145, 122, 310
"""Pixels for the longest titles; on a phone both languages stand beside each other, and the model below them."""
WORD, VIEWS = f"{KEY}-word", f"{KEY}-views"
"""The word that was clicked; the words of the translation that is shown."""
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


def doubts_of(result: TranslateResult) -> list[tuple[int, int]]:
    return result.translations[0].doubts()


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


def answer_target() -> str:
    """The language of the translation that is shown."""
    answer = answer_of(KEY)
    return str(answer.request.target) if answer else ""


def press() -> None:
    st.session_state[ASKED] = True


def fill(sample: TranslateRequest) -> None:
    st.session_state["text"] = sample.text
    st.session_state["from"], st.session_state["to"] = sample.source, sample.target


def show_translation(text: str, result: TranslateResult) -> None:
    """Below the text: how sure the model is, and what warns."""
    (done,) = result.translations
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        facts = [] if done.score is None else [f"{confidence_in_words(done.score)} ({done.score:.0%})"]
        facts.append(_("translated from {language}", language=NAMED[done.source]))
        facts += [_("a guess: choose another under From")] if done.is_guessed else []
        facts += [_("through English")] if result.via else []
        st.caption(capitalised(" · ".join(facts)), width="content")
        copy_text(text, "translation")
    if done.warning:
        st.warning(plain(_(done.warning)), icon=":material/sync_problem:")


def show_details(result: TranslateResult) -> None:
    """Each sentence with how sure the model is of it, why its words, and how near a reference is."""
    (done,) = result.translations
    with st.expander(_("Sentence by sentence"), icon=":material/segment:"):
        rows = [
            {
                _("Sure"): None if one.score is None else 100 * one.score,
                _("Translation"): one.text,
                _("Source"): one.source,
            }
            for one in done.sentences
        ]
        percent = st.column_config.ProgressColumn(format="%d %%", min_value=0, max_value=100, width=95)
        st.dataframe(rows, column_config={_("Sure"): percent}, hide_index=True)
        st.caption(settings_in_words(result.settings))
    offer_why_of(done.sentences, result)
    compare_with_reference(done, answer_target())


def offer_why_of(sentences: Sequence[Sentence], result: TranslateResult) -> None:
    """Why a word of a sentence, where one model made it of its source."""
    told = [one for one in sentences if one.text.strip() and one.source.strip()]
    if not told or result.via or house().catalogue.find(result.model).architecture != "seq2seq":
        return

    def make(number: int, before: str, word: str) -> WhyRequest:
        return WhyRequest(told[number].source, word, begun=before, model=result.model)

    offer_why_sentence([one.text for one in told], make, "why-translated", result.model)


def choose_word(place: Place | None) -> None:
    st.session_state[WORD] = place


def take(place: Place, text: str) -> None:
    """Put another sentence in the place of the one whose word was exchanged."""
    answer = answer_of(KEY)
    if answer and answer.result:
        (done,) = answer.result.translations
        done = exchanged(done, place[0], text)
        answer.text, answer.result = done.text, replace(answer.result, translations=[done])
    choose_word(None)


def show_words_of(answer: Exchange) -> bool:
    """The translation with its words, where the model can tell them."""
    (done,) = answer.result.translations
    if st.session_state.get(VIEWS, ("",))[0] != answer.text:
        st.session_state[VIEWS] = answer.text, find_words(house().engine, answer.result, caller())
        choose_word(None)
    views, place = st.session_state[VIEWS][1], st.session_state.get(WORD)
    if not views:
        return False
    show_words(done, views, f"{KEY}-words", place, choose_word)
    if place:
        with errors_shown():
            offer_words(done.sentences[place[0]], place, answer.result.model)
    return True


def offer_words(sentence: Sentence, place: Place, model_id: str) -> None:
    choices = alternatives(house().engine, model_id, sentence, place[1], caller())
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(_("Instead:") if choices else _("No other word fits here."), width="content")
        for number, choice in enumerate(choices):
            st.button(
                plain(choice.word), key=f"word-{number}", help=plain(choice.text), on_click=take,
                args=(place, choice.text),
            )  # fmt: skip


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
                KEY, APPLICATION.stream, errors=errors, now=now, doubts=doubts_of, finished=show_words_of,
                is_repeatable=True,
            )  # fmt: skip
            if answer is None or answer.is_empty:
                st.caption(_("The translation appears here, sentence by sentence."))
        if answer and answer.result:
            show_translation(answer.text, answer.result)
        offer_actions(KEY, can=can_too)
        if answer and answer.result:
            show_details(answer.result)
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
