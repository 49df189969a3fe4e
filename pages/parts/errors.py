"""What people see when something goes wrong: their own mistake in a sentence, ours with a number to quote."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import streamlit as st

from engine.errors import PeopleError
from engine.messages import Text, label
from pages.parts.language import _, capitalised
from pages.parts.text import plain

log = logging.getLogger(__name__)


@contextmanager
def errors_shown(place: Any = None) -> Iterator[None]:
    """Show an error raised inside as a sentence in its place; reruns and stops of the page pass through."""
    try:
        yield
    except Exception as error:
        show_error(error, place)


def show_error(error: Exception, place: Any = None, names: Mapping[str, str] = MappingProxyType({})) -> None:
    """A PeopleError in its own words; anything else as ours, with a number that is in the log beside its traceback.

    `names` are what the page calls the fields.
    """
    place = place or st
    if isinstance(error, PeopleError) or hasattr(error, "retry_seconds"):  # a hot reload makes new classes
        place.warning(plain(_sentence(error, names)), icon=":material/info:")
        return
    number = secrets.token_hex(4)
    log.error("error %s on a page", number, exc_info=error)
    words = _("Something broke on our side. Try again; if it stays, report the number {number}.", number=number)
    place.error(words, icon=":material/error:")


def page_failed(error: Exception) -> bool:
    """What `st.App` calls when a page itself raises; True keeps Streamlit from showing the error its own way."""
    show_error(error)
    return True


def _sentence(error: Exception, names: Mapping[str, str]) -> str:
    """The message as it starts on a page, where fields go by the names beside them and rows by their number."""
    text = getattr(error, "text", None)
    if not isinstance(text, Text) or "field" not in text.facts:
        is_file = getattr(text, "template", "").startswith("{file}")  # whose name stays as it is
        return _(error) if is_file else capitalised(_(error))
    name, *number = str(text.facts["field"]).removesuffix("]").split("[")
    shown: Any = Text("Line {number}", number=int(number[0]) + 1) if number else names.get(name, label(name))
    said = Text(text.template, **text.facts | {"field": shown})
    said.plural = text.plural
    return capitalised(_(said))
