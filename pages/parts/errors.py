"""What people see when something goes wrong: their own mistake in a sentence, ours with a number to quote."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from engine.errors import PeopleError

log = logging.getLogger(__name__)


@contextmanager
def errors_shown() -> Iterator[None]:
    """Show an error raised inside as a sentence in its place; reruns and stops of the page pass through."""
    try:
        yield
    except Exception as error:
        show_error(error)


def show_error(error: Exception) -> None:
    """A PeopleError in its own words; anything else as ours, with a number that is in the log beside its traceback."""
    if isinstance(error, PeopleError) or hasattr(error, "retry_seconds"):  # a hot reload makes new classes
        st.warning(_plain(str(error)), icon=":material/info:")
        return
    number = secrets.token_hex(4)
    log.error("error %s on a page", number, exc_info=error)
    st.error(
        f"Something broke on our side. Try again; if it stays, report the number {number}.", icon=":material/error:"
    )


def _plain(text: str) -> str:
    """Text for a Markdown element that shows every character as it is."""
    return "".join("\\" + character if character in "\\`*_{}[]()#+-.!|<>~$:&" else character for character in text)
