"""Whether people can be sent here, and figures and logs of how it goes, which hold nobody's words."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from benches import Bench
from starlette.testclient import TestClient

from engine import logs
from engine.catalogue.sources import Availability
from engine.errors import InputError
from engine.http.stopping import is_stopping
from engine.settings import Settings
from engine.storage import StorageError
from tests.http.test_door import served

SECRET = "the diagnosis of Mrs Miller"


@pytest.mark.parametrize(
    ("state", "stops", "status", "word"),
    [("ready", False, 200, "ready"), ("fetching", False, 503, "fetching"), ("failed", False, 503, "no model"),
     ("ready", True, 503, "stopping")],
)  # fmt: skip
def test_people_are_sent_here_when_something_answers(
    client: TestClient, bench: Bench, state: Any, stops: bool, status: int, word: str
) -> None:
    bench.store.availability = lambda model_id: Availability(state, 1, 10)  # type: ignore[method-assign]
    if stops:
        is_stopping.set()
    try:
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()["status"]) == (status, word)
        assert client.head("/readyz").status_code == status and client.get("/healthz").status_code == 200
    finally:
        is_stopping.clear()
    assert bench.loads == []


def test_a_model_that_could_not_be_had_keeps_nobody_out(client: TestClient, bench: Bench) -> None:
    bench.store.availability = lambda id: Availability("failed" if "gemma" in id else "ready", 1, 10)  # type: ignore[method-assign]
    assert client.get("/readyz").status_code == 200


def figures(text: str) -> dict[str, float]:
    lines = [line.rpartition(" ") for line in text.splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


def test_requests_models_and_storage_are_told(client: TestClient, bench: Bench) -> None:
    bench.house.storage.write("a", {"b": SECRET}, 60, kind="visit")
    asked = client.post("/api/sentiment", json={"text": SECRET})
    client.get(f"/v1/models/{SECRET}")
    client.get(f"/api/{SECRET}")
    client.request("MRS", "/v1/models")
    answer = client.get("/metrics")
    found = figures(answer.text)
    assert answer.headers["content-type"].startswith("text/plain") and SECRET not in answer.text
    assert found['parlance_http_requests_total{method="POST",path="/api/sentiment",status="200"}'] == 1
    assert found['parlance_http_requests_total{method="GET",path="/v1/models/{model_id}",status="404"}'] == 1
    assert found['parlance_http_requests_total{method="GET",path="other",status="404"}'] == 1
    assert found['parlance_http_requests_total{method="other",path="/v1/models",status="405"}'] == 1
    assert found['parlance_http_request_seconds_count{path="/api/sentiment"}'] == 1
    assert found['parlance_model_requests_total{model="sentiment-e5",runtime="fake"}'] == 1
    assert found['parlance_storage_values{kind="visit"}'] == 1 and found["parlance_storage_up"] == 1
    assert len(asked.headers["x-request-id"]) == 16 != asked.headers["x-request-id"] != answer.headers["x-request-id"]


def test_figures_are_told_while_the_database_is_gone(
    client: TestClient, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone() -> Any:
        raise StorageError("gone")

    monkeypatch.setattr(bench.house.storage, "usage", gone)
    assert figures(client.get("/metrics").text)["parlance_storage_up"] == 0


def test_figures_are_closed_to_strangers(bench: Bench) -> None:
    bench.local.settings = replace(bench.engine.settings, is_public=True)
    with served(bench) as client:
        for headers in ({}, {"Authorization": "Bearer "}, {"Authorization": "Bearer x"}):
            answer = client.get("/metrics", headers=headers)
            assert answer.status_code == 409 and answer.json()["error"]["param"] == "authorization"
    bench.local.settings = replace(bench.engine.settings, metrics_token="let-me-in")
    with served(bench) as client:
        for shown, status in (("Bearer let-me-in", 200), ("Bearer let-me-in2", 409), ("Bearer \xff", 409), ("", 409)):
            assert client.get("/metrics", headers={"Authorization": shown.encode("latin-1")}).status_code == status


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What is logged as JSON."""
    root = logging.getLogger()
    before = root.handlers
    access = logging.getLogger("uvicorn.access")
    monkeypatch.setattr(access, "propagate", True)
    monkeypatch.setattr(access, "level", logging.INFO)
    logs.set_up(Settings(log="json"))
    out = io.StringIO()
    root.handlers[0].setStream(out)  # type: ignore[attr-defined]
    yield out
    root.handlers = before
    logging.getLogger("engine").setLevel(logging.NOTSET)


def test_logs_are_lines_of_json_without_what_people_typed(
    client: TestClient, bench: Bench, written: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bug(*_: Any) -> Any:
        raise RuntimeError(f"cannot read {SECRET!r}")

    numbers = [client.post("/api/sentiment", json={"text": SECRET}).headers["x-request-id"]]
    monkeypatch.setattr("engine.http.api._state", bug)
    broken = client.get(f"/healthz?text={SECRET}")
    with suppress(RuntimeError):
        logging.getLogger("uvicorn.access").info("GET /translate?text=%s", SECRET)
        logging.getLogger("streamlit.runtime").warning("a page: %s", InputError(SECRET))
        bug()
    lines = [json.loads(line) for line in written.getvalue().split("\n") if line]
    assert "Miller" not in written.getvalue()
    asked, failed, ended, page = lines
    assert (asked["request"], asked["path"], asked["status"]) == (numbers[0], "/api/sentiment", 200)
    assert asked["seconds"] >= 0 and asked["level"] == "info" and asked["timestamp"].endswith("Z")
    assert failed["error"] == "RuntimeError" and failed["places"][-1].endswith(" bug")
    assert failed["event"].split()[1] in broken.json()["error"]["message"], "the number that the visitor was told"
    assert (ended["status"], ended["path"]) == (500, "/healthz") and page["event"] == "a page: InputError"


def test_logs_stay_as_they_are_unless_asked_for() -> None:
    before = list(logging.getLogger().handlers)
    logs.set_up(Settings())
    assert logging.getLogger().handlers == before


def test_structured_logs_name_what_they_need(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "structlog", None)
    with pytest.raises(InputError, match=r"requirements-host\.txt"):
        logs.set_up(Settings(log="json"))
