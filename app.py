"""What `streamlit run app.py` starts: the pages, the HTTP API beside them, and the engine's beginning and end."""

from __future__ import annotations

import inspect
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any

import streamlit as st
from starlette.concurrency import run_in_threadpool

from engine import http
from engine.backends import loader as backends
from engine.serving.compose import House
from pages.parts.curves import library_routes
from pages.parts.engine import house
from pages.parts.errors import page_failed

WARM_UP_SECONDS = 3.0
"""From the server's start to the loading of the large libraries: the first page is drawn before."""
BUSY_SECONDS = 0.25
"""Between two looks whether somebody waits for an answer, whom that loading would slow down."""

FIRST_PAGE = ("numpy", "PIL.Image", "engine.applications", "pages.parts.status", "pages.parts.streaming")
"""What the first page is drawn with."""


def _prepare_first_page() -> None:
    """Do what the first page would wait for, while the browser still loads its own part."""
    for name in FIRST_PAGE:
        import_module(name)
    inspect.stack()  # Streamlit asks for it at its first element; it looks for the file of every module, 70 ms


def _warm_up(home: House, is_over: threading.Event) -> None:
    is_over.wait(WARM_UP_SECONDS)
    for step in (
        backends.warm_up,
        lambda: import_module("engine.applications.languages").guess_language(""),  # reads its tables, most of a second
        lambda: http.warm_up(home),
        home.store.install_embedded,
    ):
        while home.engine.is_busy and not is_over.is_set():
            is_over.wait(BUSY_SECONDS)
        if is_over.is_set():
            return
        step()


@asynccontextmanager
async def lifespan(app: Any) -> AsyncIterator[None]:
    """Fetch the embedded weights in the background from the start; end what runs when the server stops."""
    http.send_at_once()
    home = await run_in_threadpool(house)
    await run_in_threadpool(home.store.prefetch_embedded)
    threading.Thread(target=_prepare_first_page, daemon=True).start()
    is_over = threading.Event()
    threading.Thread(target=_warm_up, args=(home, is_over), daemon=True).start()
    try:
        with http.ended_by_signals():
            yield
    finally:
        is_over.set()
        await run_in_threadpool(home.close)


app = st.App(
    "pages/main.py", routes=[*http.routes(house), *library_routes()], lifespan=lifespan, on_script_error=page_failed
)
