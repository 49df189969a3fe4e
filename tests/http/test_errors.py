"""Sentences for what validation finds, and the guard around the app."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from benches import Bench
from fakes import FakeBackend
from starlette.testclient import TestClient

from engine.errors import NotReadyError, PeopleError
from engine.http.errors import MAX_BODY_BYTES, dumps, error_response

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("path", "body", "param", "message"),
    [
        ("/api/sentiment", {"text": 7}, "text", "text must be text or a list."),
        ("/api/sentiment", {"text": [None, 7]}, "text[0]", "text[0] must be text."),
        ("/api/sentiment", {}, "text", "text is missing."),
        ("/api/sentiment", {"text": "a", "modle": "b"}, "modle", "There is no field modle here."),
        ("/api/write", {"text": "a", "top_k": "x"}, "top_k", "top_k must be a whole number."),
        ("/api/write", {"text": "a", "kind": "novel"}, "kind", "kind must be 'story', 'poem'"),
        ("/v1/chat/completions", {"model": "a", "messages": [{"role": "tool", "content": ""}]}, "messages[0].role", ""),
        ("/v1/chat/completions", {"model": "a", "messages": [{"role": "user"}]}, "messages[0].content", "is missing"),
        ("/v1/completions", {"model": "a", "prompt": "x", "stream_options": {"include_usage": 7}},
         "stream_options.include_usage", "must be true or false."),
    ],
)  # fmt: skip
def test_a_wrong_field_is_named_in_plain_words(
    client: TestClient, path: str, body: Any, param: str, message: str
) -> None:
    answer = client.post(path, json=body)
    error = answer.json()["error"]
    assert answer.status_code == 400 and error["type"] == "invalid_request"
    assert error["param"] == param and message in error["message"] and "Input" not in error["message"]


@pytest.mark.parametrize(
    "content",
    [
        b'{"text": "a"',
        b"\xff\xfe",
        b'{"text": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"text": "a", "top_k": ' + b"9" * 5000 + b"}",
        b'{"text": "a", "temperature": NaN}',
        b"",
        b"null",
    ],
)
def test_odd_bodies_are_refused_in_our_form(client: TestClient, content: bytes) -> None:
    answer = client.post("/api/write", content=content, headers=JSON)
    error = answer.json()["error"]
    assert answer.status_code == 400 and set(error) == {"type", "message", "param"}
    assert error["message"].endswith(".") and "error parsing" not in error["message"]


def test_broken_json_says_where(client: TestClient) -> None:
    message = client.post("/api/write", content=b'{"text": "a",}', headers=JSON).json()["error"]["message"]
    assert message.startswith("The body is not valid JSON") and "character 13" in message


def test_half_a_character_pair_breaks_no_answer(client: TestClient) -> None:
    body = rb'{"model": "gemma-3-270m", "prompt": "snow \ud83d", "max_tokens": 3}'
    answer = client.post("/v1/completions", content=body, headers=JSON).json()
    assert answer["choices"][0]["text"] == "snow snow snow "
    unknown = client.post("/api/write", content=rb'{"text": "a", "\ud83d": 1}', headers=JSON)
    assert unknown.status_code == 400 and unknown.json()["error"]["type"] == "invalid_request"
    assert json.loads(dumps({"a": "\ud83d"})) == {"a": "?"}


def test_a_body_over_the_limit_is_refused_however_it_comes(client: TestClient) -> None:
    def pieces() -> Iterator[bytes]:
        yield b'{"text": "'
        for _ in range(MAX_BODY_BYTES // 2**16 + 1):
            yield b"x" * 2**16

    for content in (b"x" * (MAX_BODY_BYTES + 1), pieces()):
        answer = client.post("/api/write", content=content, headers=JSON)
        assert answer.status_code == 413 and answer.json()["error"]["type"] == "too_large"


def test_a_form_or_a_plain_text_is_no_json(client: TestClient) -> None:
    answer = client.post("/api/write", content=b'{"text": "a"}', headers={"Content-Type": "text/plain"})
    assert answer.status_code == 400 and "Content-Type" in answer.json()["error"]["message"]


@pytest.mark.parametrize("seconds", [None, 0.0, 0.2, 7.2])
def test_retry_after_is_a_whole_number_of_at_least_one(seconds: float | None) -> None:
    header = error_response(NotReadyError("Soon.", retry_seconds=seconds)).headers.get("Retry-After")
    assert header == {None: None, 0.0: "1", 0.2: "1", 7.2: "8"}[seconds]


@pytest.mark.parametrize("kind", PeopleError.__subclasses__())
def test_every_error_for_people_keeps_its_status(client: TestClient, bench: Bench, kind: type[PeopleError]) -> None:
    bench.store.error = kind("A sentence.", param="model")
    answer = client.post("/api/sentiment", json={"text": "good"})
    assert answer.status_code == kind.status
    code = {"code": kind.code} if kind.code else {}
    assert answer.json() == {"error": {"type": kind.kind, "message": "A sentence.", "param": "model"} | code}


def test_a_bug_is_logged_under_the_number_that_is_told(
    client: TestClient, bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.plan["sentiment-e5"] = FakeBackend()
    bench.plan["sentiment-e5"].fail_with = ZeroDivisionError("secret detail")
    answer = client.post("/api/sentiment", json={"text": "good"})
    assert answer.status_code == 500 and "secret" not in answer.text
    number = answer.json()["error"]["message"].split()[-1].rstrip(".")
    (record,) = [record for record in caplog.records if number in record.getMessage()]
    assert record.exc_info and "secret detail" in str(record.exc_info[1])
