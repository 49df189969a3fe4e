"""Drawing an answer while it comes, and keeping it when the page is drawn again.

An answer lives in the session under its key. Whatever interrupts the page (Stop, another click, a closed tab) closes
the engine's generator, which frees the model's slot within one step; the text so far stays.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

import streamlit as st

from engine.applications.together import together
from engine.http.stopping import check_going_on
from engine.messages import Text, counted
from engine.requests import Event
from engine.serving.protocol import Caller, Engine
from pages.parts.engine import caller, house
from pages.parts.errors import show_error
from pages.parts.language import _
from pages.parts.text import show_text
from pages.parts.visits import Exchange, answer_of, difference, keep, take_inputs

Stream = Callable[[Engine, Any, Caller], Iterator[Event]]
"""How an answer comes about: an application's own `stream`, or what works like one."""
NO_NAMES: Mapping[str, str] = MappingProxyType({})
Doubts = Callable[[Any], Sequence[tuple[int, int]]]
DRAW_SECONDS, MOST_DRAW_SECONDS, NOTE_SECONDS = 0.06, 1.0, 0.5
"""Text is redrawn at most this often: enough for the eye, light on the browser; how far it is, less often."""
DRAW_SHARE = 0.1
"""Of a page's time, which goes into redrawing: where many pages are drawn at once each takes longer, and is redrawn
less often, so that quick answers between them need not wait."""


def ask(key: str, request: Any, *, is_kept: bool = True) -> None:
    """Take the place of the answer under this key; it is worked on when `show_answer` is reached.

    One that is not kept stands in no history and in no link.
    """
    previous = answer_of(key)
    if previous:
        previous.state = "stopped"
    took = previous.seconds if previous else None
    st.session_state[key] = Exchange(request, inputs=take_inputs(key), visit=None if is_kept else "", seconds=took)


_SETTINGS = Text("For the settings before. Press the button to ask anew.")
BEFORE = {
    "text": Text("For the text before. Press the button to ask anew."), "settings": _SETTINGS, "typed": _SETTINGS
}  # fmt: skip
"""What stands above an answer whose inputs have changed since."""


def show_answer(
    key: str,
    stream: Stream,
    *,
    prefix: str = "",
    errors: Any = None,
    now: Any = None,
    names: Mapping[str, str] = NO_NAMES,
    doubts: Doubts | None = None,
    finished: Callable[[Exchange], bool] | None = None,
    is_repeatable: bool = False,
    spot: Spot | None = None,
) -> Exchange | None:
    """Draw the answer under this key, working on it first if it is new, and keep it.

    `prefix` is text to show before it, `errors` a container near the inputs for what is wrong with them, `now` what
    would be asked with the inputs as they are, `names` what the page calls fields of the request. `doubts` says of a
    result where its text is doubtful; `finished` draws an answer with a result in another way, and says whether it did.
    `is_repeatable` says that the same comes when it is asked for again, `spot` is where it is drawn already.
    """
    answer = answer_of(key)
    if answer is None:
        return None
    if answer.state == "coming":  # the page was interrupted while it was drawn
        _go_on(answer, now, is_repeatable=is_repeatable)
    bar, place = (spot.bar, spot.place) if spot else (st.empty(), st.empty())
    if answer.state == "asked":
        _work(answer, stream, bar, place, prefix, key)
    is_drawn = False
    if finished and answer.result is not None and answer.text:
        with place.container():
            is_drawn = finished(answer)
    if not is_drawn and (answer.text or prefix):
        found = doubts(answer.result) if doubts and answer.result else ()
        show_text(prefix + answer.text, place, found, _("The model is unsure here."))
    if answer.state == "stopped":
        words = _("Stopped, and this is what came.") if answer.text else _("Stopped.")
        bar.caption(f":material/stop_circle: {words}")
    elif changed := difference(answer, now):
        bar.caption(f":material/history: {_(BEFORE[changed])}")
    if answer.error is not None:
        show_error(answer.error, errors, names)
    elif answer.state in ("done", "stopped"):
        keep(key, answer)
    return answer


