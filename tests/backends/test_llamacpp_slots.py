"""How a server with few slots becomes one with more, on servers that only count."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace

import pytest

from engine.backends.ggml.memory import fitted
from engine.backends.ggml.slots import Beginning, GrowingServer
from engine.errors import MemoryShortError
from engine.settings import Settings
from tests.backends.checkpoints import entry


class Server:
    is_alive = True

    def __init__(self, slots: int) -> None:
        self.slots = slots

    def close(self) -> None:
        self.is_alive = False


def test_it_begins_with_few_slots_and_grows_when_more_come() -> None:
    servers = GrowingServer(Server, 32)
    with ExitStack() as running:
        given = [running.enter_context(servers.slot()).server.slots for _ in range(13)]
        assert given == [4] * 4 + [8] * 8 + [32], "each server takes as many as it has slots"
        assert servers.slots == servers.server.slots == 32


def test_a_crowd_grows_it_once() -> None:
    sizes = []
    gate, crowd = threading.Event(), threading.Barrier(32, timeout=10)

    def start(slots: int) -> Server:
        sizes.append(slots)
        if slots > 4:
            gate.wait(10)
        return Server(slots)

    servers = GrowingServer(start, 32)

    def visit(_: int) -> int:
        with servers.slot() as place:
            crowd.wait()
            return place.server.slots

    with ThreadPoolExecutor(32) as pool:
        visits = [pool.submit(visit, number) for number in range(32)]
        while servers._arriving < 28:
            threading.Event().wait(0.01)
        gate.set()
        answered = [each.result(10) for each in visits]
    assert sizes[-1] == 32 and len(sizes) <= 3
    assert answered.count(4) == 4, "the first four stay where they began"


@pytest.mark.parametrize(("most", "first"), [(1, 1), (2, 2), (4, 4), (6, 4), (8, 4), (32, 4)])
def test_no_more_slots_than_set(most: int, first: int) -> None:
    servers = GrowingServer(Server, most)
    assert servers.slots == first
    with ExitStack() as running:
        for _ in range(most + 3):
            running.enter_context(servers.slot())
        assert servers.slots == most, "those beyond wait inside llama.cpp"


def test_all_at_once_where_clearing_costs_nothing() -> None:
    assert GrowingServer(Server, 32, is_whole=True).slots == 32


def test_an_earlier_server_ends_with_its_last_request() -> None:
    servers = GrowingServer(Server, 8)
    first = servers.server
    with ExitStack() as early, ExitStack() as late:
        for _ in range(4):
            early.enter_context(servers.slot())
        late.enter_context(servers.slot())
        assert servers.slots == 8 and first.is_alive, "it is still at work"
        early.close()
        assert not first.is_alive
    last = servers.server
    servers.close()
    assert not last.is_alive and servers.slots == 0


def test_a_growth_without_memory_takes_fewer_slots_and_is_tried_again_later(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried, fits = [], 4

    def start(slots: int) -> Server:
        tried.append(slots)
        if slots > fits:
            raise MemoryShortError("There is no memory for more.", param="model")
        return Server(slots)

    servers = GrowingServer(start, 32)
    with ExitStack() as running:
        for _ in range(7):
            assert running.enter_context(servers.slot()).server.slots == 4
        assert tried == [4, 8] and "No more than 4 answers at once: There is no memory" in caplog.text
        monkeypatch.setattr("engine.backends.ggml.slots.AGAIN_SECONDS", 0.0)
        servers._not_before, fits = 0.0, 8
        assert [running.enter_context(servers.slot()).server.slots for _ in range(9)] == [8] * 9
        assert tried[2:] == [8, 32], "for all there is no memory yet"
        fits = 32
        assert running.enter_context(servers.slot()).server.slots == 32
    servers.close()


def test_a_fault_in_a_growth_fails_one_request_and_leaves_the_rest() -> None:
    def start(slots: int) -> Server:
        if slots > 4:
            raise OSError("the disk is gone")
        return Server(slots)

    servers = GrowingServer(start, 32)
    with ExitStack() as running:
        for _ in range(4):
            running.enter_context(servers.slot())
        with pytest.raises(OSError), servers.slot():
            pass
    with servers.slot() as place:
        assert place.server.slots == 4


def test_what_cannot_begin_says_so() -> None:
    def start(slots: int) -> Server:
        raise MemoryShortError("There is no memory.", param="model")

    with pytest.raises(MemoryShortError):
        GrowingServer(start, 32)


def test_it_shrinks_when_fewer_were_enough_for_a_while() -> None:
    servers = GrowingServer(Server, 32)
    with ExitStack() as running:
        for _ in range(13):
            running.enter_context(servers.slot())
    large = servers.server
    servers.shrink()
    assert servers.slots == 32, "they were needed since the last look"
    with ExitStack() as running:
        for _ in range(6):
            running.enter_context(servers.slot())
        servers.shrink()
        assert servers.slots == 8 and large.is_alive, "the large one ends with its last request"
    assert not large.is_alive
    servers.shrink()
    assert servers.slots == 8
    servers.shrink()
    assert servers.slots == 4 and servers._step(1) == 4
    with servers.slot() as place:
        assert place.server.slots == 4
    servers.close()
    servers.shrink()
    assert servers.slots == 0


def test_it_looks_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.backends.ggml.slots.QUIET_SECONDS", 0.02)
    servers = GrowingServer(Server, 8)
    with ExitStack() as running:
        for _ in range(5):
            running.enter_context(servers.slot())
        assert servers.slots == 8
    for _ in range(200):
        if servers.slots == 4:
            break
        threading.Event().wait(0.02)
    assert servers.slots == 4
    servers.close()


def test_who_grew_in_two_steps_looks_once_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two looks, seconds apart, took the pause between them for a quiet minute, and the next crowd had to wait."""
    looks: list[float] = []
    monkeypatch.setattr(threading.Timer, "start", lambda timer: looks.append(timer.interval))
    servers = GrowingServer(Server, 32)
    with ExitStack() as running:
        for _ in range(13):
            running.enter_context(servers.slot())
    assert servers.slots == 32 and len(looks) == 1
    servers.shrink()
    assert servers.slots == 32 and len(looks) == 2
    servers.close()


