"""Kept results: what repeats, what a hit costs and says, what ends it; and many who ask the same at once."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from benches import Bench, model
from fakes import HOST, FakeBackend

from engine.applications import write
from engine.errors import InputError, NotReadyError
from engine.requests import (
    Classification,
    Classify,
    Embed,
    Embedding,
    Event,
    Extract,
    Fill,
    Generate,
    Generation,
    Message,
    Request,
    Sampling,
    Token,
)
from engine.serving import repeats
from engine.serving.identity import identify
from engine.serving.protocol import Caller
from engine.serving.results import ENTRY_BYTES, Key, Results, count_bytes, events_of, fingerprint

GREEDY = Generate("one two", sampling=Sampling(5, 0.0))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    file = tmp_path / "weights.gguf"
    file.write_bytes(b"first")
    return file


@pytest.fixture
def bench(weights: Path) -> Iterator[Bench]:
    """An engine whose models' weights lie in a real file."""
    made = Bench(model("a"), model("b"))
    made.store.path = lambda model_id: weights  # type: ignore[method-assign]
    yield made
    made.engine.close()


def seen(bench: Bench, name: str = "a") -> int:
    return len(bench.backends[name].seen)


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.005)


# Whose it repeats.


def test_a_visitor_repeats_only_what_the_same_visitor_asked(bench: Bench) -> None:
    """Else the time of an answer would tell whether somebody else had asked the same."""
    ada, eve = Caller("ada"), Caller("eve")
    for caller, count in ((ada, 1), (ada, 1), (eve, 2), (HOST, 3), (Caller("other", "host"), 3), (eve, 3)):
        (result,) = bench.engine.run("a", [GREEDY], caller)
        assert (seen(bench), result.text) == (count, "one two one two one ")


def test_a_visitor_does_not_wait_for_what_another_has_under_way(bench: Bench) -> None:
    first, second = (bench.engine.stream("a", GREEDY, Caller(name)) for name in ("ada", "eve"))
    next(first)
    next(second)
    for events in (first, second):
        *_, last = events
        assert last.result is not None and not last.result.is_repeated
    assert seen(bench) == 2


# What repeats.


@pytest.mark.parametrize(
    "request_",
    [
        GREEDY,
        Generate("one", sampling=Sampling(seed=0)),
        Classify("good"),
        Extract("who?", "me"),
        Fill("[MASK]"),
        Embed("x"),
    ],
)
def test_a_repeatable_request_is_worked_on_once(bench: Bench, request_: Request) -> None:
    (first,), (second,) = (bench.engine.run("a", [request_], HOST) for _ in range(2))
    assert seen(bench) == 1
    assert (first.is_repeated, second.is_repeated) == (False, True)
    if not isinstance(first, Generation):
        assert first == second


def test_what_is_drawn_by_lot_is_worked_on_each_time(bench: Bench) -> None:
    for _ in range(2):
        assert not bench.engine.run("a", [Generate("one", sampling=Sampling(5, 0.7))], HOST)[0].is_repeated
    assert seen(bench) == 2 and bench.engine.inner.results.used_bytes == 0


@pytest.mark.parametrize(
    "other",
    [
        Generate("one two ", sampling=Sampling(5, 0.0)),
        Generate(messages=(Message("user", "one two"),), sampling=Sampling(5, 0.0)),
        replace(GREEDY, sampling=Sampling(6, 0.0)),
        replace(GREEDY, sampling=Sampling(5, 0.0, stop=("x",))),
        replace(GREEDY, sampling=Sampling(5, 0.0, seed=1)),
        replace(GREEDY, sampling=Sampling(5, 0.1, seed=1)),
        replace(GREEDY, top_logprobs=1),
        replace(GREEDY, target="fr"),
        Classify("one two"),
        Embed("one two"),
    ],
)
def test_the_whole_request_counts(other: Request) -> None:
    assert fingerprint(GREEDY) != fingerprint(other)


def test_settings_that_do_not_act_do_not_count() -> None:
    assert fingerprint(GREEDY) == fingerprint(replace(GREEDY, sampling=Sampling(5, 0.0, top_k=7, top_p=0.3)))