@dataclass
class Spot:
    """Where an answer is drawn while it comes: a line that says how far it is, with Stop, and its text."""

    answer: Exchange
    bar: Any
    place: Any
    prefix: str = ""
    note: Any = None
    again: float = 0.0
    noted: tuple[str, float] = ("", 0.0)
    shown: str = ""
    part: str = ""
    began: float = 0.0

    def begin(self, key: str) -> None:
        """Draw the line; from here on the answer is coming."""
        self.answer.state, self.began = "coming", time.monotonic()
        with self.bar.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            self.note = st.empty()
            st.button(_("Stop"), key=f"{key}-stop", icon=":material/stop:", on_click=_stop, args=(self.answer,))
        self.note.caption(_("Starting…"))

    def take(self, event: Event) -> None:
        """Have the answer hold what came, and draw it now and then."""
        answer, prefix = self.answer, self.prefix
        _take(answer, event)
        if event.kind == "working":
            self.part = _("Part {part} of {parts}", part=event.part, parts=event.parts)
        self.began = time.monotonic() if event.kind == "loading" else self.began
        if (now := time.monotonic()) > self.again:
            kind = "text" if event.kind == "queued" and answer.pieces else event.kind  # waiting for the next word
            if kind != self.noted[0] or now - self.noted[1] > NOTE_SECONDS:
                self.note.caption(_progress(answer, event, self.part))
                self.noted = kind, now
            if (text := prefix + answer.text) != self.shown:
                show_text(text, self.place)
                self.shown = text
            drawn = time.monotonic()
            self.again = drawn + min(MOST_DRAW_SECONDS, max(DRAW_SECONDS, (drawn - now) / DRAW_SHARE))
        if answer.state == "done" and not getattr(answer.result, "is_repeated", False):
            answer.seconds = time.monotonic() - self.began

    def fail(self, error: Exception) -> None:
        """What went wrong is the answer's."""
        self.answer.error, self.answer.state = error, "failed"


def _work(answer: Exchange, stream: Stream, bar: Any, place: Any, prefix: str, key: str) -> None:
    spot = Spot(answer, bar, place, prefix)
    spot.begin(key)
    events = stream(house().engine, answer.request, caller())
    try:
        for event in events:
            check_going_on()
            if answer.state != "coming":  # stopped, and the page is already being drawn anew elsewhere
                break
            spot.take(event)
    except Exception as error:
        spot.fail(error)
    finally:
        events.close()  # type: ignore[attr-defined]
    bar.empty()


def work_together(spots: Mapping[str, Spot], stream: Stream) -> None:
    """Work on those of several answers that are new, all at once, each drawn in its spot by its key."""
    asked = {key: spot for key, spot in spots.items() if spot.answer.state == "asked"}
    for key, spot in asked.items():
        spot.begin(key)
    own, found = caller(), list(asked.values())
    items = together([partial(stream, house().engine, spot.answer.request, own) for spot in found])
    with closing(items):  # type: ignore[type-var]
        for number, item in items:
            if found[number].answer.state != "coming":
                continue
            if isinstance(item, Exception):
                found[number].fail(item)
            else:
                found[number].take(item)
    for spot in found:
        spot.bar.empty()


def _go_on(answer: Exchange, now: Any, *, is_repeatable: bool) -> None:
    """Nobody stopped it, but the page is drawn anew: begin again where the inputs are the same and no text is lost."""
    is_same = now is not None and not difference(answer, now)
    answer.state = "asked" if is_same and (is_repeatable or not answer.text) else "stopped"
    if answer.state == "asked":
        answer.text, answer.pieces = "", 0


def _stop(answer: Exchange) -> None:
    answer.state = "stopped"


def _take(answer: Exchange, event: Event) -> None:
    if event.kind == "text":
        if not answer.pieces:
            answer.started = time.monotonic()
        answer.text += event.text
        answer.pieces += 1
    elif event.kind == "replace":
        answer.text = event.text
    elif event.kind == "done":
        answer.result, answer.state = event.result, "done"


def _progress(answer: Exchange, event: Event, part: str) -> str:
    """What goes on, in a few words: the wait, or how far it is and how fast."""
    if event.kind == "loading":
        return ":material/hourglass_top: " + _("Reading the model into memory, once…")
    if event.kind == "queued" and event.position:
        words = _("Waiting for a turn: number {position} in the queue", position=event.position)
        return f":material/groups: {words}"
    if not answer.pieces:
        return f":material/hourglass_top: {part or _('Thinking…')}"
    words = (f"{part} · " if part else "") + _(counted("{count} token", "{count} tokens", answer.pieces))
    seconds = time.monotonic() - answer.started
    if seconds > 0.5:
        words += " · " + _("{number} a second", number=f"{answer.pieces / seconds:.0f}")
    return f":material/edit: {words}"
