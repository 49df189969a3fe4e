"""Who reads a long prompt when, on a clock that only the test moves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from math import inf

import pytest

from engine.backends.turns import FIRST_WORD_SECONDS, SHARE, SHARED_SECONDS, Reader, Turns


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def turns(clock: Clock) -> Turns:
    return Turns(clock)


def never() -> bool:
    return False


def read(turns: Turns, clock: Clock, reader: Reader, seconds: float = 0.1, tokens: int = 10) -> float:
    """A stage that takes so long, if its turn is now; the seconds that it had."""
    with turns.stage(reader, never) as had:
        if had:
            clock.now += seconds
            reader.left -= tokens
    return had


def order(turns: Turns, clock: Clock, readers: Sequence[Reader], stages: int) -> list[int]:
    """Which reads in each of the next stages."""
    return [next(n for n, reader in enumerate(readers) if read(turns, clock, reader)) for _ in range(stages)]


def test_alone_it_reads_on_in_long_stages(turns: Turns, clock: Clock) -> None:
    with turns.reading(1000, "a") as reader:
        assert [read(turns, clock, reader) for _ in range(3)] == [inf] * 3


@pytest.mark.parametrize(("has_begun", "rest"), [(True, 0.1 * SHARE), (False, FIRST_WORD_SECONDS)])
def test_answers_have_time_between_two_stages(turns: Turns, clock: Clock, has_begun: bool, rest: float) -> None:
    with turns.reading(1000, "a") as reader, ExitStack() as answer:
        begin: Callable[[], None] = answer.enter_context(turns.answering())
        if has_begun:
            begin()
        assert read(turns, clock, reader) == SHARED_SECONDS
        clock.now += rest - 0.01
        assert read(turns, clock, reader) == 0, "it is not due yet"
        clock.now += 0.02
        assert read(turns, clock, reader) == SHARED_SECONDS, "who waits for a first word does not hold it for ever"
        answer.close()
        assert read(turns, clock, reader) == inf, "nobody is there any more"


def test_one_prompt_is_read_at_a_time(turns: Turns, clock: Clock) -> None:
    with turns.reading(100, "a") as first, turns.reading(200, "b") as second, turns.stage(first, never) as had:
        assert had == SHARED_SECONDS and read(turns, clock, second) == 0


def test_the_shortest_goes_first_and_each_visitor_once_before_anybody_twice(turns: Turns, clock: Clock) -> None:
    with ExitStack() as line:
        readers = [
            line.enter_context(turns.reading(left, who)) for left, who in [(300, "a"), (20, "a"), (200, "b"), (50, "c")]
        ]
        assert order(turns, clock, readers, 7) == [3, 3, 3, 3, 3, 3, 3]
        assert readers[1].left == 20, "a's second prompt waits for the first ones of all"


def test_who_is_passed_over_long_enough_goes_next(turns: Turns, clock: Clock) -> None:
    with turns.reading(3000, "long") as long:
        seen = 0
        while long.left == 3000:
            with turns.reading(300, f"visitor {seen}") as short:
                seen += order(turns, clock, [short, long], 1) == [0]
        assert 500 < seen < 600, "ten tokens each"


def test_who_leaves_is_not_waited_for(turns: Turns, clock: Clock) -> None:
    with turns.reading(100, "a") as staying:
        with turns.reading(10, "b"):
            assert read(turns, clock, staying) == 0
        assert read(turns, clock, staying) == inf


def test_a_fault_in_a_stage_ends_it(turns: Turns, clock: Clock) -> None:
    with turns.reading(100, "a") as reader:
        with pytest.raises(ZeroDivisionError), turns.stage(reader, never):
            raise ZeroDivisionError
        assert read(turns, clock, reader) == inf


def test_a_stage_that_can_stand_still_does_once_it_is_due_and_somebody_is_there(turns: Turns, clock: Clock) -> None:
    with turns.reading(100, "a") as reader, turns.stage(reader, never) as had:
        clock.now += 10
        assert had == inf and not turns.is_due, "nobody else is there"
        with turns.answering() as begin:
            begin()
            assert turns.is_due and not turns.pause(reader, never), "its next turn is not due yet, and nobody waits"
    clock.now += 100
    with turns.reading(100, "a") as reader, turns.answering() as begin, turns.stage(reader, never):
        begin()
        clock.now += SHARED_SECONDS / 2
        assert not turns.is_due, "it has just begun"


def test_who_left_in_a_pause_ends_nobody_elses_stage(turns: Turns) -> None:
    with turns.reading(100, "a") as first, turns.reading(10, "b") as second:
        with turns.stage(second, never) as had, turns.stage(first, never) as other:
            assert had and not other
        with turns.stage(second, never), turns.stage(first, never):
            pass
        assert turns._reading is None
