"""What `streamlit run app.py` starts: the pages, the HTTP API beside them, and the engine's beginning and end."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import streamlit as st
from starlette.concurrency import run_in_threadpool

from engine import http, logs
from engine.http import signing_path
from engine.serving.compose import House
from engine.settings import current
from engine.storage import StorageError
from pages.parts import first_page, tidying
from pages.parts.curves import library_routes
from pages.parts.engine import house
from pages.parts.errors import page_failed
from pages.parts.serving import door, origin

log = logging.getLogger(__name__)

WARM_UP_SECONDS = 3.0
"""From the server's start to the loading of the large libraries: the first page is drawn before."""
TURN_SECONDS = 0.001
"""How long a thread that computes in Python keeps another waiting: a quick answer passes from thread to thread ten
times, and each would wait for Python's own 5 ms beside a page that is being drawn."""
SWEEP_SECONDS = 70.0
"""From the start on: a process of another server on the same folder has given a sign of life by then."""
BUSY_SECONDS = 0.25
"""Between two looks whether somebody waits for an answer, whom that loading would slow down."""


def _warm_up(home: House, is_over: threading.Event) -> None:
    """Do what the first requests would wait for, as each room declares it, while nobody waits for an answer."""
    from engine import applications  # a sixth of a second, for which the server's start need not wait
    from engine.applications import showcase

    is_over.wait(WARM_UP_SECONDS)
    for step in (
        home.warm_up,
        applications.warm_up,
        lambda: http.warm_up(home),
        *(() if home.settings.is_small else first_page.others()),
        home.store.install_embedded,
        lambda: showcase.compute(home, applications.APPLICATIONS.values(), is_over),
    ):
        while home.engine.is_busy and not is_over.is_set():
            is_over.wait(BUSY_SECONDS)
        if is_over.is_set():
            return
        step()


def _open_storage(home: House) -> None:
    """What visitors left, before they ask for it; where it cannot be reached now, whoever asks is told."""
    with suppress(StorageError):
        home.storage.prepare()


def _take_up(home: House) -> None:
    """Go on with what a server that is gone had at work."""
    from engine.jobs import work

    work.take_up(home.settings, home)


def _sweep(home: House, is_over: threading.Event) -> None:
    """Clear up what processes left half-written that were killed, once those at work elsewhere had time to be seen."""
    from engine.jobs import work
    from engine.training import runs

    if is_over.wait(SWEEP_SECONDS):
        return
    for room in (work, runs):
        try:
            room.sweep(home.settings)
        except OSError:  # nobody waits for it
            log.warning("the runs folder could not be cleared up", exc_info=True)


def _tell_host(home: House) -> None:
    """Print the address that makes a browser the host's, where a public site has no sign-in."""
    if path := signing_path(home):
        print(f"\n  Host: {origin()}{path}\n  Opens once, for whoever runs this server.\n", flush=True)


@asynccontextmanager
async def lifespan(app: Any) -> AsyncIterator[None]:
    """Fetch the embedded weights in the background from the start; end what runs when the server stops."""
    logs.set_up(current())
    sys.setswitchinterval(TURN_SECONDS)
    http.prepare_sockets()
    home = await run_in_threadpool(house)
    _tell_host(home)
    threading.Thread(target=_open_storage, args=(home,), daemon=True).start()
    await run_in_threadpool(home.store.prefetch_embedded)
    threading.Thread(target=first_page.warm_up, daemon=True).start()
    is_over = threading.Event()
    threading.Thread(target=_take_up, args=(home,), daemon=True).start()
    threading.Thread(target=_warm_up, args=(home, is_over), daemon=True).start()
    threading.Thread(target=_sweep, args=(home, is_over), daemon=True).start()
    threading.Thread(target=tidying.tidy, args=(is_over,), daemon=True).start()
    try:
        with http.ended_by_signals():
            yield
    finally:
        is_over.set()
        await run_in_threadpool(home.close)


app = st.App(
    "pages/main.py", routes=[*http.routes(house), *library_routes()], middleware=door(current()), lifespan=lifespan,
    on_script_error=page_failed,
)  # fmt: skip
