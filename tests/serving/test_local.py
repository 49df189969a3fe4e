"""The engine on a fake backend: streams, cancelling, turns, budget, faults. No torch, no weights."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from benches import Bench, model
from fakes import HOST, FakeBackend, fake_runtime

from engine.errors import (
    BusyError,
    ConflictError,
    InputError,
    MemoryShortError,
    NotFoundError,
    NotReadyError,
    UnsupportedError,
)
from engine.requests import Classify, Embed, Generate, Sampling
from engine.serving import local
from engine.serving.protocol import Caller
from engine.serving.worker import CALL_CONCURRENCY


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.engine.close()


def generate(tokens: int = 5, prompt: str = "one two") -> Generate:
    return Generate(prompt, sampling=Sampling(max_new_tokens=tokens))


def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.005)


def test_a_whole_answer_is_the_join_of_its_stream(bench: Bench) -> None:
    events = list(bench.engine.stream("a", generate(), HOST))
    assert events[-1].kind == "done"
    assert "".join(e.text for e in events if e.kind == "text") == events[-1].result.text == "one two one two one "
    assert events[-1].result.settings["max_new_tokens"] == 5


def test_nothing_is_submitted_before_the_first_next(bench: Bench) -> None:
    bench.engine.stream("a", generate(), HOST).close()
    assert bench.loads == []


def test_closing_a_stream_frees_its_slot_within_a_step_and_leaves_others_alone(bench: Bench) -> None:
    backend = bench.plan["a"] = FakeBackend(concurrency=2, step_seconds=0.01)
    other = bench.engine.stream("a", generate(40, "other"), HOST)
    assert next(e for e in other if e.kind == "text").text == "other "
    stopped = bench.engine.stream("a", generate(4096, "stopped"), HOST)
    next(e for e in stopped if e.kind == "text")
    stopped.close()
    until(lambda: [model.running for model in bench.engine.status().models] == [1])
    result = list(other)[-1].result
    assert result.new_tokens == 40 and result.finish_reason == "length"
    assert backend.steps < 200


def test_position_is_shown_while_waiting_and_a_waiting_one_can_leave(bench: Bench) -> None:
    bench.plan["a"] = FakeBackend(concurrency=1, step_seconds=0.02)
    running = bench.engine.stream("a", generate(4096), HOST)
    next(e for e in running if e.kind == "text")
    first, second = (bench.engine.stream("a", generate(2), HOST) for _ in range(2))
    assert next(e for e in first if e.kind == "queued").position == 1
    assert next(e for e in second if e.kind == "queued").position == 2
    first.close()
    running.close()
    assert list(second)[-1].result.new_tokens == 2


def test_a_full_line_answers_busy(bench: Bench) -> None:
    bench.plan["a"] = FakeBackend(concurrency=1, step_seconds=0.05)
    streams = [bench.engine.stream("a", generate(4096), HOST) for _ in range(5)]
    next(e for e in streams[0] if e.kind == "text")
    for waiting in streams[1:]:
        next(waiting)
    with pytest.raises(BusyError):
        next(bench.engine.stream("a", generate(), HOST))
    for stream in streams:
        stream.close()


def test_fifty_at_once_load_the_model_once_and_each_gets_an_answer() -> None:
    bench = Bench(queue_length=64)
    bench.load_seconds = 0.05
    answers: list[str] = []
    threads = [
        threading.Thread(
            target=lambda i=i: answers.append(bench.engine.run("a", [generate(3, f"word{i}")], HOST)[0].text)  # type: ignore[misc,union-attr]
        )
        for i in range(50)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(answers) == sorted(f"word{i} " * 3 for i in range(50))
    assert bench.loads == ["a"]
    bench.engine.close()


def test_run_batches_and_keeps_the_order(bench: Bench) -> None:
    backend = bench.plan["a"] = FakeBackend(concurrency=1, batch=16)
    texts = [("good " if i % 3 == 0 else "bad ") * (i % 7 + 1) for i in range(100)]
    results = bench.engine.run("a", [Classify(text) for text in texts], HOST)
    assert [r.label for r in results] == ["positive" if "good" in t else "negative" for t in texts]  # type: ignore[union-attr]
    assert len(backend.batches) <= 8
    lengths = [len(request.text) for request in backend.seen]
    assert lengths == sorted(lengths)


def test_where_batches_take_turns_a_call_is_one_batch_and_another_call_has_the_next(bench: Bench) -> None:
    backend = bench.plan["a"] = FakeBackend(concurrency=2, batch=8, step_seconds=0.005)
    backend.takes_turns = True  # type: ignore[attr-defined]
    many = bench.engine.stream_all("a", [generate(20, f"mine{n}") for n in range(16)], HOST)
    next(event for _, event in many if event.kind == "text")
    other = bench.engine.run("a", [generate(2, "other")], Caller("other", "host"))[0]
    assert other.new_tokens == 2 and backend.batches == [8, 1]  # type: ignore[union-attr]
    assert sum(event.kind == "done" for _, event in many) == 16 and backend.batches == [8, 1, 8]


def test_a_deadline_ends_a_running_answer_and_a_waiting_one(bench: Bench) -> None:
    bench.plan["a"] = FakeBackend(concurrency=1, step_seconds=0.02)
    running = bench.engine.stream("a", generate(4096), HOST, deadline_seconds=0.6)
    next(e for e in running if e.kind == "text")
    with pytest.raises(NotReadyError, match="No answer within") as caught:
        list(bench.engine.stream("a", generate(), HOST, deadline_seconds=0.1))
    assert caught.value.status == 503
    result = list(running)[-1].result
    assert result.finish_reason == "deadline" and result.new_tokens > 0


def test_idle_models_make_room_and_the_least_recently_used_goes_first() -> None:
    bench = Bench(model("a", 400), model("b", 400), model("c", 400), budget=1000)
    for name in ("a", "b", "a", "c"):
        bench.engine.run(name, [generate()], HOST)
    assert [m.id for m in bench.engine.status().models] == ["a", "c"]
    assert bench.backends["b"].is_closed and not bench.backends["a"].is_closed
    assert bench.engine.status().used_bytes == 800
    bench.engine.close()


def test_a_busy_model_is_waited_for() -> None:
    bench = Bench(model("a", 800), model("b", 800), budget=1000)
    bench.plan["a"] = FakeBackend(step_seconds=0.01, memory_bytes=800)
    busy = bench.engine.stream("a", generate(30), HOST)
    next(e for e in busy if e.kind == "text")
    waiting = bench.engine.stream("b", generate(1), HOST)
    assert next(waiting).kind == "loading"
    assert bench.loads == ["a"]
    list(busy)
    assert list(waiting)[-1].kind == "done"
    assert bench.backends["a"].is_closed
    bench.engine.close()


def test_a_model_over_the_budget_says_so() -> None:
    bench = Bench(model("a", 2 * 2**30), budget=2**30)
    with pytest.raises(MemoryShortError, match=r"needs 2\.1 GB.*budget is 1\.1 GB"):
        bench.engine.run("a", [generate()], HOST)
    assert bench.loads == []


def test_short_memory_while_working_halves_the_batch_and_the_engine_lives(bench: Bench) -> None:
    class Tight(FakeBackend):
        def run(self, jobs: Any) -> None:
            if len(jobs) > 2:
                raise MemoryShortError("too many at once")
            super().run(jobs)

    bench.plan["a"] = Tight(concurrency=1, batch=16)
    results = bench.engine.run("a", [Embed(str(i)) for i in range(16)], HOST)
    assert len(results) == 16
    bench.plan["a"].fail_with = MemoryShortError("This text needs more memory. Shorten it.")
    with pytest.raises(MemoryShortError, match="Shorten it"):
        bench.engine.run("a", [Embed("x")], HOST)
    bench.plan["a"].fail_with = None
    assert bench.engine.run("a", [Embed("x")], HOST)


def test_a_bug_in_a_backend_reaches_its_caller_and_nobody_else(bench: Bench) -> None:
    backend = bench.plan["a"] = FakeBackend()
    backend.fail_with = ZeroDivisionError("a bug")
    with pytest.raises(ZeroDivisionError):
        bench.engine.run("a", [generate()], HOST)
    backend.fail_with = None
    assert bench.engine.run("a", [generate()], HOST)


def test_a_backend_that_answers_nothing_does_not_hang_its_caller(bench: Bench) -> None:
    class Silent(FakeBackend):
        def run(self, jobs: Any) -> None: ...

    bench.plan["a"] = Silent()
    with pytest.raises(NotReadyError, match="gave no answer"):
        bench.engine.run("a", [generate()], HOST)


def test_a_failed_load_tells_everybody_and_the_next_request_tries_again(bench: Bench) -> None:
    bench.plan["a"] = NotReadyError("The file is damaged. Download it again.")
    with pytest.raises(NotReadyError, match="damaged"):
        bench.engine.run("a", [generate()], HOST)
    bench.plan["a"] = RuntimeError("internal")
    with pytest.raises(NotReadyError, match="could not be loaded"):
        bench.engine.run("a", [generate()], HOST)
    del bench.plan["a"]
    assert bench.engine.run("a", [generate()], HOST)
    assert bench.loads == ["a"] * 3


def test_short_memory_at_load_unloads_idle_models_and_tries_once_more() -> None:
    bench = Bench(model("a"), model("b"))
    bench.engine.run("a", [generate()], HOST)
    tries = iter([MemoryShortError("card full"), FakeBackend()])
    load, bench.local._load = bench.local._load, lambda *about: _raise_or_return(next(tries))
    assert bench.engine.run("b", [generate()], HOST)
    assert bench.backends["a"].is_closed
    assert load is not None
    bench.engine.close()


def test_a_model_for_which_the_system_has_no_memory_waits_for_busy_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "MEMORY_SECONDS", 0.02)
    bench = Bench(model("a"), model("b"))
    bench.plan["a"] = FakeBackend(step_seconds=0.01)
    busy = bench.engine.stream("a", generate(4096), HOST)
    next(e for e in busy if e.kind == "text")
    bench.plan["b"] = MemoryShortError("There is no memory.")
    waiting = bench.engine.stream("b", generate(1), HOST)
    assert next(waiting).kind == "loading"
    until(lambda: bench.loads.count("b") > 2)
    busy.close()  # type: ignore[attr-defined]
    with pytest.raises(MemoryShortError):
        list(waiting)  # nothing is left to make room
    assert bench.backends["a"].is_closed
    bench.engine.close()


def _raise_or_return(made: Any) -> Any:
    if isinstance(made, Exception):
        raise made
    return made


def test_unload_and_delete_refuse_while_at_work(bench: Bench) -> None:
    bench.plan["a"] = FakeBackend(step_seconds=0.01)
    running = bench.engine.stream("a", generate(4096), HOST)
    next(e for e in running if e.kind == "text")
    with pytest.raises(ConflictError, match="is at work"):
        bench.engine.unload("a", HOST)
    with pytest.raises(ConflictError):
        bench.house.delete("a", HOST)
    running.close()
    until(lambda: not bench.engine.is_busy)
    bench.house.delete("a", HOST)
    assert bench.backends["a"].is_closed and not bench.engine.is_loaded("a")


def test_who_has_the_result_finds_the_model_idle(bench: Bench) -> None:
    """Though the thread that gave it has not come back from the backend yet."""
    bench.plan["a"] = backend = FakeBackend()
    work, has_time = backend.run, threading.Event()
    backend.run = lambda jobs: (work(jobs), has_time.wait(5))  # type: ignore[method-assign,assignment,func-returns-value]
    bench.engine.run("a", [generate()], HOST)
    assert not bench.engine.is_busy and bench.engine.status().models[0].running == 0
    has_time.set()
    bench.engine.unload("a", HOST)


def test_closing_the_engine_ends_what_runs(bench: Bench) -> None:
    bench.plan["a"] = FakeBackend(step_seconds=0.01)
    running = bench.engine.stream("a", generate(4096), HOST)
    next(e for e in running if e.kind == "text")
    bench.engine.close()
    with pytest.raises(NotReadyError, match="unloaded"):
        list(running)
    assert bench.backends["a"].is_closed


def test_statistics_and_tokens(bench: Bench) -> None:
    assert bench.engine.count_tokens("a", "one two") is None
    bench.engine.load("a", HOST)
    bench.engine.run("a", [generate()], HOST)
    status = bench.engine.status().models[0]
    assert (status.requests, status.queued, status.running, status.state) == (1, 0, 0, "ready")
    assert status.tokens_per_second == 100.0 and status.first_token_seconds is not None
    assert bench.engine.count_tokens("a", "one two") == 2
    assert bench.engine.status().device == "cpu"


def test_unknown_model_and_bad_settings(bench: Bench) -> None:
    with pytest.raises(NotFoundError):
        bench.engine.run("nobody", [generate()], HOST)
    with pytest.raises(InputError):
        bench.engine.run("a", [replace(generate(), sampling=Sampling(temperature=9))], HOST)
    assert bench.loads == []


def test_one_call_leaves_slots_to_others(bench: Bench) -> None:
    """Twenty sentences take eight of twelve slots; a visitor's single one begins at once; all are answered."""
    backend = bench.plan["a"] = FakeBackend(concurrency=12, batch=1, step_seconds=0.01)
    many = bench.engine.stream_all("a", [generate(30, f"many {number}") for number in range(20)], HOST)
    next(event for _, event in many if event.kind == "text")
    until(lambda: [model.running for model in bench.engine.status().models] == [CALL_CONCURRENCY])
    single = bench.engine.stream("a", generate(2, "single"), HOST)
    assert next(event for event in single if event.kind == "text").text == "single "
    assert len(backend.seen) < 20
    assert sum(event.kind == "done" for _, event in many) == 20
    single.close()


