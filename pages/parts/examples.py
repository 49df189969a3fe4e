"""Ready examples that fill a page in with one click."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st

from pages.parts.language import _


def offer_examples(samples: Mapping[str, Any], fill: Callable[[Any], None], key: str) -> None:
    """One pill a sample, by name; a click has `fill` put it into the page's inputs before these are drawn."""

    def use() -> None:
        name = st.session_state[key]
        st.session_state[key] = None
        if name in samples:
            fill(samples[name])

    st.pills(_("Examples"), list(samples), key=key, on_change=use, wrap=True)
