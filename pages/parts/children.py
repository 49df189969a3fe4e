"""Work of minutes that takes torch, in a process of its own: started by the page and looked after while it draws."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO, Any

import streamlit as st

from engine.errors import NotReadyError
from engine.settings import ROOT
from pages.parts.sizes import seconds_in_words

MAX_SECONDS = 1800.0
LAST_CHARACTERS = 600


@dataclass
class Child:
    """One process, what it says, and what the page keeps with it."""

    process: subprocess.Popen[bytes]
    output: IO[bytes]
    started: float
    kept: Any = None

    @property
    def is_alive(self) -> bool:
        """Whether it still works; one that takes too long is ended."""
        if self.process.poll() is None and time.monotonic() - self.started > MAX_SECONDS:
            self.process.kill()
        return self.process.poll() is None

    def last_words(self) -> str:
        """The end of what it said."""
        self.output.seek(0)
        lines = self.output.read().decode("utf-8", "replace").strip().splitlines()
        return (lines[-1] if lines else "")[-LAST_CHARACTERS:]

    def check(self) -> None:
        """Raise NotReadyError with its last words when it failed."""
        if self.process.returncode:
            raise NotReadyError(self.last_words() or "The process ended without a word. Try again.")


def start_child(key: str, module: str, arguments: Sequence[str], kept: Any = None) -> None:
    """Start `python -m module` under this key, in place of an earlier one; training's priority is its own."""
    stop_child(key)
    output = tempfile.TemporaryFile()  # noqa: SIM115  it lives as long as the child
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    st.session_state[key] = Child(process, output, time.monotonic(), kept)


def child_of(key: str) -> Child | None:
    """The child under this key."""
    child: Child | None = st.session_state.get(key)
    return child


def stop_child(key: str) -> None:
    """End the child under this key, if there is one."""
    child = st.session_state.pop(key, None)
    if child is not None and child.process.poll() is None:
        child.process.kill()


@st.fragment(run_every=1)
def show_child(key: str, words: str, share: Callable[[], float | None] = lambda: None) -> None:
    """How long it has been at work and how far it is, and a button that ends it; then the page is drawn anew."""
    child = child_of(key)
    if child is None or not child.is_alive:
        st.rerun()
    if (done := share()) is not None:
        st.progress(min(1.0, max(0.0, done)))
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f":material/hourglass_top: {words} · {seconds_in_words(time.monotonic() - child.started)}")
        st.button("Cancel", key=f"{key}-cancel", icon=":material/close:", on_click=stop_child, args=(key,))
