"""Turns in the line and the choice of models to unload."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from engine.errors import BusyError
from engine.serving.scheduling import PATIENCE, Queue, Resident, choose_evictions, share


@dataclass(eq=False)
class Row:
    name: str
    kind: str = "generate"
    is_cancelled: bool = False


def rows(names: str, kind: str = "generate") -> list[Row]:
    return [Row(name, kind) for name in names.split()]


def names(taken: list[Row]) -> str:
    return " ".join(row.name for row in taken)


def test_groups_take_turns_row_by_row() -> None:
    queue: Queue[Row] = Queue(4)
    queue.join(rows("a1 a2 a3 a4"))
    queue.join(rows("b1"))
    assert names(queue.take(3)) == "a1 b1 a2"
    assert names(queue.take(9)) == "a3 a4"
    assert len(queue) == 0


def test_a_group_that_may_not_go_on_keeps_its_place() -> None:
    queue: Queue[Row] = Queue(4)
    queue.join(rows("a1 a2"))
    queue.join(rows("b1 b2"))
    assert names(queue.take(9, lambda row: row.name[0] == "b")) == "b1 b2"
    assert not queue.has(lambda row: row.name[0] == "b") and queue.has(lambda row: True)
    assert names(queue.take(1)) == "a1"
    queue.drain()
    queue.join([Row("c1", is_cancelled=True), Row("c2")])
    assert queue.has(lambda row: row.name == "c2") and not queue.has(lambda row: row.name == "c1")


def test_one_take_holds_one_task_and_keeps_the_order_of_the_others() -> None:
    queue: Queue[Row] = Queue(4)
    for group in (rows("a"), rows("e1 e2", "embed"), rows("b"), rows("f", "embed")):
        queue.join(group)
    assert names(queue.take(9)) == "a b"
    assert names(queue.take(9)) == "e1 f e2"


def test_who_left_takes_no_place_in_the_line() -> None:
    queue: Queue[Row] = Queue(2)
    gone, waiting, late = rows("a1 a2"), rows("b"), rows("c")
    queue.join(gone)
    queue.join(waiting)
    gone[0].is_cancelled = True
    with pytest.raises(BusyError):
        queue.join(late)
    gone[1].is_cancelled = True
    assert len(queue) == 1 and queue.position(waiting[0]) == 1
    queue.join(late)
    assert queue.position(late[0]) == 2 and names(queue.take(9)) == "b c"


def test_rows_nobody_waits_for_are_dropped() -> None:
    queue: Queue[Row] = Queue(4)
    group = rows("a b c")
    queue.join(group)
    group[0].is_cancelled = group[1].is_cancelled = True
    assert queue.is_wanted
    assert names(queue.take(1)) == "c"
    assert not queue.is_wanted


def test_position_counts_groups() -> None:
    queue: Queue[Row] = Queue(4)
    first, second = rows("a b"), rows("c")
    queue.join(first)
    queue.join(second)
    assert [queue.position(row) for row in (*first, *second)] == [1, 1, 2]
    assert queue.position(Row("x")) == 0


def test_full_line_refuses_with_a_sentence() -> None:
    queue: Queue[Row] = Queue(1)
    queue.join(rows("a b c"))
    with pytest.raises(BusyError, match="All 1 places") as caught:
        queue.join(rows("d"))
    assert caught.value.status == 429 and caught.value.retry_seconds
    queue.join([])
    assert names(queue.drain()) == "a b c"


@pytest.mark.parametrize(
    ("needed", "expected"),
    [(100, []), (200, ["old"]), (450, ["old", "new"]), (700, None)],
)
def test_least_recently_used_idle_models_make_room(needed: int, expected: list[str] | None) -> None:
    residents = [
        Resident(("new", ""), 300, last_used=9, is_busy=False),
        Resident(("busy", ""), 400, last_used=1, is_busy=True),
        Resident(("old", ""), 200, last_used=2, is_busy=False),
    ]
    chosen = choose_evictions(residents, needed, budget_bytes=1000)
    assert (None if chosen is None else [name for name, _ in chosen]) == expected


@pytest.mark.parametrize(
    ("waiting", "concurrency", "taken"),
    [(200, 2, [50, 50, 50, 50]), (33, 1, [33]), (70, 1, [35, 35]), (10, 2, [5, 5]), (1, 2, [1]), (3, 32, [1, 1, 1])],
)
def test_idle_threads_take_like_shares(waiting: int, concurrency: int, taken: list[int]) -> None:
    left, shares = waiting, []
    while left:
        shares.append(share(left, 64, max(1, concurrency - len(shares))))
        left -= shares[-1]
    assert shares == taken
    assert share(0, 64, 2) == share(5, 1, 1) == 1


def test_low_priority_goes_last_and_is_not_starved() -> None:
    queue: Queue[Row] = Queue(4)
    queue.join(rows("l1 l2 l3"), "low")
    queue.join(rows("a1 a2"))
    assert queue.position(Row("x")) == 0
    assert names(queue.take(3)) == "a1 a2 l1"
    queue.join(rows("b " * 3 * PATIENCE))
    taken = names(queue.take(3 * PATIENCE)).split()
    assert [place for place, name in enumerate(taken) if name != "b"] == [PATIENCE, 2 * PATIENCE + 1]
    assert set(names(queue.take(9)).split()) == {"b"} and len(queue) == 0


def test_low_priority_has_places_of_its_own() -> None:
    queue: Queue[Row] = Queue(1)
    low, normal = rows("l"), rows("a")
    queue.join(low, "low")
    queue.join(normal)
    assert (queue.position(normal[0]), queue.position(low[0])) == (1, 2)
    for priority in ("normal", "low"):
        with pytest.raises(BusyError):
            queue.join(rows("b"), priority)  # type: ignore[arg-type]
    assert queue.has(lambda row: row.name == "l")
    assert names(queue.drain()) == "a l" and not queue.is_wanted
