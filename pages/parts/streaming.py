"""Drawing an answer while it comes, and keeping it when the page is drawn again.

An answer lives in the session under its key. Whatever interrupts the page (Stop, another click, a closed tab) closes
the engine's generator, which frees the model's slot within one step; the text so far stays.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import streamlit as st

from engine.requests import Event
from pages.parts.errors import show_error
from pages.parts.text import show_text

DRAW_SECONDS = 0.06
"""Text is redrawn at most this often: enough for the eye, light on the browser."""


@dataclass
class Answer:
    """One answer: what was asked, the text so far, and how it stands."""

    request: Any
    text: str = ""
    state: Literal["asked", "coming", "done", "stopped", "failed"] = "asked"
    result: Any = None
    error: Exception | None = None


def ask(key: str, request: Any) -> None:
    """Take the place of the answer under this key; it is worked on when `show_answer` is reached."""
    st.session_state[key] = Answer(request)


def answer_of(key: str) -> Answer | None:
    """The answer under this key, if something was asked."""
    answer: Answer | None = st.session_state.get(key)
    return answer


def show_answer(key: str, stream: Callable[[Any], Iterator[Event]], *, prefix: str = "") -> Answer | None:
    """Draw the answer under this key, working on it first if it is new. `prefix` is text to show before it."""
    answer = answer_of(key)
    if answer is None:
        return None
    place, note = st.empty(), st.empty()
    if answer.state == "asked":
        _work(answer, stream, place, note, prefix, key)
    if answer.state == "coming":  # the page was interrupted while it was drawn
        answer.state = "stopped"
    if answer.text or prefix:
        show_text(prefix + answer.text, place)
    if answer.state == "stopped":
        note.caption(":material/stop_circle: Stopped.")
    if answer.error is not None:
        show_error(answer.error)
    return answer


def _work(
    answer: Answer, stream: Callable[[Any], Iterator[Event]], place: Any, note: Any, prefix: str, key: str
) -> None:
    answer.state = "coming"
    stop = st.empty()
    stop.button("Stop", key=f"{key}-stop", icon=":material/stop:")
    events = stream(answer.request)
    drawn = 0.0
    try:
        for event in events:
            if event.kind in ("queued", "loading"):
                note.caption(_waiting(event))
                continue
            if event.kind == "text":
                answer.text += event.text
            elif event.kind == "replace":
                answer.text = event.text
            elif event.kind == "done":
                answer.result, answer.state = event.result, "done"
            if time.monotonic() - drawn > DRAW_SECONDS:
                note.empty()
                show_text(prefix + answer.text, place, is_live=True)
                drawn = time.monotonic()
    except Exception as error:
        answer.error, answer.state = error, "failed"
    finally:
        events.close()  # type: ignore[attr-defined]
    note.empty()
    stop.empty()


def _waiting(event: Event) -> str:
    if event.kind == "loading":
        return ":material/hourglass_top: Reading the model into memory…"
    if event.position == 0:
        return ":material/hourglass_top: Reading the text…"
    return f":material/groups: Waiting for a turn: number {event.position} in the line."
