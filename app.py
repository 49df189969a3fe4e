"""What `streamlit run app.py` starts: the pages, the HTTP API beside them, and the engine's beginning and end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import streamlit as st
from starlette.concurrency import run_in_threadpool

from engine.core import get_engine
from engine.http import routes
from pages.parts.errors import page_failed


@asynccontextmanager
async def lifespan(app: Any) -> AsyncIterator[None]:
    """Fetch the embedded weights in the background from the start; end what runs when the server stops."""
    engine = get_engine()
    await run_in_threadpool(engine.store.prefetch_embedded)
    try:
        yield
    finally:
        await run_in_threadpool(engine.close)


app = st.App("pages/main.py", routes=routes(), lifespan=lifespan, on_script_error=page_failed)
