"""Verdicts by the API: kept without texts, one for each answer, and told to the host."""

from __future__ import annotations

from typing import Any

import pytest
from benches import Bench, embedded_models
from starlette.applications import Starlette
from starlette.testclient import TestClient

from engine.http import routes

BODY = {"verdict": "wrong passage", "model": "answer-e5", "answer": "my number 7"}


def test_three_kinds_of_verdict_are_kept_without_texts(client: TestClient, bench: Bench) -> None:
    for number, verdict in enumerate(("right", "wrong answer", "wrong passage")):
        said = client.post("/api/answer/feedback", json={**BODY, "verdict": verdict, "answer": f"{number}"})
        assert said.status_code == 204 and said.content == b"", said.text
    entries = bench.house.storage.listed("feedback")
    kept = sorted((entry.value["reason"], entry.value["is_good"]) for entry in entries)
    assert kept == [("right", True), ("wrong answer", False), ("wrong passage", False)]
    assert bench.house.feedback.summed() == [{"page": "answer", "model": "answer-e5", "up": 1, "down": 2}]


def test_a_second_verdict_takes_the_firsts_place(client: TestClient, bench: Bench) -> None:
    for verdict in ("right", "wrong"):
        body = {"verdict": verdict, "model": "sentiment-e5", "answer": "1", "reason": " too sure "}
        assert client.post("/api/sentiment/feedback", json=body).status_code == 204
    (kept,) = bench.house.feedback.reasons()
    assert kept == {"page": "sentiment", "model": "sentiment-e5", "is_good": False, "reason": "too sure"}


@pytest.mark.parametrize(
    ("path", "change", "status", "field"),
    [
        ("sentiment", {}, 400, "verdict"), ("answer", {"model": "nobody"}, 404, "model"),
        ("answer", {"reason": "x" * 201}, 413, "reason"), ("answer", {"answer": "x" * 101}, 413, "answer"),
        ("answer", {"verdict": "maybe"}, 400, "verdict"), ("answer", {"text": "secret"}, 400, "text"),
    ],
)  # fmt: skip
def test_what_is_wrong_names_its_field(
    client: TestClient, bench: Bench, path: str, change: dict[str, Any], status: int, field: str
) -> None:
    answer = client.post(f"/api/{path}/feedback", json=BODY | change)
    assert answer.status_code == status, answer.text
    assert field in str(answer.json()["error"]) and not bench.house.storage.listed("feedback")


def test_strangers_verdicts_are_counted() -> None:
    bench = Bench(*embedded_models(), is_public=True, requests_a_minute=2)
    with TestClient(Starlette(routes=routes(lambda: bench.house)), raise_server_exceptions=False) as client:
        said = [client.post("/api/answer/feedback", json=BODY | {"answer": f"{n}"}).status_code for n in range(3)]
    assert said == [204, 204, 429]
    bench.house.close()
