"""Turns in the line and the choice of models to unload."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from engine.errors import BusyError
from engine.serving.scheduling import Line, Resident, choose_evictions, share


@dataclass(eq=False)
class Row:
    name: str
    task: str = "generate"
    is_cancelled: bool = False


def rows(names: str, task: str = "generate") -> list[Row]:
    return [Row(name, task) for name in names.split()]


def names(taken: list[Row]) -> str:
    return " ".join(row.name for row in taken)


def test_groups_take_turns_row_by_row() -> None:
    line: Line[Row] = Line(4)
    line.join(rows("a1 a2 a3 a4"))
    line.join(rows("b1"))
    assert names(line.take(3)) == "a1 b1 a2"
    assert names(line.take(9)) == "a3 a4"
    assert len(line) == 0


def test_a_group_that_may_not_go_on_keeps_its_place() -> None:
    line: Line[Row] = Line(4)
    line.join(rows("a1 a2"))
    line.join(rows("b1 b2"))
    assert names(line.take(9, lambda row: row.name[0] == "b")) == "b1 b2"
    assert not line.has(lambda row: row.name[0] == "b") and line.has(lambda row: True)
    assert names(line.take(1)) == "a1"
    line.drain()
    line.join([Row("c1", is_cancelled=True), Row("c2")])
    assert line.has(lambda row: row.name == "c2") and not line.has(lambda row: row.name == "c1")


def test_one_take_holds_one_task_and_keeps_the_order_of_the_others() -> None:
    line: Line[Row] = Line(4)
    for group in (rows("a"), rows("e1 e2", "embed"), rows("b"), rows("f", "embed")):
        line.join(group)
    assert names(line.take(9)) == "a b"
    assert names(line.take(9)) == "e1 f e2"


def test_who_left_takes_no_place_in_the_line() -> None:
    line: Line[Row] = Line(2)
    gone, waiting, late = rows("a1 a2"), rows("b"), rows("c")
    line.join(gone)
    line.join(waiting)
    gone[0].is_cancelled = True
    with pytest.raises(BusyError):
        line.join(late)
    gone[1].is_cancelled = True
    assert len(line) == 1 and line.position(waiting[0]) == 1
    line.join(late)
    assert line.position(late[0]) == 2 and names(line.take(9)) == "b c"


def test_rows_nobody_waits_for_are_dropped() -> None:
    line: Line[Row] = Line(4)
    group = rows("a b c")
    line.join(group)
    group[0].is_cancelled = group[1].is_cancelled = True
    assert line.is_wanted
    assert names(line.take(1)) == "c"
    assert not line.is_wanted


def test_position_counts_groups() -> None:
    line: Line[Row] = Line(4)
    first, second = rows("a b"), rows("c")
    line.join(first)
    line.join(second)
    assert [line.position(row) for row in (*first, *second)] == [1, 1, 2]
    assert line.position(Row("x")) == 0


def test_full_line_refuses_with_a_sentence() -> None:
    line: Line[Row] = Line(1)
    line.join(rows("a b c"))
    with pytest.raises(BusyError, match="All 1 places") as caught:
        line.join(rows("d"))
    assert caught.value.status == 429 and caught.value.retry_seconds
    line.join([])
    assert names(line.drain()) == "a b c"


@pytest.mark.parametrize(
    ("needed", "expected"),
    [(100, []), (200, ["old"]), (450, ["old", "new"]), (700, None)],
)
def test_least_recently_used_idle_models_make_room(needed: int, expected: list[str] | None) -> None:
    residents = [
        Resident("new", 300, last_used=9, is_busy=False),
        Resident("busy", 400, last_used=1, is_busy=True),
        Resident("old", 200, last_used=2, is_busy=False),
    ]
    assert choose_evictions(residents, needed, budget_bytes=1000) == expected


@pytest.mark.parametrize(
    ("waiting", "lanes", "taken"),
    [(200, 2, [50, 50, 50, 50]), (33, 1, [33]), (70, 1, [35, 35]), (10, 2, [5, 5]), (1, 2, [1]), (3, 32, [1, 1, 1])],
)
def test_lanes_take_like_shares(waiting: int, lanes: int, taken: list[int]) -> None:
    left, shares = waiting, []
    while left:
        shares.append(share(left, 64, max(1, lanes - len(shares))))
        left -= shares[-1]
    assert shares == taken
    assert share(0, 64, 2) == share(5, 1, 1) == 1
