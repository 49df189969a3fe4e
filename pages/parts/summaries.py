"""Below a summary: its length, what to beware of, and where in the text each sentence comes from."""

from __future__ import annotations

import streamlit as st

from engine.applications import written
from engine.applications.summarize import WORDS, SummarizeRequest, SummarizeResult, SummarySentence, length
from engine.explain.why import WhyRequest, around, from_generate
from engine.requests import Sampling
from pages.parts.decoding import settings_in_words
from pages.parts.engine import house
from pages.parts.language import _
from pages.parts.sizes import percent_in_words
from pages.parts.text import plain, show_marks
from pages.parts.visits import Exchange
from pages.parts.why import offer_why_sentence

MAX_MARKED = 30_000
"""Characters of a text that is shown with its marks."""


def doubts_of(result: SummarizeResult) -> list[tuple[int, int]]:
    """Where sentences stand that hold what the text does not, or that no sentence of it supports."""
    doubtful = [one.text for one in result.sentences if one.unsupported or not one.sources]
    places = [(result.text.find(one), len(one)) for one in doubtful]
    return [(start, start + length) for start, length in places if start >= 0]


def show_facts(answer: Exchange) -> None:
    """Below a summary: its length, what to beware of, and where it comes from."""
    result: SummarizeResult = answer.result
    facts = [_(length(result.words, result.language))]
    facts += [_("from {count} parts", count=result.parts)] if result.parts > 1 else []
    facts += [f"{name.upper().replace('ROUGE', 'ROUGE-')} {100 * score:.1f}" for name, score in result.rouge.items()]
    st.caption(" · ".join(facts))
    for words in filter(None, (result.note, result.warning)):
        st.caption(f":material/info: {plain(_(words))}")
    with st.expander(_("Where it comes from"), icon=":material/format_quote:"):
        if result.is_quoted and len(answer.request.text) <= MAX_MARKED:
            show_marks(answer.request.text, [(one.start, one.end) for each in result.sentences for one in each.sources])
        else:
            for sentence in result.sentences:
                show_sources(sentence, is_quoted=result.is_quoted)
        if result.settings:
            st.caption(settings_in_words(result.settings))
    if result.sentences and not result.is_quoted:
        offer_why_of(answer.request, result)


def offer_why_of(asked: SummarizeRequest, result: SummarizeResult) -> None:
    """Why a word of a sentence that a model wrote, with the text around what supports it as what it read."""
    model = house().catalogue.find(result.model)

    def make(number: int, before: str, word: str) -> WhyRequest:
        sources = result.sentences[number].sources
        start, end = (sources[0].start, sources[0].end) if sources else (0, 0)
        read = around(asked.text, start, end)
        order = written.ask(model, read, asked.words or WORDS, result.language, Sampling())
        return from_generate(order, model.id, word, before, own=[read])

    offer_why_sentence([one.text for one in result.sentences], make, f"why-summed-{model.id}", model.id)


def show_sources(sentence: SummarySentence, *, is_quoted: bool) -> None:
    """A sentence of the summary over those of the text that support it."""
    st.markdown(f"**{plain(sentence.text)}**")
    if sentence.unsupported:
        st.caption(":material/warning: " + _("Not in the text: {words}", words=plain(", ".join(sentence.unsupported))))
    for source in sentence.sources if not is_quoted else ():
        st.markdown(f"> {plain(source.text)} · {percent_in_words(source.score)}")
    if not sentence.sources:
        st.caption(":material/warning: " + _("No sentence of the text says this."))
