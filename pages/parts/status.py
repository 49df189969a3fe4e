"""The line at the foot of the sidebar, and how a model in memory does, in words."""

from __future__ import annotations

import streamlit as st

from engine.serving.protocol import ModelStatus
from pages.parts.engine import get_engine
from pages.parts.sizes import size_in_words
from pages.parts.text import plain


@st.fragment(run_every=5)
def status_line() -> None:
    """Where models run, what is loaded, how much memory it takes; redrawn on its own, from numbers only."""
    status = get_engine().status()
    loaded = [model.title for model in status.models if model.state == "ready"]
    working = sum(model.running for model in status.models)
    waiting = sum(model.queued for model in status.models)
    lines = [
        f":material/memory: **{status.device.upper()}** · {size_in_words(status.used_bytes)} of "
        f"{size_in_words(status.budget_bytes)}",
        f"Loaded: {plain(', '.join(loaded))}" if loaded else "Nothing loaded yet; the first request loads its model.",
    ]
    if working or waiting:
        lines.append(f"{working} at work, {waiting} waiting")
    st.caption("  \n".join(lines))


def what_it_does(model: ModelStatus) -> str:
    """State, place, memory, line and speed of a model, as Markdown."""
    facts = [model.state, f"{model.device} {model.dtype}".strip(), size_in_words(model.memory_bytes)]
    facts.append(f"{model.running} at work, {model.queued} waiting, {model.requests} done")
    if model.tokens_per_second:
        facts.append(f"{model.tokens_per_second:.0f} tokens a second")
    if model.first_token_seconds:
        facts.append(f"first token after {model.first_token_seconds:.2f} s")
    return " · ".join(fact for fact in facts if fact)
