"""The line at the foot of the sidebar: where models run, what is loaded, how much memory it takes."""

from __future__ import annotations

import streamlit as st

from pages.parts.engine import get_engine
from pages.parts.sizes import size_in_words


@st.fragment(run_every="5s")
def status_line() -> None:
    """Redrawn every five seconds on its own; asks the engine for numbers only."""
    status = get_engine().status()
    ready = [model.title for model in status.models if model.state == "ready"]
    working = sum(model.running for model in status.models)
    st.caption(
        f":material/memory: **{status.device.upper()}** · {size_in_words(status.used_bytes)} of "
        f"{size_in_words(status.budget_bytes)}  \n"
        f"{'Loaded: ' + ', '.join(ready) if ready else 'Nothing loaded yet; the first request loads its model.'}"
        + (f"  \n{working} at work" if working else "")
    )