def test_odd_texts_have_fingerprints() -> None:
    assert len({fingerprint(Classify(text)) for text in ("\ud800", "", "'", '"', "\x00", "雪")}) == 6


# What a hit says, and what it needs.


def test_a_hit_needs_no_model_and_no_place_and_leaves_the_statistics_alone(bench: Bench) -> None:
    bench.engine.run("a", [GREEDY], HOST)
    requests = bench.engine.status().models[0].requests
    bench.local._evict([("a", "fake")])
    events = list(bench.engine.stream("a", GREEDY, HOST))
    assert [event.kind for event in events] == ["text", "done"] and events[0].text == events[1].result.text
    assert bench.loads == ["a"] and bench.engine.status().models == ()
    result = events[1].result
    assert result.is_repeated and result.first_token_seconds is None and result.tokens_per_second is None
    assert (result.new_tokens, result.finish_reason, requests) == (5, "length", 1)


def test_log_probabilities_come_again_with_their_tokens(bench: Bench) -> None:
    asked = replace(GREEDY, top_logprobs=2)
    first, second = (list(bench.engine.stream("a", asked, HOST)) for _ in range(2))
    assert [(e.text, e.token) for e in first if e.kind == "text"] == [
        (e.text, e.token) for e in second if e.kind == "text"
    ]


def test_tokens_that_do_not_spell_the_text_still_join_to_it() -> None:
    tokens = tuple(Token(text, place) for place, text in enumerate(("a", "\ufffd", "\ufffd", "b", "stop")))
    events = list(events_of(Generation("aéb", "stop", 1, 5, {}, tokens=tokens)))
    assert "".join(event.text for event in events) == "aéb" and [e.token for e in events[:5]] == list(tokens)
    assert events[-1] == Event("done", result=events[-1].result)


def test_a_draft_says_that_it_is_repeated() -> None:
    bench = Bench(model("smollm2-135m-instruct", is_chat=True))
    bench.store.path = lambda model_id: Path(__file__)  # type: ignore[method-assign]
    asked = write.WriteRequest("snow", "poem", max_new_tokens=4, seed=1)
    assert [write.APPLICATION.run(bench.engine, asked, HOST).is_repeated for _ in range(2)] == [False, True]
    bench.engine.close()


def test_rows_are_answered_from_both_in_order(bench: Bench) -> None:
    bench.engine.run("a", [Classify("good"), Classify("bad")], HOST)
    results = bench.engine.run("a", [Classify(text) for text in ("new", "good", "new", "bad", "other good")], HOST)
    assert [r.label for r in results] == ["negative", "positive", "negative", "negative", "positive"]  # type: ignore[union-attr]
    assert [r.is_repeated for r in results] == [False, True, True, True, False]
    assert seen(bench) == 4


# What ends it.


@pytest.mark.parametrize("change", ["content", "time"])
def test_other_weights_under_the_same_name_answer_for_themselves(bench: Bench, weights: Path, change: str) -> None:
    bench.engine.run("a", [GREEDY], HOST)
    bench.local._evict([("a", "fake")])
    if change == "content":
        weights.write_bytes(b"others")
    else:
        os.utime(weights, ns=(1, 1))
    assert not bench.engine.run("a", [GREEDY], HOST)[0].is_repeated
    assert bench.loads == ["a", "a"]


def test_a_new_entry_of_the_catalogue_and_another_model_answer_for_themselves(bench: Bench) -> None:
    bench.engine.run("a", [GREEDY], HOST)
    assert not bench.engine.run("b", [GREEDY], HOST)[0].is_repeated
    bench.local._evict([("a", "fake")])
    bench.engine.catalogue.add(model("a", prompt_style="few-shot"))
    assert not bench.engine.run("a", [GREEDY], HOST)[0].is_repeated


def test_weights_that_change_while_they_are_read_leave_nothing_behind(bench: Bench, weights: Path) -> None:
    load = bench.local._load

    def slow(*arguments: Any) -> Any:
        weights.write_bytes(b"meanwhile")
        return load(*arguments)

    bench.local._load = slow
    for _ in range(2):
        assert not bench.engine.run("a", [GREEDY], HOST)[0].is_repeated


