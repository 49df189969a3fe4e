"""Limits of a public site: for each visitor and each address, told before they end and named when they have."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from benches import Bench, embedded_models
from fakes import HOST, FakeBackend

from engine.applications import APPLICATIONS
from engine.applications.sentiment import SentimentRequest
from engine.errors import InputError, LimitError, TooLargeError
from engine.jobs import askers
from engine.requests import Classify, Generate, Sampling
from engine.serving.protocol import Caller
from engine.storage.connections import FILE

ANN = Caller("ann", address="192.0.2.1", grants=frozenset({"upload"}))
SAY = Generate("one two", sampling=Sampling(5))


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench(*embedded_models(), queue_length=64, is_public=True, requests_a_minute=3, tokens_a_day=1000)
    yield made
    made.engine.close()


def ask(bench: Bench, caller: Caller, count: int = 1) -> None:
    for _ in range(count):
        bench.engine.run("gemma-3-270m", [SAY], caller)


def left(bench: Bench, caller: Caller) -> dict[str, int]:
    return {one.use: one.rest for one in bench.house.allowances.of(caller)}


def test_each_visitor_has_its_own_and_what_is_left_is_told(bench: Bench) -> None:
    assert left(bench, ANN) == {"requests": 3, "tokens": 1000, "seconds": 3600, "uploads": 20}
    assert "uploads" not in left(bench, Caller("bob")), "who may bring no file has no allowance of files"
    ask(bench, ANN, 3)
    assert left(bench, ANN) | {"seconds": 0} == {"requests": 0, "tokens": 1000 - 3 * 7, "seconds": 0, "uploads": 20}
    with pytest.raises(LimitError, match=r"3 requests a minute from each visitor\. Ask again in .* s\.") as told:
        ask(bench, ANN)
    assert told.value.status == 429 and told.value.code == "rate_limit_exceeded" and 0 < told.value.retry_seconds <= 60
    ask(bench, Caller("bob", address="192.0.2.2"))
    bench.house.storage.now = lambda: time.time() + 61  # type: ignore[attr-defined]
    ask(bench, ANN)


def test_an_address_has_as_much_as_four_visitors(bench: Bench) -> None:
    """Whoever throws the cookie away is somebody else, at the same address; of IPv6 one of its whole network."""
    for address in ("192.0.2.1", "2001:db8::{}"):
        for number in range(12):
            ask(bench, Caller(f"new {number} {address}", address=address.format(number)))
        with pytest.raises(LimitError, match="12 requests a minute from each network address"):
            ask(bench, Caller("another", address=address.format("ffff")))


@pytest.mark.parametrize(
    ("limit", "words"), [("tokens_a_day", "20 tokens a day, and yours are used"), ("seconds_a_day", "seconds a day")]
)
def test_what_has_begun_is_carried_to_its_end_and_the_next_is_refused(bench: Bench, limit: str, words: str) -> None:
    bench.plan["gemma-3-270m"] = FakeBackend(step_seconds=0.3 if limit == "seconds_a_day" else 0)
    most = 20 if limit == "tokens_a_day" else 1
    bench.local.settings = replace(bench.local.settings, requests_a_minute=0, **{limit: most})
    ask(bench, ANN, 3 if limit == "tokens_a_day" else 1)
    with pytest.raises(LimitError, match=words) as told:
        ask(bench, ANN)
    assert told.value.retry_seconds > 80_000 and " h " in str(told.value)


def test_a_request_that_is_stopped_counts_what_it_said(bench: Bench) -> None:
    events = bench.engine.stream("gemma-3-270m", Generate("one two", sampling=Sampling(400)), ANN)
    while next(events).kind != "text":
        pass
    events.close()  # type: ignore[attr-defined]
    assert left(bench, ANN)["tokens"] == 999


def test_one_thing_asked_counts_once_however_many_requests_it_takes(bench: Bench) -> None:
    caller = replace(ANN, call="a")
    ask(bench, caller, 7)
    ask(bench, replace(ANN, call="b"))
    assert left(bench, ANN)["requests"] == 1


def test_hosts_and_sites_that_are_not_public_have_no_limit(bench: Bench) -> None:
    ask(bench, HOST, 8)
    bench.local.settings = replace(bench.local.settings, is_public=False)
    ask(bench, ANN, 8)
    assert bench.house.allowances.of(ANN) == [] and bench.house.allowances.of(HOST) == []


def test_members_have_more(bench: Bench) -> None:
    ask(bench, Caller("eve", "member", address="192.0.2.9"), 25)
    assert left(bench, Caller("eve", "member"))["requests"] == 5


def test_limits_hold_while_the_storage_is_gone_and_after_a_restart(bench: Bench) -> None:
    ask(bench, ANN, 3)
    again = Bench(*embedded_models(), is_public=True, requests_a_minute=3, tokens_a_day=1000)
    again.house.storage.folder = bench.house.storage.folder  # type: ignore[attr-defined]
    with pytest.raises(LimitError):
        ask(again, ANN)
    again.house.storage.folder = Path(again.kept.name) / FILE / "below"  # type: ignore[attr-defined]
    again.house.storage.close()
    (Path(again.kept.name) / FILE).touch()
    ask(again, ANN, 3)
    with pytest.raises(LimitError):
        ask(again, ANN)
    again.engine.close()


@pytest.mark.parametrize(
    ("text", "error"), [("x" * 5001, TooLargeError), (["x"] * 101, InputError), (["x"] * 100, None), ("x" * 5000, None)]
)
def test_a_public_site_takes_shorter_texts_and_fewer_rows(bench: Bench, text: Any, error: Any) -> None:
    sentiment = APPLICATIONS["sentiment"]
    if error is None:
        assert sentiment.run(bench.engine, SentimentRequest(text), ANN).results
    else:
        with pytest.raises((error, TooLargeError), match=r"5,?000|100"):
            sentiment.run(bench.engine, SentimentRequest(text), ANN)


def test_what_is_repeated_from_memory_costs_no_tokens(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.local, "weights", lambda model_id: "one")
    bench.engine.run("sentiment-e5", [Classify("good")], ANN)
    greedy = Generate("one two", sampling=Sampling(5, temperature=0))
    for _ in range(2):
        bench.engine.run("gemma-3-270m", [greedy], ANN)
    assert left(bench, ANN)["tokens"] == 1000 - 7


def test_members_begin_so_many_jobs_a_day(bench: Bench, tmp_path: Path) -> None:
    settings = replace(bench.local.settings, runs_folder=tmp_path, jobs_a_day=2)
    member = Caller("eve", "member", grants=frozenset({"work"}))
    for name, who in (("one", member), ("two", member), ("three", ANN)):
        (tmp_path / ".jobs" / name).mkdir(parents=True)
        askers.describe(tmp_path / ".jobs" / name, "export", caller=who)
    with pytest.raises(LimitError, match=r"2 jobs a day for each of its members\. Begin the next in 2[34] h"):
        askers.check_today(settings, member)
    for where, who in ((settings, ANN), (settings, HOST), (replace(settings, is_public=False), member)):
        askers.check_today(where, who)