def test_without_memory_for_both_it_stays_and_is_tried_again() -> None:
    is_short = False

    def start(slots: int) -> Server:
        if is_short:
            raise MemoryShortError("There is no memory for more.", param="model")
        return Server(slots)

    servers = GrowingServer(start, 8)
    with ExitStack() as running:
        for _ in range(5):
            running.enter_context(servers.slot())
    servers.shrink()
    is_short = True
    servers.shrink()
    assert servers.slots == 8
    is_short = False
    servers.shrink()
    assert servers.slots == 4
    servers.close()


def test_a_request_takes_the_slot_that_holds_its_beginning_else_the_one_left_first() -> None:
    servers = GrowingServer(Server, 4)

    def visit(prompt: str) -> tuple[int, int]:
        with servers.slot(Beginning(prompt, "host")) as place:
            place.evaluated = prompt
        return place.slot, place.shared

    assert [visit(prompt) for prompt in ("one", "two", "six")] == [(0, 0), (1, 0), (2, 0)]
    assert visit("two times two") == (1, 3)
    assert visit("t" + "x" * 30) == (3, 0), "one letter of many is not alike"
    assert visit("new") == (0, 0)
    again = Beginning("two times", "host")
    with servers.slot(again) as first, servers.slot(again) as second:
        assert (first.slot, first.shared, second.slot) == (1, 9, 3), "a slot has one request"
    assert visit("two times")[1] == 0, "who did not say what was evaluated left nothing"


def test_a_server_that_is_gone_has_another_in_its_place() -> None:
    servers = GrowingServer(Server, 8)
    gone = servers.server
    gone.is_alive = False
    with servers.slot(Beginning("text")) as place:
        assert place.server is servers.server is not gone and place.server.is_alive
    servers.server.is_alive = False
    with servers.held() as server:
        assert server.is_alive


def test_a_question_keeps_its_server_from_ending() -> None:
    servers = GrowingServer(Server, 8)
    with servers.held() as first:
        with ExitStack() as running:
            for _ in range(5):
                running.enter_context(servers.slot())
        assert servers.slots == 8 and first.is_alive
    assert not first.is_alive


@pytest.mark.parametrize(
    ("before", "now", "common", "shared", "is_strange"),
    [
        ("host", "host", 0, 9, False), ("visitor a", "visitor a", 0, 9, False), ("visitor a", "visitor b", 0, 0, True),
        ("host", "visitor a", 0, 0, True), (None, None, 0, 0, True), ("visitor a", "visitor b", 4, 4, True),
        ("visitor a", "visitor b", 99, 9, True),
    ],
)  # fmt: skip
def test_a_prompts_beginning_is_reused_within_a_circle_alone(
    before: str | None, now: str | None, common: int, shared: int, is_strange: bool
) -> None:
    servers = GrowingServer(Server, 1)
    with servers.slot(Beginning("two times", before)) as place:
        assert (place.shared, place.is_strange) == (0, False), "nothing is in it yet"
        place.evaluated = "two times"
    with servers.slot(Beginning("two times two", now, common)) as place:
        assert (place.slot, place.shared, place.is_strange) == (0, shared, is_strange)
        place.is_strange = is_strange and common == 4  # the others made it forget
    with servers.slot(Beginning("two times two", now)) as place:
        assert place.is_strange is (now is None or (is_strange and common == 4)), "what was not forgotten stays strange"


def test_where_llama_cpp_chooses_the_slot_everybody_is_a_stranger() -> None:
    def strange(*circles: str | None) -> list[bool]:
        servers, found = GrowingServer(Server, 1), []
        with ExitStack() as running:
            for circle in circles:
                found.append(running.enter_context(servers.slot(Beginning("x", circle))).is_strange)
        with servers.slot(Beginning("x", circles[0])) as place:
            return [*found, place.is_strange]

    assert strange("host", "host") == [False] * 3
    assert strange("visitor a", "visitor b") == [False, True, True]
    assert strange(None, None) == [False, True, True]


def test_fewer_and_shorter_slots_need_less_memory() -> None:
    other = replace(entry("causal"), size_bytes=100 * 2**20, memory_bytes=500 * 2**20)
    known = replace(other, runtime="llamacpp")
    assert fitted(known, Settings()) == known
    small = fitted(known, Settings(slots=2, context_tokens=2048)).memory_bytes
    assert small == (100 + 128 + 272 // 4) * 2**20
    assert fitted(other, Settings(slots=1)) == other
