"""The one engine, as pages get it."""

from __future__ import annotations

import streamlit as st

from engine.serving.local import Engine
from engine.serving.local import get_engine as process_engine


@st.cache_resource(show_spinner=False)
def get_engine() -> Engine:
    """The process's engine, shared by all sessions."""
    return process_engine()
