"""What is refused before anybody parses it."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Sequence
from typing import Any

import pytest
from starlette.testclient import TestClient

from engine.applications import APPLICATIONS
from engine.errors import PeopleError
from engine.http import bodies, limits
from engine.http.bodies import MAX_NAMES
from engine.http.limits import MAX_BODY_BYTES, MAX_DEPTH, MAX_PIECES, SMALL_BYTES, body_bytes, check_body

JSON = {"Content-Type": "application/json"}
ONES = b"[" + b"1," * 3_900_000 + b"1]"
KEYS = b"{" + b",".join(b'"k%d":1' % number for number in range(600_000)) + b"}"
CHAT = b'{"model": "gemma-3-270m", "messages": [{"role": "user", "content": %s}]}'
TOO_MUCH = [
    ("/v1/chat/completions", CHAT % ONES),
    ("/v1/completions", b'{"model": "gemma-3-270m", "prompt": %s}' % ONES),
    ("/v1/completions", b'{"model": "gemma-3-270m", "prompt": "a", "stop": %s}' % ONES),
    ("/v1/completions", KEYS),
    ("/api/sentiment", b'{"text": %s}' % ONES),
    ("/api/sentiment", b'{"text": [%s""]}' % (b'"",' * 2_000_000)),
    ("/api/write", b'{"text": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    ("/api/write", b'{"text": "a", "top_k": %s}' % (b"9" * 400)),
    ("/v1/completions", b'{"model": "a", "prompt": "a", "max_tokens": %s}' % (b"9" * 400)),
    ("/api/write", json.dumps({"text": [1] * 30_000}).encode("utf-16")),
    ("/api/write", json.dumps({"text": [1] * 30_000}).encode("utf-32-le")),
]


@pytest.mark.parametrize(("path", "body"), TOO_MUCH, ids=range(len(TOO_MUCH)))
def test_too_much_is_refused_before_it_is_parsed(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, path: str, body: bytes
) -> None:
    parsed: list[Any] = []
    monkeypatch.setattr("json.loads", parsed.append)
    answer = client.post(path, content=body, headers=JSON)
    monkeypatch.undo()
    assert not parsed
    assert answer.status_code in (400, 413) and set(answer.json()["error"]) == {"type", "message", "param"}


@pytest.mark.parametrize("number", ["1e400", "-1e400", "1e308", "9" * 60, '"' + "9" * 400 + '"', '"1e400"'])
@pytest.mark.parametrize("name", ["max_tokens", "top_k", "temperature", "seed", "min_p", "logprobs"])
def test_a_number_out_of_range_is_the_senders_fault(client: TestClient, name: str, number: str) -> None:
    body = f'{{"model": "gemma-3-270m", "prompt": "a", "{name}": {number}}}'
    for path, content in (("/v1/completions", body), ("/api/write", body.replace("prompt", "text"))):
        answer = client.post(path, content=content, headers=JSON)
        is_length = path == "/v1/completions" and name == "max_tokens" and number.strip('"').isdigit()
        assert answer.status_code == (422 if is_length else 400), answer.text


FAULTS = [
    ("/api/write", '{"text": "a", "stop": [%s]}', "stop[0]"),
    ("/v1/completions", '{"model": "gemma-3-270m", "prompt": "a", "stop": [%s]}', "stop[0]"),
    ("/v1/chat/completions", CHAT.decode().replace("%s", "[%s]"), "messages[0].content[0]"),
    ("/v1/chat/completions", '{"model": "gemma-3-270m", "messages": [%s]}', "messages[0]"),
]


@pytest.mark.parametrize(("path", "body", "param"), FAULTS, ids=range(len(FAULTS)))
def test_bodies_are_checked_off_the_loop_and_up_to_the_first_fault(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, path: str, body: str, param: str
) -> None:
    seen: list[int] = []
    first_fault_in_words = bodies.first_fault_in_words

    def explained(faults: Sequence[Any]) -> Any:
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        seen.append(len(faults))
        return first_fault_in_words(faults)

    monkeypatch.setattr(bodies, "first_fault_in_words", explained)
    answer = client.post(path, content=body % ("1," * 9_000 + "1"), headers=JSON)
    assert answer.status_code == 400 and answer.json()["error"]["param"] == param
    assert len(seen) == 1 and seen[0] <= 2, "a union has a fault of each of its kinds"


def test_a_body_has_few_fields(client: TestClient) -> None:
    asked = {"model": "gemma-3-270m", "prompt": "a", "max_tokens": 1}
    unknown = {f"unknown{number}": number for number in range(MAX_NAMES - len(asked))}
    assert client.post("/v1/completions", json=asked | unknown).status_code == 200, "clients send fields of their own"
    for path in ("/v1/completions", "/v1/chat/completions", "/api/write"):
        answer = client.post(path, json=asked | unknown | {"one": 1})
        assert answer.status_code == 413 and str(MAX_NAMES) in answer.json()["error"]["message"]


def test_what_people_send_passes() -> None:
    turns = [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}] * 500
    for body in ({"messages": turns}, {"text": ['[{"\\' * 500] * 2_000}, {"a": -1.7976931348623157e308, "b": [True]}):
        check_body(json.dumps(body).encode())
    check_body(b"\xef\xbb\xbf{}")
    for bad in (b'{"a', b'"' + b"\\", b"}" * 50, b""):
        check_body(bad)  # the parser tells what is wrong


def test_the_limits_count_what_is_outside_of_texts() -> None:
    check_body(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
    for body in (b"[" * (MAX_DEPTH + 1), b"1 " * (MAX_PIECES + 1), b'"\\""' * (MAX_PIECES + 1), b"[]" * MAX_PIECES):
        with pytest.raises(PeopleError):
            check_body(body)


def test_counting_stops_at_the_first_piece_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    class Counted:
        pieces = limits._PIECES
        seen = 0

        def finditer(self, body: bytes) -> Any:
            for piece in self.pieces.finditer(body):
                self.seen += 1
                yield piece

    counted = Counted()
    monkeypatch.setattr(limits, "_PIECES", counted)
    with pytest.raises(PeopleError):
        check_body(ONES)
    assert counted.seen == MAX_PIECES + 1


def test_a_path_that_takes_one_text_takes_a_smaller_body(client: TestClient) -> None:
    most = body_bytes(APPLICATIONS["answer"].request_type, 20_000)
    assert 20_000 * 12 < most < MAX_BODY_BYTES == body_bytes(APPLICATIONS["sentiment"].request_type, 20_000)
    body = json.dumps({"question": "Who?", "context": "x" * most})
    for path in ("/api/answer", "/api/answer/stream"):
        assert client.post(path, content=body, headers=JSON).status_code == 413


def test_small_bodies_are_looked_at_without_a_thread(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two threads for each of many short questions took a tenth of their time."""
    threads: list[str] = []
    checked = bodies._checked

    def noted(body: bytes, adapter: Any) -> Any:
        threads.append(threading.current_thread().name)
        return checked(body, adapter)

    monkeypatch.setattr(bodies, "_checked", noted)
    for spaces in (0, SMALL_BYTES):
        answer = client.post("/api/sentiment", content=b'{"text": 1%s}' % (b" " * spaces), headers=JSON)
        assert answer.status_code == 400
    assert ["worker" in name for name in threads] == [False, True], threads
