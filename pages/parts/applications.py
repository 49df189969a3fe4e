"""The page of each application: its own file, the host's, or one with a text in and a text out."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import Any

import streamlit as st
from streamlit.navigation.page import Page

from engine.applications import Application, showcase
from engine.extensions import host_files
from engine.messages import said
from pages.parts.actions import offer_actions
from pages.parts.copying import copy_text
from pages.parts.engine import house
from pages.parts.examples import offer_examples
from pages.parts.labels import label_in_words
from pages.parts.language import _, capitalised, spoken
from pages.parts.picker import pick_model
from pages.parts.share import header
from pages.parts.sizes import confidence_in_words
from pages.parts.streaming import ask, show_answer
from pages.parts.text import plain, show_text
from pages.parts.visits import TRIED, is_tried, resume

BRIEF_CHARACTERS, NAMED_CHARACTERS = 320, 120


def page_of(application: Application[Any, Any]) -> Page:
    """As navigation and links want it."""
    title, icon = _(application.title), f":material/{application.icon}:"
    return st.Page(_source(application), title=title, icon=icon, url_path=application.id)


def _source(application: Application[Any, Any]) -> Any:
    if not application.page:
        return partial(_text_page, application)
    own = [path for path in host_files("pages") if path.name == application.page]
    return own[0] if own else application.page


def _text_page(application: Application[Any, Any]) -> None:
    """What an application without a page gets: a text in, a text or the fields of its result out."""
    key = f"{application.id}-answer"
    header(_(application.title), _(application.summary))
    resume(application, key, ["text"])
    left, right = st.columns(2, gap="large")
    with left:
        form, errors, examples = st.container(), st.container(), st.container()
        model = pick_model(application, below=errors)
        with form, st.form(f"{application.id}-form", border=False):
            text = st.text_area(_("Text"), application.samples[0].text, height=230, key="text", persist_state="session")
            is_asked = st.form_submit_button(
                _(application.title), type="primary", icon=f":material/{application.icon}:", disabled=model is None
            )
        with examples:
            samples = {sample.text: sample for sample in application.samples}
            offer_examples(samples, lambda sample: _fill(sample.text), f"{application.id}_example")
    now = application.request_type(text=text, model=model.id) if model else None
    if now and (is_asked or is_tried(application)):
        ask(key, now)
    with right, st.container(border=True, key="answer-box"):
        answer = show_answer(key, application.stream, errors=errors, now=now)
        if answer is None or answer.is_empty:
            st.caption(_("The answer appears here."))
        elif answer.text:
            copy_text(answer.text, application.id)
        elif answer.result is not None:
            st.json(said(asdict(answer.result), spoken()))
    with right:
        offer_actions(key)


def _fill(text: str) -> None:
    st.session_state["text"] = text


def show_example(application: Application[Any, Any], words: str) -> None:
    """The example of an application: what a model of this machine made of it, once that is known, and a button."""
    st.caption(_("Example: {words}", words=plain(_cut(words, NAMED_CHARACTERS))))
    shown = showcase.find(house(), application)
    if shown:
        show_text(_in_brief(shown))
    if st.button(_("Try it"), key=f"try-{application.id}", icon=":material/arrow_forward:"):
        st.session_state[TRIED] = application.id
        st.switch_page(page_of(application), query_params=dict(application.example))


def _in_brief(shown: showcase.Shown) -> str:
    text, result = shown.text.strip(), shown.result
    if not text and hasattr(result, "results"):
        first = result.results[0]
        text = f"{capitalised(label_in_words(first.label))}, {confidence_in_words(first.score)}"
    elif not text and hasattr(result, "answer"):
        text = result.answer
    return _cut(text, BRIEF_CHARACTERS)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[:most].rsplit(None, 1)[0] + " …"
