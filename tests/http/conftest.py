"""The API on an engine with fake models: in process, and served on a free port."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from benches import Bench, embedded_models
from starlette.applications import Starlette
from starlette.testclient import TestClient

from engine.http import routes


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench(*embedded_models(), queue_length=64)
    yield made
    made.engine.close()


@pytest.fixture
def client(bench: Bench) -> Iterator[TestClient]:
    with TestClient(Starlette(routes=routes(lambda: bench.house)), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def address(bench: Bench) -> Iterator[str]:
    """The API served by uvicorn on the loopback; the base URL."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes(lambda: bench.house)), port=port, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(10)
