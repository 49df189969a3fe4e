"""Translate a text, sentence by sentence, and see how sure the model is of each; or a file."""

from __future__ import annotations

import streamlit as st

from engine.applications.translate import APPLICATION
from pages.parts.actions import offer_actions
from pages.parts.language import _
from pages.parts.pair import KEY, can_too, choose_pair, from_label
from pages.parts.routes import show_route
from pages.parts.share import header
from pages.parts.streaming import show_answer
from pages.parts.translated import choose_glossary, choose_input, translate_files
from pages.parts.translating import ask_for, type_text
from pages.parts.translation import doubts_of, show_details, show_translation
from pages.parts.visits import resume
from pages.parts.wordings import show_wordings

header(_(APPLICATION.title), _("A small model reads each sentence and writes it in another language, word by word."))
resume(APPLICATION, KEY, ["text"], ["from", "to", "glossary"])
is_file = choose_input()
pair = choose_pair()
if is_file:
    if pair.is_automatic:
        with pair.below:
            show_route(pair.source, pair.target)
    translate_files(pair)
else:
    left, right = st.columns(2, gap="medium")
    with left:
        typed = type_text(pair)
        glossary = choose_glossary()
    now = ask_for(typed, pair, glossary)
    with right:
        with st.container(border=True, key="answer-box"):
            answer = show_answer(
                KEY, APPLICATION.stream, errors=typed.errors, now=now, doubts=doubts_of, finished=show_wordings,
                is_repeatable=True,
            )  # fmt: skip
            if answer is None or answer.is_empty:
                st.caption(_("The translation appears here, sentence by sentence."))
        if answer and answer.result:
            show_translation(answer.text, answer.result)
        offer_actions(KEY, can=can_too)
        if answer and answer.result:
            show_details(answer.result, str(answer.request.target))
    if pair.label != from_label():  # the answer that tells the language came after the label was drawn
        st.rerun()