@pytest.mark.parametrize("is_loaded", [True, False])
def test_deleting_a_model_forgets_what_it_answered(bench: Bench, is_loaded: bool) -> None:
    for name in ("a", "b"):
        bench.engine.run(name, [GREEDY], HOST)
    if not is_loaded:
        bench.local._evict([("a", "fake")])
    bench.house.delete("a", HOST)
    assert not bench.engine.run("a", [GREEDY], HOST)[0].is_repeated
    assert bench.engine.run("b", [GREEDY], HOST)[0].is_repeated


def test_a_model_that_is_not_there_answers_nothing(bench: Bench) -> None:
    bench.engine.run("a", [GREEDY], HOST)
    bench.local._evict([("a", "fake")])

    def gone(model_id: str) -> Path:
        raise NotReadyError("It is gone. Download it again.")

    bench.store.path = gone  # type: ignore[method-assign]
    with pytest.raises(NotReadyError, match="gone"):
        bench.engine.run("a", [GREEDY], HOST)


def test_what_was_stopped_late_or_failed_is_not_kept(bench: Bench) -> None:
    slow = replace(GREEDY, sampling=Sampling(4096, 0.0))
    bench.plan["a"] = FakeBackend(step_seconds=0.01)
    stopped = bench.engine.stream("a", slow, HOST)
    next(event for event in stopped if event.kind == "text")
    stopped.close()
    late = list(bench.engine.stream("a", slow, HOST, deadline_seconds=0.2))[-1].result
    assert late.finish_reason == "deadline"
    bench.plan["a"].fail_with = ZeroDivisionError("a bug")
    with pytest.raises(ZeroDivisionError):
        bench.engine.run("a", [GREEDY], HOST)
    bench.plan["a"].fail_with = None
    assert bench.engine.inner.results.used_bytes == 0
    assert not bench.engine.run("a", [GREEDY], HOST)[0].is_repeated


def test_nought_bytes_keep_nothing(weights: Path) -> None:
    bench = Bench(model("a"), result_cache_bytes=0)
    bench.store.path = lambda model_id: weights  # type: ignore[method-assign]
    assert [bench.engine.run("a", [GREEDY], HOST)[0].is_repeated for _ in range(2)] == [False, False]
    bench.engine.close()


def test_the_limit_holds_and_what_was_asked_for_lately_stays() -> None:
    size = ENTRY_BYTES + count_bytes(Embedding([0.5] * 384))
    results = Results(3 * size)
    keys = [Key("a", "w", str(number)) for number in range(4)]
    for key in keys[:3]:
        results.keep(key, Embedding([0.5] * 384))
    assert results.find(keys[0]) and results.used_bytes == 3 * size
    results.keep(keys[3], Embedding([0.5] * 384))
    assert [results.find(key) is not None for key in keys] == [True, False, True, True]
    results.keep(Key("a", "w", "large"), Embedding([0.5] * 10_000))
    assert results.find(Key("a", "w", "large")) is None and results.used_bytes == 3 * size
    results.forget("a")
    assert results.used_bytes == 0


def test_sizes_are_about_right() -> None:
    assert 384 * 32 <= count_bytes(Embedding([0.5] * 384)) < 384 * 40
    assert 1000 < count_bytes(Generation("x" * 1000, "stop", 1, 1, {"stop": []})) < 1600
    assert count_bytes(Classification("a", {"a": 0.5, "b": 0.5})) > 100


def test_a_folder_is_known_by_its_files_and_not_by_its_use(tmp_path: Path) -> None:
    for name in ("model.safetensors", "manifest.json"):
        (tmp_path / name).write_text("{}")
    before = identify(model("a"), tmp_path)
    os.utime(tmp_path / "manifest.json", ns=(1, 1))
    (tmp_path / "copy-for-a-runtime").mkdir()
    assert before is not None and identify(model("a"), tmp_path) == before
    (tmp_path / "model.safetensors").write_text("{ }")
    assert identify(model("a"), tmp_path) != before
    assert identify(model("a"), tmp_path / "none") is None


# Many at once.


