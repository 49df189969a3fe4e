"""Chat on Write: what was said, turn by turn, and the next message; each answer stands with all that went before it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import streamlit as st

from engine.applications.request_checks import MAX_SYSTEM_CHARACTERS, MAX_TURNS
from engine.applications.write import APPLICATION, Turn, WriteRequest
from engine.catalogue.models import Model
from pages.parts.engine import house
from pages.parts.language import _
from pages.parts.streaming import ask, show_answer
from pages.parts.text import show_text
from pages.parts.visits import Exchange, answer_of, leave
from pages.parts.written import facts_in_words

ANSWERER = "assistant"


def system_prompt(model: Model | None, *, is_open: bool) -> str:
    """What the model is told first; nothing for one that takes no chat."""
    if model is None or not model.is_chat:
        return ""
    with st.expander(_("System prompt"), icon=":material/psychology:", expanded=is_open):
        return st.text_area(
            _("System prompt"), key="system", height=90, max_chars=MAX_SYSTEM_CHARACTERS, persist_state="session",
            label_visibility="collapsed", placeholder=_("You are a helpful assistant who answers briefly."),
            help=_("Who the model is to be, told to it before everything else. A small one follows it loosely."),
        )  # fmt: skip


def show_chat(key: str, now: WriteRequest | None, errors: Any) -> Exchange | None:
    """Draw the chat under this key and take the next message; `now` is a request with the settings as they are."""
    box = st.container(border=True, key="answer-box")
    most = house().settings.max_text_characters
    message = st.chat_input(_("Your message"), key="message", disabled=now is None, max_chars=most)
    talk = _talk(key)
    if message and now:
        st.session_state["about"] = message
        ask(key, replace(now, text=message, turns=said(talk, most - len(message))))
    elif talk and now and st.session_state.get("chat-again"):
        ask(key, replace(now, text=talk.request.text, turns=talk.request.turns))
    with box:
        return _show(key, errors)


def _talk(key: str) -> Exchange | None:
    """The chat so far; what was written in another kind is none."""
    answer = answer_of(key)
    return answer if answer and answer.request.kind == "chat" else None


def said(talk: Exchange | None, most: int) -> list[Turn]:
    """All that was said so far, the oldest left out where it is more than a request takes."""
    if talk is None:
        return []
    turns = [*talk.request.turns, Turn("user", talk.request.text)]
    turns += [Turn("assistant", talk.text)] if talk.text.strip() else []
    while turns and (len(turns) >= MAX_TURNS or sum(len(one.content) for one in turns) > most):
        turns = turns[2:]
    return turns


def _show(key: str, errors: Any) -> Exchange | None:
    talk = _talk(key)
    if talk is None:
        st.caption(_("Write a message below. Nothing is remembered between chats."))
        return None
    for turn in (*talk.request.turns, Turn("user", talk.request.text)):
        with st.chat_message(turn.role):
            show_text(turn.content)
    with st.chat_message(ANSWERER):
        show_answer(key, APPLICATION.stream, errors=errors, names={"text": _("Your message")})
        if talk.result:
            st.caption(facts_in_words(talk.result))
    with st.container(horizontal=True):
        st.button(_("Another answer"), icon=":material/refresh:", key="chat-again")
        st.button(_("New chat"), icon=":material/add_comment:", key="chat-new", on_click=leave, args=(key,))
    return talk
