"""Streams over a real connection: waiting, hanging up, many at once, the server's end."""

from __future__ import annotations

import asyncio
import http.client
import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest
from benches import Bench
from fakes import FakeBackend

from engine.http import ended_by_signals
from engine.http.streams import events_of

WRITER = "smollm2-135m-instruct"
LONG = {"text": "snow", "max_new_tokens": 4000}
JSON = {"Content-Type": "application/json"}


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.01)


def ask(address: str, path: str, body: Any) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=90)
    connection.request("POST", path, json.dumps(body), JSON)
    return connection


def at_work(bench: Bench) -> tuple[int, int]:
    """Running and waiting requests of the writer."""
    models = [model for model in bench.engine.status().models if model.id == WRITER]
    return (models[0].running, models[0].queued) if models else (0, 0)


@pytest.fixture
def backend(bench: Bench) -> FakeBackend:
    bench.plan[WRITER] = FakeBackend(concurrency=1, batch=1, step_seconds=0.01)
    return bench.plan[WRITER]


CALLS = [
    ("/api/write", LONG),
    ("/api/write/stream", LONG),
    ("/v1/completions", {"model": WRITER, "prompt": ["a", "b"], "max_tokens": 4000}),
    ("/v1/completions", {"model": WRITER, "prompt": ["a", "b"], "max_tokens": 4000, "stream": True}),
    ("/v1/chat/completions", {"model": WRITER, "messages": [{"role": "user", "content": "a"}], "max_tokens": 4000}),
]


@pytest.mark.parametrize(("path", "body"), CALLS)
def test_hanging_up_while_it_runs_frees_the_slot(
    address: str, bench: Bench, backend: FakeBackend, path: str, body: Any
) -> None:
    connection = ask(address, path, body)
    until(lambda: backend.steps > 3)
    connection.close()
    until(lambda: at_work(bench) == (0, 0))
    assert backend.steps < 1500


@pytest.mark.parametrize(("path", "body"), CALLS)
def test_hanging_up_while_it_waits_leaves_the_line(
    address: str, bench: Bench, backend: FakeBackend, path: str, body: Any
) -> None:
    first = ask(address, "/api/write/stream", LONG)
    until(lambda: at_work(bench) == (1, 0))
    second = ask(address, path, body)
    until(lambda: at_work(bench)[1] > 0)
    second.close()
    until(lambda: at_work(bench) == (1, 0))
    assert len(backend.seen) == 1, "what was given up was never worked on"
    first.close()
    until(lambda: at_work(bench) == (0, 0))


def test_waiting_is_told_and_kept_alive(address: str, bench: Bench, backend: FakeBackend) -> None:
    first = ask(address, "/api/write/stream", LONG)
    until(lambda: at_work(bench) == (1, 0))
    ours = ask(address, "/api/write/stream", LONG | {"max_new_tokens": 2}).getresponse()
    theirs = ask(
        address,
        "/v1/chat/completions",
        {"model": WRITER, "messages": [{"role": "user", "content": "a b"}], "max_tokens": 2, "stream": True},
    ).getresponse()
    assert json.loads(ours.readline()[6:]) == {"kind": "queued", "position": 1}
    assert [ours.readline(), ours.readline()] == [b"\n", b": waiting\n"]
    assert theirs.readline() == b": waiting\n"
    first.close()
    assert ours.read().endswith(b"}\n\n") and theirs.read().endswith(b"data: [DONE]\n\n")


def test_a_proxy_is_told_not_to_hold_the_stream_back(address: str) -> None:
    answer = ask(address, "/api/write/stream", {"text": "snow", "max_new_tokens": 1}).getresponse()
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    assert (answer.headers["X-Accel-Buffering"], answer.headers["Cache-Control"]) == ("no", "no-cache")


def test_fifty_at_once_are_answered_or_refused_and_the_rest_of_the_server_lives(address: str, bench: Bench) -> None:
    go = threading.Event()

    class Held(FakeBackend):
        def _generate(self, job: Any) -> None:
            go.wait(240)
            super()._generate(job)

    bench.local.settings = replace(bench.engine.settings, queue_length=44, deadline_seconds=300.0)
    bench.plan[WRITER] = Held(concurrency=2, batch=1)
    statuses: list[int] = []

    def one(number: int) -> None:
        path = "/api/write/stream" if number % 2 else "/api/write"
        answer = ask(address, path, {"text": "snow", "max_new_tokens": 3}).getresponse()
        answer.read()
        statuses.append(answer.status)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    until(lambda: len(statuses) + sum(at_work(bench)) == 50)
    for path in ("/healthz", "/api/docs/static/favicon.png"):
        connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=10)
        connection.request("GET", path)
        assert connection.getresponse().status == 200
    go.set()
    for thread in threads:
        thread.join(240)
    assert len(statuses) == 50 and set(statuses) == {200, 429} and 44 <= statuses.count(200) <= 46


def test_a_signal_ends_the_answers_under_way_and_then_does_what_it_did(
    address: str, bench: Bench, backend: FakeBackend
) -> None:
    received: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
    try:
        with ended_by_signals():
            streamed = ask(address, "/api/write/stream", LONG)
            whole = ask(address, "/api/write", LONG)
            until(lambda: backend.steps > 0 and at_work(bench) == (1, 1))
            signal.raise_signal(signal.SIGTERM)
            answer = whole.getresponse()
            assert (answer.status, answer.headers["Retry-After"]) == (503, "60")
            last = streamed.getresponse().read().strip().rpartition(b"data: ")[2]
            assert json.loads(last)["error"]["type"] == "not_ready"
            until(lambda: received == [signal.SIGTERM])
            signal.raise_signal(signal.SIGTERM)
            assert received == [signal.SIGTERM] * 2, "a second one waits for nothing"
        assert signal.getsignal(signal.SIGTERM) is not before
        signal.raise_signal(signal.SIGTERM)
        assert len(received) == 3
    finally:
        signal.signal(signal.SIGTERM, before)
    assert ask(address, "/api/write", {"text": "a", "max_new_tokens": 1}).getresponse().status == 200


def test_one_thread_makes_all_events_of_a_request() -> None:
    threads: list[int] = []

    def made() -> Iterator[int]:
        for number in range(50):
            threads.append(threading.get_ident())
            yield number

    async def read() -> list[int]:
        return [event async for event in events_of(made())]

    assert asyncio.run(read()) == list(range(50))
    assert len(set(threads)) == 1 and threading.get_ident() not in threads


def test_what_came_before_a_fault_is_read_before_it() -> None:
    read: list[int] = []

    def made() -> Iterator[int]:
        yield 1
        yield 2
        raise ValueError("broken")

    async def take() -> None:
        async for event in events_of(made()):
            read.append(event)

    with pytest.raises(ValueError, match="broken"):
        asyncio.run(take())
    assert read == [1, 2]


@pytest.mark.parametrize("fault", [None, ValueError("at its end")])
def test_whoever_stops_reading_has_it_closed_by_then(fault: Exception | None) -> None:
    ends: list[int] = []

    def made() -> Iterator[int]:
        try:
            for number in range(10_000):
                time.sleep(0.001)
                yield number
        finally:
            ends.append(number)
            if fault:
                raise fault

    async def take() -> int:
        async with aclosing(events_of(made())) as events:
            return await anext(events)

    assert asyncio.run(take()) == 0
    assert ends and ends[0] < 5_000
