"""The words of the translation that is shown: each with its source, others in its place, the sentence reworded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import streamlit as st

from engine.applications.sentences import Sentence
from engine.applications.wordings import PART, WordingsRequest
from engine.applications.words import (
    CHOICES,
    Choice,
    Way,
    alternatives,
    exchanged,
    find_words,
    others,
    rewritten,
    way_of,
)
from pages.parts.engine import caller, house
from pages.parts.errors import errors_shown
from pages.parts.language import _
from pages.parts.pair import KEY
from pages.parts.snippets import note_deed
from pages.parts.text import plain, show_text
from pages.parts.visits import Exchange, keep_again
from pages.parts.words import Place, show_words

WORD, VIEWS, FOUND, OTHERS = (f"{KEY}-{name}" for name in ("word", "views", "choices", "others"))
"""In the session: the word that was clicked; the words of the translation that is shown, the choices for that word, and
other wordings of its sentence, each with what it was found for."""


def show_wordings(answer: Exchange) -> bool:
    """The translation with its words, where something here can tell them."""
    (done,) = answer.result.translations
    meanwhile = st.empty()
    if st.session_state.get(VIEWS, ("",))[0] != answer.text:
        show_text(answer.text, meanwhile)  # which would be gone while its words are looked for
        found = find_words(house().engine, answer.result, caller())
        meanwhile.empty()
        if found is None:  # soon, when the page is drawn the next time
            return False
        st.session_state[VIEWS] = answer.text, found
        _choose(None)
    views, place = st.session_state[VIEWS][1], st.session_state.get(WORD)
    if not views:
        return False
    show_words(done, views, f"{KEY}-words", place, _choose)
    if place:
        with errors_shown():
            _offer_words(answer, place)
            _offer_others(answer, place)
    return True


def _choose(place: Place | None) -> None:
    st.session_state[WORD] = place


def _take(answer: Exchange, place: Place, text: str) -> None:
    """Put another sentence in the place of the one that was clicked."""
    (done,) = answer.result.translations
    done = exchanged(done, place[0], text, str(answer.request.target))
    answer.text, answer.result = done.text, replace(answer.result, translations=[done])
    keep_again(answer)
    _choose(None)
    st.rerun()


def _way(answer: Exchange) -> Way:
    return way_of(answer.result, str(answer.request.target))


def _note(answer: Exchange, sentence: Sentence, name: str, **wanted: Any) -> None:
    """Have the code below the translation hold what was wanted of the sentence."""
    way = _way(answer)
    request = WordingsRequest(sentence.source, sentence.text, way.source, way.target, way.model, way.via, **wanted)
    note_deed(answer, name, PART, request)


def _offer_words(answer: Exchange, place: Place) -> None:
    """Words that could stand for the one that was clicked; the rest of the sentence goes on from the chosen one."""
    sentence, asked = answer.result.translations[0].sentences[place[0]], (answer.text, place)
    if st.session_state.get(FOUND, (None,))[0] != asked:
        with st.spinner(_("Looking for other words")):
            found = alternatives(house().engine, _way(answer), sentence, place[1], caller())
        st.session_state[FOUND] = asked, found
        _note(answer, sentence, _("Other words"), start=place[1])
    choices: Sequence[Choice] = st.session_state[FOUND][1]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(_("Instead:") if choices else _("No other word fits here."), width="content")
        for number, choice in enumerate(choices):
            words = plain(choice.text) if choice.text else _("The rest of the sentence is written anew from here.")
            if st.button(plain(choice.word), key=f"word-{number}", help=words):
                text = choice.text
                if not text:
                    with st.spinner(_("Writing the rest")):
                        text = rewritten(house().engine, _way(answer), sentence, choice.beginning, caller())
                    _note(answer, sentence, _("The rest written anew"), beginning=choice.beginning)
                _take(answer, place, text)


def _offer_others(answer: Exchange, place: Place) -> None:
    """Other translations of the whole sentence, once they are asked for."""
    sentence, asked = answer.result.translations[0].sentences[place[0]], (answer.text, place[0])
    if st.session_state.get(OTHERS, (None,))[0] != asked:
        if not st.button(_("The whole sentence in other words"), key="other-wordings", icon=":material/shuffle:"):
            return
        with st.spinner(_("Looking for other wordings")):
            found = others(house().engine, _way(answer), sentence, CHOICES, caller())
        st.session_state[OTHERS] = asked, found
        _note(answer, sentence, _("The whole sentence in other words"), others=CHOICES)
        st.rerun()
    found = st.session_state[OTHERS][1]
    st.caption(_("In other words, likely ones first:") if found else _("The model knows no other wording."))
    for number, text in enumerate(found):
        if st.button(plain(text), key=f"wording-{number}", icon=":material/swap_vert:", type="tertiary"):
            _take(answer, place, text)