def test_fifty_who_ask_the_same_at_once_cause_one_computation(bench: Bench) -> None:
    bench.plan["a"] = FakeBackend(concurrency=1, step_seconds=0.3)  # slower than fifty threads begin
    answers: list[Any] = []
    crowd = [threading.Thread(target=lambda: answers.extend(bench.engine.run("a", [GREEDY], HOST))) for _ in range(50)]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join(20)
    assert len({answer.text for answer in answers}) == 1 and len(answers) == 50
    assert seen(bench) == 1 and sum(not answer.is_repeated for answer in answers) == 1


def test_the_first_ones_leaving_hurts_nobody(bench: Bench) -> None:
    backend = bench.plan["a"] = FakeBackend(concurrency=1, step_seconds=0.02)
    asked = replace(GREEDY, sampling=Sampling(30, 0.0))
    first = bench.engine.stream("a", asked, HOST)
    next(event for event in first if event.kind == "text")
    others = [bench.engine.stream("a", asked, HOST) for _ in range(2)]
    assert [next(other) for other in others] == [Event("queued")] * 2
    first.close()
    assert [list(other)[-1].result.new_tokens for other in others] == [30, 30]
    assert len(backend.seen) == 2


def test_the_first_ones_failure_is_its_own(bench: Bench) -> None:
    class Moody(FakeBackend):
        def run(self, jobs: Any) -> None:
            if not self.seen:
                self.seen.append(jobs[0].request)
                time.sleep(0.3)
                raise ZeroDivisionError("a bug")
            super().run(jobs)

    bench.plan["a"] = Moody(concurrency=1)
    first, second = (bench.engine.stream("a", GREEDY, HOST) for _ in range(2))
    while next(first).kind == "loading":
        pass
    next(second)
    with pytest.raises(ZeroDivisionError):
        list(first)
    assert list(second)[-1].result.new_tokens == 5


def test_a_shorter_time_or_a_smaller_group_waits_for_nobody(bench: Bench) -> None:
    backend = bench.plan["a"] = FakeBackend(concurrency=2, batch=1, step_seconds=0.02)
    asked = replace(GREEDY, sampling=Sampling(4096, 0.0))
    first = bench.engine.stream("a", asked, HOST)
    next(event for event in first if event.kind == "text")
    hasty = list(bench.engine.stream("a", asked, HOST, deadline_seconds=0.2))[-1].result
    assert hasty.finish_reason == "deadline" and len(backend.seen) == 2
    first.close()
    until(lambda: not bench.engine.is_busy)
    rows = bench.engine.stream_all("a", [asked, GREEDY], HOST)
    next(rows)
    single = bench.engine.stream("a", GREEDY, HOST)
    assert not list(single)[-1].result.is_repeated
    rows.close()


def test_one_that_waits_can_leave(bench: Bench) -> None:
    bench.plan["a"] = FakeBackend(concurrency=1, step_seconds=0.02)
    first, second = (bench.engine.stream("a", GREEDY, HOST) for _ in range(2))
    next(event for event in first if event.kind == "text")
    next(second)
    second.close()
    assert list(first)[-1].result.new_tokens == 5


def test_one_whose_events_nobody_reads_holds_up_nobody(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that stands still: its answer is whole in the engine, but who asks the same works for himself."""
    monkeypatch.setattr(repeats, "STALL_SECONDS", 0.3)
    first, second = (bench.engine.stream("a", GREEDY, HOST) for _ in range(2))
    next(event for event in first if event.kind == "text")
    assert not list(second)[-1].result.is_repeated
    assert list(first)[-1].result.new_tokens == 5 and seen(bench) == 2


def test_what_fails_before_it_begins_leaves_nothing_to_wait_for(bench: Bench) -> None:
    bench.store.path = lambda model_id: Path(__file__)  # type: ignore[method-assign]
    for _ in range(2):
        with pytest.raises(InputError):
            bench.engine.run("a", [GREEDY, replace(GREEDY, sampling=Sampling(5, 9.0))], HOST)
    assert bench.engine.inner._under_way == {}  # type: ignore[attr-defined]
    assert bench.engine.run("a", [GREEDY], HOST)
    assert bench.engine.inner._under_way == {}  # type: ignore[attr-defined]
