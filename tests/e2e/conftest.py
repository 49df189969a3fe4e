"""The served app and a headless Chromium; without either, or without weights, these tests skip and say why."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from engine.catalogue.models import read_catalogue
from engine.catalogue.store import Store
from engine.errors import PeopleError
from engine.settings import available_cores, current

ROOT = Path(__file__).parents[2]
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run", "--disable-quic",
]  # fmt: skip
VISITS = tempfile.TemporaryDirectory()
"""Of all servers, so that what Home shows is computed once."""
PATIENCE_SECONDS = 60.0
"""How long anything may take; loading a model on a busy machine takes most of it."""


@pytest.fixture(scope="session")
def store() -> Iterator[Store]:
    made = Store(current(), read_catalogue())
    yield made
    made.close()


@pytest.fixture(scope="session")
def need(store: Store) -> Callable[[str], None]:
    """Have a model's weights, fetching them for some minutes if they can be had, or skip."""

    def needed(model_id: str) -> None:
        try:
            store.fetch(model_id)
            store.wait(model_id, timeout_seconds=240)
        except PeopleError as error:
            pytest.skip(f"{model_id}: {error}")

    return needed


def free_port() -> int:
    """One that nobody listens on now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def serve(folder: Path, port: int = 0, **environment: str) -> Iterator[str]:
    """`streamlit run app.py` on a port, else a free one, with variables of its own; yields its address."""
    port = port or free_port()
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless", "true"]
    command += ["--server.address", "127.0.0.1", "--server.port", str(port)]
    with (folder / "server.log").open("wb") as log:
        ours = {"HF_HUB_OFFLINE": "1", "PARLANCE_THREADS": str(available_cores())}
        ours["PARLANCE_STORAGE_FOLDER"] = VISITS.name
        variables = os.environ | ours | environment
        server = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, env=variables)
    try:
        _wait_for(f"http://127.0.0.1:{port}/_stcore/health", server, folder / "server.log")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            server.kill()


def _wait_for(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"the server did not start:\n{log.read_text()}")


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app, served once for the whole session."""
    with serve(tmp_path_factory.mktemp("served")) as served:
        yield served


@pytest.fixture
def fresh_address(tmp_path: Path) -> Iterator[str]:
    """The app on a server that nobody has visited yet."""
    with serve(tmp_path) as served:
        yield served


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        pytest.skip("there is no Chromium on this machine")
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=path, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def context(browser: Any) -> Any:
    """Tabs of one browser share its cache of scripts; to the app each tab is a visitor of its own."""
    return browser.new_context()


@pytest.fixture
def visit(browser: Any, context: Any) -> Iterator[Callable[..., Any]]:
    """Open an address as a new visitor. Afterwards no browser may have asked anybody but the app, or been refused."""
    opened, outside, refused = [], [], []

    def visited(address: str, **options: Any) -> Any:
        where = browser.new_context(**options) if options else context
        page = where.new_page()
        opened.append(where if options else page)
        page.set_default_timeout(PATIENCE_SECONDS * 1000)
        page.on("request", lambda request: outside.append(request.url) if _is_outside(request.url) else None)
        page.on("console", lambda told: refused.append(told.text) if "Content Security Policy" in told.text else None)
        page.goto(address, wait_until="domcontentloaded")
        page.locator("h1").wait_for()
        return page

    yield visited
    for each in opened:
        each.close()
    assert outside == [] and refused == []


def _is_outside(address: str) -> bool:
    return not address.startswith(("http://127.0.0.1", "ws://127.0.0.1", "data:", "blob:", "about:"))
