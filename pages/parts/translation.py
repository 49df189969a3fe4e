"""Below a translation: how sure the model is of it, sentence by sentence, why a word, and a reference beside it."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from engine.applications.languages import NAMED
from engine.applications.prompts import ask as prompt_of
from engine.applications.sentences import DOUBTFUL, Sentence
from engine.applications.translate import TranslateResult
from engine.explain.why import WhyRequest, from_generate
from engine.messages import counted
from pages.parts.copying import copy_text
from pages.parts.decoding import settings_in_words
from pages.parts.engine import house
from pages.parts.language import _, capitalised
from pages.parts.reference import compare_with_reference
from pages.parts.sizes import confidence_in_words
from pages.parts.text import plain
from pages.parts.why import offer_why_sentence


def doubts_of(result: TranslateResult) -> list[tuple[int, int]]:
    """Where the sentences stand that the model is unsure of."""
    return result.translations[0].doubts()


def show_translation(text: str, result: TranslateResult) -> None:
    """Below the text: how sure the model is, and what warns."""
    (done,) = result.translations
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        facts = [] if done.score is None else [f"{confidence_in_words(done.score, DOUBTFUL)} ({done.score:.0%})"]
        facts.append(_("translated from {language}", language=NAMED[done.source]))
        facts += [_("a guess: choose another under From")] if done.is_guessed else []
        facts += [_("through English")] if result.via else []
        facts += _from_our_list(done.sentences)
        st.caption(capitalised(" · ".join(facts)), width="content")
        copy_text(text, "translation")
    if done.warning:
        st.warning(plain(_(done.warning)), icon=":material/sync_problem:")


def _from_our_list(sentences: Sequence[Sentence]) -> list[str]:
    """What of a translation is known to be said so: all of it, or some of its sentences."""
    count = sum(one.is_common for one in sentences)
    if 0 < count < len(sentences):
        return [_(counted("{count} common phrase, from our list", "{count} common phrases, from our list", count))]
    return [_("a common phrase, from our list")] if count else []


def show_details(result: TranslateResult, target: str) -> None:
    """Each sentence with how sure the model is of it, why its words, and how near a reference is."""
    (done,) = result.translations
    with st.expander(_("Sentence by sentence"), icon=":material/segment:"):
        rows = [
            {
                _("Sure"): None if one.score is None else 100 * one.score,
                _("Translation"): one.text,
                **({_("Read in English"): one.halfway} if result.via else {}),
                _("Source"): one.source,
            }
            for one in done.sentences
        ]
        percent = st.column_config.ProgressColumn(format="%d %%", min_value=0, max_value=100, width=95)
        st.dataframe(rows, column_config={_("Sure"): percent}, hide_index=True)
        st.caption(settings_in_words(result.settings))
    _offer_why(done.sentences, result, target)
    compare_with_reference(done, target)


def _offer_why(sentences: Sequence[Sentence], result: TranslateResult, target: str) -> None:
    """Why a word of a sentence, as what the model that wrote it had read speaks for it."""
    told = [one for one in sentences if one.text.strip() and (one.halfway if result.via else one.source).strip()]
    model = house().catalogue.find(result.model)
    source = "en" if result.via else result.translations[0].source

    def make(number: int, before: str, word: str) -> WhyRequest:
        read = told[number].halfway or told[number].source
        return from_generate(prompt_of(model, read, source, target), model.id, word, before, own=[read])

    offer_why_sentence([one.text for one in told], make, "why-translated", result.model)
