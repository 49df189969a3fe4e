"""A job on a page: how far it is, and the buttons that end it. It goes on when the visitor goes away."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import streamlit as st

from engine.jobs import work
from engine.jobs.work import JobView
from engine.messages import Text
from pages.parts.engine import caller
from pages.parts.errors import errors_shown
from pages.parts.language import _
from pages.parts.notices import watch
from pages.parts.sizes import seconds_in_words

LOOK_SECONDS = 1


def show_job(job: JobView, words: str) -> None:
    """What a live job does, redrawn on its own; once it has ended the page is drawn anew."""
    watch(job.folder)
    st.fragment(_draw, run_every=LOOK_SECONDS)(job.folder, words)


def _draw(folder: Path, words: str) -> None:
    with errors_shown():
        job = work.view_of(folder)
        if not job.is_alive:
            st.rerun()
        if job.is_silent:
            show_silence()
        if job.progress:
            st.progress(job.progress)
        with st.container(horizontal=True, vertical_alignment="center"):
            told = _("Waiting for its turn") if job.state == "queued" else words
            st.caption(f":material/hourglass_top: {told} · {seconds_in_words(job.seconds)}")
            stop_button(
                f"stop-{job.id}", job.is_stopping, lambda is_now: work.stop(folder, is_now=is_now, caller=caller())
            )


def show_silence() -> None:
    """What to do with a process that hangs."""
    words = _(
        "This does not answer: its process has given no sign of life for a minute. Stop it; where that does not help, "
        "Stop now ends it, and what waits behind it goes on."
    )
    st.warning(words, icon=":material/heart_broken:")


def show_failure(job: JobView | None) -> None:
    """Why the job failed, where it did; the page shows the error as one of its own."""
    if job is not None:
        with errors_shown():
            job.check()


def stop_button(
    key: str, is_stopping: bool, stop: Callable[[bool], Text], help: str = "", *, has_now: bool = True
) -> None:
    """Stop, which says what it does; then, where it `has_now`, a button that ends it at once."""
    place = st.empty()
    if not is_stopping and place.button(_("Stop"), key=key, icon=":material/stop:", help=help or None):
        with errors_shown():
            st.toast(_(stop(False)), icon=":material/stop_circle:")
            is_stopping = True
    if is_stopping and not has_now:
        place.caption(_("Stopping…"))
    elif is_stopping and place.button(
        _("Stop now"), key=f"{key}-now", icon=":material/dangerous:",
        help=_("Ends the process at once; what it has not saved is lost."),
    ):  # fmt: skip
        with errors_shown():
            st.toast(_(stop(True)), icon=":material/stop_circle:")
