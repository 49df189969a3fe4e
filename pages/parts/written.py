"""Below a draft: what can be done with it, how it came about, and why a word of it came."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import streamlit as st

from engine.applications import write
from engine.applications.write import WriteResult
from engine.explain.why import WhyRequest, from_generate
from engine.messages import Text, counted
from pages.parts import colours
from pages.parts.copying import copy_text
from pages.parts.decoding import settings_in_words
from pages.parts.engine import house
from pages.parts.forms import show_outcome
from pages.parts.language import _
from pages.parts.visits import Exchange
from pages.parts.why import offer_why_word

ENDS = {
    "stop": Text("the model ended it"),
    "length": Text("ended at the length you set"),
    "deadline": Text("ended by the time limit"),
}


def opening_of(answer: Exchange) -> str:
    """What stands before the new text: a free text's own beginning, and what was written earlier."""
    beginning = answer.request.text if answer.request.kind == "free" else ""
    model = house().catalogue.models.get(answer.request.model or "")
    if beginning and model and write.is_asked(model):
        beginning += "\n\n"
    return beginning + str(answer.request.continuation)


def facts_in_words(result: WriteResult) -> str:
    """How the text came about: length, speed, first token, end."""
    facts = [_(counted("{count} token", "{count} tokens", result.new_tokens))]
    if result.is_repeated:
        facts.append(_("repeated from memory"))
    if result.tokens_per_second:
        facts.append(_("{number} a second", number=f"{result.tokens_per_second:.0f}"))
    if result.first_token_seconds is not None:
        facts.append(_("first after {seconds:.2f} s", seconds=result.first_token_seconds))
    if not (result.verse or result.note):  # where code saw to the end
        facts.append(_(ENDS.get(result.finish_reason, result.finish_reason)))
    return " · ".join([*facts, *([_(result.ending)] if result.ending else [])])


def show_draft(draft: Exchange, before: str, *, is_ready: bool) -> None:
    """Below the text: what can be done with it, and how it came about."""
    with st.container(horizontal=True, vertical_alignment="center"):
        can_go_on = bool(draft.text) and is_ready and not draft.request.form
        st.button(_("Continue"), icon=":material/arrow_forward:", key="continue", disabled=not can_go_on)
        st.button(_("New draft"), icon=":material/refresh:", key="again", disabled=not is_ready)
        copy_text(before + draft.text, "draft")
        if not draft.request.form:
            colours.offer_colours(draft)
    if draft.result:
        show_outcome(draft.result)
        st.caption(facts_in_words(draft.result))
        st.caption(settings_in_words(draft.result.settings))
        if not draft.request.form:
            offer_why_word(draft.text, partial(why_request, draft), "why-word", draft.result.model)


def why_request(draft: Exchange, before: str, word: str) -> WhyRequest:
    """Why the word came after what the model had been given and had written."""
    asked = replace(draft.request, continuation=draft.request.continuation + before)
    model = house().catalogue.find(draft.result.model)
    most = house().settings.max_text_characters + len(asked.continuation)
    own = [*(turn.content for turn in asked.turns if turn.role == "user"), asked.text]
    return from_generate(write.ask(model, asked, most), model.id, word, own=own, written=asked.continuation)