def test_long_prompts_leave_half_of_the_slots_to_others(bench: Bench) -> None:
    backend = bench.plan["a"] = FakeBackend(concurrency=4, batch=1, step_seconds=0.01)
    backend.context_tokens = 2048
    long = [
        bench.engine.stream("a", generate(30, f"{number} " + "word " * 1000), Caller(str(number)))
        for number in range(4)
    ]
    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(list, one) for one in long]
        until(lambda: [model.running for model in bench.engine.status().models] == [2])
        single = bench.engine.stream("a", generate(2, "single"), HOST)
        assert next(event for event in single if event.kind == "text").text == "single "
        assert len(backend.seen) <= 3, "two long ones and the single one"
        assert all(answer.result()[-1].kind == "done" for answer in answers)
        single.close()


def test_long_prompts_leave_half_of_the_batches_to_others(bench: Bench) -> None:
    backend = bench.plan["a"] = FakeBackend(concurrency=2, batch=8, step_seconds=0.01)
    backend.context_tokens = 2048
    long = [bench.engine.stream("a", generate(400, f"{n} " + "word " * 1000), Caller(str(n))) for n in range(2)]
    with ThreadPoolExecutor(2) as pool:
        for place, one in enumerate(long):
            pool.submit(next, one).result()
            until(lambda place=place: [model.queued for model in bench.engine.status().models] == [place])  # type: ignore[misc]
        assert list(bench.engine.stream("a", generate(2, "single"), HOST))[-1].result.text == "single single "
        assert backend.batches == [1, 1], "one long one still waits"
    for one in long:
        one.close()  # type: ignore[attr-defined]


