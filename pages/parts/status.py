"""The line at the foot of the sidebar, and how a model in memory does, in words."""

from __future__ import annotations

import streamlit as st

from engine.messages import Text, counted
from engine.serving.protocol import ModelStatus
from pages.parts.banner import allowance_lines
from pages.parts.engine import house
from pages.parts.language import _
from pages.parts.sizes import size_in_words
from pages.parts.text import plain

STATES = {
    "loading": Text("loading"),
    "ready": Text("ready"),
    "failed": Text("failed"),
    "closed": Text("closed"),
}


@st.fragment(run_every=5)
def status_line() -> None:
    """Where models run, what is loaded, how much memory it takes; redrawn on its own, from numbers only."""
    status = house().engine.status()
    loaded = dict.fromkeys(model.title for model in status.models if model.state == "ready")
    loading = dict.fromkeys(model.title for model in status.models if model.state == "loading")
    working = sum(model.running for model in status.models)
    waiting = sum(model.queued for model in status.models)
    memory = _("{part} set aside", part=part_of(status.used_bytes, status.budget_bytes))
    lines = [f":material/memory: **{status.device.upper()}** · {memory}"]
    if loaded:
        lines.append(_("Loaded: {models}", models=plain(", ".join(loaded))))
    if loading:
        lines.append(_("Loading: {models}", models=plain(", ".join(loading))))
    if not loaded and not loading:
        lines.append(_("Nothing loaded yet; the first request loads its model."))
    if working or waiting:
        lines.append(_("{working} at work, {waiting} waiting", working=working, waiting=waiting))
    st.caption("  \n".join(lines))
    allowance_lines()


def part_of(part_bytes: float, whole_bytes: float) -> str:
    """Memory or disk taken of what may be."""
    return _("{part} of {whole}", part=size_in_words(part_bytes), whole=size_in_words(whole_bytes))


def what_it_does(model: ModelStatus) -> str:
    """State, place, memory, line and speed of a model, as Markdown."""
    facts = [
        _(STATES[model.state]),
        model.runtime,
        f"{model.device} {model.dtype}".strip(),
        size_in_words(model.measured_bytes)
        if model.measured_bytes
        else _("{size} set aside", size=size_in_words(model.memory_bytes)),
    ]
    counts = {"working": model.running, "waiting": model.queued, "done": model.requests}
    facts.append(_("{working} at work, {waiting} waiting, {done} done", **counts))
    if model.tokens_per_second:
        facts.append(_(counted("{count} token a second", "{count} tokens a second", round(model.tokens_per_second))))
    if model.first_token_seconds:
        facts.append(_("first token after {seconds:.2f} s", seconds=model.first_token_seconds))
    return " · ".join(fact for fact in facts if fact)
