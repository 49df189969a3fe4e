"""The forms that a kind of text can have: which there are, in which languages, and who makes each."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Literal, get_args

from engine.applications import chapters, slogans, songs, verse
from engine.applications.commission import Commission, Made
from engine.applications.languages import LANGUAGES, names_of
from engine.applications.measures import FORMS
from engine.errors import InputError, UnsupportedError, not_among, not_between
from engine.messages import Text
from engine.requests import Event
from engine.serving.protocol import Caller, Engine

FormName = Literal[
    "", "haiku", "couplet", "limerick", "sonnet", "quatrain5", "quatrain7", "chapters", "song", "slogans"
]
"""How a text is built; "" leaves it to the model."""
Maker = Callable[[Engine, Commission, Caller], Generator[Event, None, Made]]
_ANY = ("en", "fr", "de", "es", "zh")
BY_KIND: Mapping[str, tuple[FormName, ...]] = {
    "poem": ("haiku", "couplet", "limerick", "sonnet", "quatrain5", "quatrain7"),
    "story": ("chapters",),
    "lyrics": ("song",),
    "slogan": ("slogans",),
}
TITLES: Mapping[str, Text] = {
    **{name: form.title for name, form in FORMS.items()},
    "chapters": Text("Long, in chapters"),
    "song": Text("Verses and chorus"),
    "slogans": Text("Ten at once"),
}
_MAKERS: Mapping[str, Maker] = {"chapters": chapters.compose, "song": songs.compose, "slogans": slogans.compose}


def languages_of(form: str) -> tuple[str, ...]:
    """In which a form is offered; verse where its lines can be measured and an embedded model keeps to it."""
    return FORMS[form].languages if form in FORMS else _ANY


def check(kind: str, form: str, language: str, count: int) -> None:
    """Raises InputError or UnsupportedError naming the field."""
    if form not in get_args(FormName):
        raise not_among("form", form, [name for name in get_args(FormName) if name])
    if form and form not in BY_KIND.get(kind, ()):
        known = [name for name, forms in BY_KIND.items() if form in forms]
        raise InputError(
            "{form} is a form of {known}, not of {kind}. Choose that kind, or another form.",
            param="form", form=form, known=known, kind=kind,
        )  # fmt: skip
    if form and language not in languages_of(form):
        raise UnsupportedError(
            "{form} is not offered in {language}, only in {known}. Choose one of these, or another form.",
            param="form", form=TITLES[form], language=LANGUAGES[language], known=names_of(languages_of(form)),
        )  # fmt: skip
    if not chapters.MIN_CHAPTERS <= count <= chapters.MAX_CHAPTERS:
        raise not_between("chapters", chapters.MIN_CHAPTERS, chapters.MAX_CHAPTERS)


def make(engine: Engine, order: Commission, caller: Caller) -> Generator[Event, None, Made]:
    """Write a text in a form; the events are those of an application, without the last."""
    return (yield from _MAKERS.get(order.form, verse.compose)(engine, order, caller))


@dataclass
class Clock:
    """When the first text came, seconds from the start."""

    first_text_seconds: float | None = None

    def timed(self, work: Generator[Event, None, Made]) -> Generator[Event, None, Made]:
        """The same work, watched."""
        started = time.monotonic()
        with closing(work):
            while True:
                try:
                    event = next(work)
                except StopIteration as end:
                    made: Made = end.value
                    return made
                if event.text and self.first_text_seconds is None:
                    self.first_text_seconds = time.monotonic() - started
                yield event
