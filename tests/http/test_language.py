"""The API answers in the language that Accept-Language asks for."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from benches import Bench
from brackets import CODE, brackets, outside
from fakes import FakeBackend
from starlette.testclient import TestClient

__all__ = ["brackets"]

WANTED = {"Accept-Language": f"{CODE}, en;q=0.5"}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/sentiment", {"text": ""}),
        ("/api/sentiment", {"text": "a" * 30_000}),
        ("/api/sentiment", {"text": "good", "model": "none"}),
        ("/api/sentiment", {"text": "good", "model": "gemma-3-270m"}),
        ("/api/sentiment", {"text": 7}),
        ("/api/sentiment", {}),
        ("/api/sentiment", {"text": "good", "modle": "b"}),
        ("/api/write", {"text": "a", "temperature": 9}),
        ("/api/write", {"text": "a", "kind": "story", "language": "xx"}),
        ("/api/translate", {"text": "Bonjour", "source": "fr", "target": "fr"}),
        ("/v1/completions", {"model": "gemma-3-270m", "prompt": []}),
        ("/v1/completions", {"model": "gemma-3-270m", "prompt": "a", "n": 0}),
        ("/v1/completions", {"model": "gemma-3-270m", "prompt": "a", "max_tokens": 0}),
        ("/v1/chat/completions", {"model": "answer-e5", "messages": [{"role": "user", "content": "a"}]}),
        ("/api/nothing", {}),
    ],
)
def test_errors_are_said_in_it(brackets: None, client: TestClient, path: str, body: dict[str, Any]) -> None:
    answer = client.post(path, json=body, headers=WANTED)
    message = answer.json()["error"]["message"]
    assert answer.status_code >= 400 and message.startswith("⟦")
    assert not re.search(r"[^\W\d_]{2,}", outside(message))
    assert "⟦" not in client.post(path, json=body).json()["error"]["message"]


def test_warnings_in_results_are_said_in_it(brackets: None, client: TestClient) -> None:
    text = "Das Essen war leider kalt und der Kellner unfreundlich."
    whole = client.post("/api/sentiment", json={"text": text}, headers=WANTED).json()
    assert whole["results"][0]["warning"].startswith("⟦This looks ⟦German⟧")
    streamed = client.post("/api/sentiment/stream", json={"text": text}, headers=WANTED).text
    last = json.loads(streamed.strip().rpartition("data: ")[2])
    assert last["result"] == whole


def test_a_bug_is_told_in_it(brackets: None, client: TestClient, bench: Bench) -> None:
    bench.plan["sentiment-e5"] = FakeBackend()
    bench.plan["sentiment-e5"].fail_with = ZeroDivisionError("secret detail")
    answer = client.post("/api/sentiment", json={"text": "good"}, headers=WANTED)
    assert answer.json()["error"]["message"].startswith("⟦Something broke on our side.")