def test_no_batch_holds_a_short_prompt_with_one_that_it_would_wait_for(bench: Bench) -> None:
    backend = bench.plan["a"] = FakeBackend(concurrency=1, batch=8)
    prompts = ["one", "word " * 250, "two", "word " * 300, "three"]
    answers = bench.engine.run("a", [generate(2, prompt) for prompt in prompts], HOST)
    assert sorted(backend.batches) == [2, 3] and len(answers) == 5


def test_work_of_low_priority_leaves_room_to_others_and_waits_for_them(bench: Bench) -> None:
    backend = bench.plan["a"] = FakeBackend(concurrency=2, batch=1, step_seconds=0.01)
    low = Caller("file", "host", "low")
    many = bench.engine.stream_all("a", [generate(30, f"many {number}") for number in range(4)], low)
    next(event for _, event in many if event.kind == "text")
    assert bench.engine.status().models[0].running == 1
    single = bench.engine.stream("a", generate(2, "single"), HOST)
    assert next(event for event in single if event.kind == "text").text == "single "
    assert len(backend.seen) <= 3
    assert sum(event.kind == "done" for _, event in many) == 4
    single.close()


def test_a_request_goes_to_the_fastest_runtime_that_can_do_it(bench: Bench) -> None:
    bench.runtimes = [fake_runtime("greedy", 2, frozenset({"generate"})), fake_runtime("all", 1)]
    greedy = replace(generate(), sampling=Sampling(5, 0.0))
    results = bench.engine.run("a", [generate(3, "drawn"), greedy, generate(3, "other")], HOST)
    assert [result.text for result in results] == ["drawn drawn drawn ", "one two one two one ", "other other other "]  # type: ignore[union-attr]
    models = {model.runtime: model.requests for model in bench.engine.status().models}
    assert models == {"greedy": 1, "all": 2}
    assert bench.engine.status().used_bytes == 2000, "each worker counts"
    until(lambda: not bench.engine.is_busy)
    bench.engine.unload("a", HOST)
    assert not bench.engine.is_loaded("a")


def test_what_no_runtime_can_do_is_refused_before_anything_is_loaded(bench: Bench) -> None:
    bench.runtimes = [fake_runtime("writer", 1, frozenset({"generate"}))]
    with pytest.raises(UnsupportedError, match="A can write text; it cannot embed texts"):
        bench.engine.run("a", [Embed("x")], HOST)
    bench.runtimes = []
    with pytest.raises(UnsupportedError, match="Nothing here can run A"):
        bench.engine.run("a", [generate()], HOST)
    assert bench.loads == []


def test_when_a_faster_runtime_is_ready_later_it_takes_over(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "LOOK_SECONDS", 0.0)
    slow, fast = fake_runtime("slow", 1), fake_runtime("fast", 2, frozenset({"embed"}))
    bench.runtimes = [slow]
    bench.engine.run("a", [Embed("x")], HOST)
    before = bench.backends["a"]
    bench.runtimes = [fast, slow]
    bench.engine.run("a", [Embed("y")], HOST)
    until(lambda: {model.runtime for model in bench.engine.status().models} == {"slow", "fast"})
    assert not before.is_closed, "it does more"
    bench.runtimes = [replace(fast, id="fastest", speed=3, tasks=slow.tasks)]

    def only_the_fastest() -> bool:
        bench.engine.run("a", [Embed("z")], HOST)
        return {model.runtime for model in bench.engine.status().models} == {"fastest"}

    until(only_the_fastest)
    until(lambda: before.is_closed)


def test_what_was_unloaded_while_its_files_were_looked_at_stays_so(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "LOOK_SECONDS", 0.0)
    bench.engine.run("a", [generate()], HOST)
    find, looks, may_go_on = bench.local._path, threading.Event(), threading.Event()

    def slowly(model_id: str) -> Path:
        looks.set()
        assert may_go_on.wait(10)
        return find(model_id)

    bench.local._path = slowly
    bench.engine.run("a", [generate()], HOST)
    assert looks.wait(10), "it is looked beside an answer, which does not wait for it"
    bench.engine.unload("a", HOST)
    may_go_on.set()
    until(lambda: not any("_look" in thread.name for thread in threading.enumerate()))
    assert bench.loads == ["a"] and not bench.engine.status().models


def test_what_is_in_memory_answers_when_its_files_are_gone(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "LOOK_SECONDS", 0.0)
    bench.engine.run("a", [generate()], HOST)
    bench.store.error = NotReadyError("It is gone.")
    assert bench.engine.run("a", [generate()], HOST)
