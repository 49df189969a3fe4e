"""Several drafts: asked for at once, ranked by measures that are told, and a tree of what goes on from what."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from fakes import HOST

from engine.applications import PARTS, ranking
from engine.applications.draft_tree import MOST_CHARACTERS, MOST_NODES, PROMPT, Branch, Tree, tree_from
from engine.applications.drafts import PART, DraftsRequest, ranked, requests_of
from engine.applications.together import together
from engine.applications.write import WriteRequest, WriteResult
from engine.errors import InputError, TooLargeError
from engine.requests import MAX_SEED, Event

WHALE = WriteRequest("a lighthouse keeper and a whale", "story", seed=7)


def written(text: str, reason: str = "stop", probability: float | None = None) -> WriteResult:
    return WriteResult(text, "m", reason, {}, 5, probability=probability)


def test_drafts_differ_in_their_seed_or_in_their_temperature() -> None:
    asked = requests_of(DraftsRequest("x", seed=MAX_SEED, count=3))
    assert [one.seed for one in asked] == [MAX_SEED, 0, 1] and {one.temperature for one in asked} == {0.7}
    heated = requests_of(DraftsRequest("x", temperatures=[0.0, 0.7, 1.4]))
    assert [one.temperature for one in heated] == [0.0, 0.7, 1.4] and len({one.seed for one in heated}) == 1
    assert heated[0].seed is not None and all(one.rivals == 1 for one in heated)
    assert type(asked[0]) is WriteRequest


@pytest.mark.parametrize(
    ("given", "field"), [({"count": 1}, "count"), ({"count": 6}, "count"), ({"temperatures": [0.5]}, "temperatures"),
                         ({"temperatures": [0.1] * 6}, "temperatures")],
    ids=["one", "six", "one-temperature", "six-temperatures"],
)  # fmt: skip
def test_two_to_five_drafts(given: dict[str, object], field: str) -> None:
    with pytest.raises(InputError, match=f"{field} takes a number from 2 to 5"):
        requests_of(DraftsRequest("x", **given))  # type: ignore[arg-type]


def test_drafts_come_ranked(house) -> None:
    said = {7: "The keeper of the lighthouse met a whale. They talked. The sea was calm.", 8: "no no no no no no no"}
    house.backend.say = lambda request: said.get(request.sampling.seed, "A whale sang.")
    request = DraftsRequest(WHALE.text, "story", seed=7, count=3)
    *events, last = PARTS["write/drafts"].stream(house.engine, request, HOST)
    found = last.result.drafts
    assert [one.written.settings["seed"] for one in found] == [7, 9, 8]
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    assert [event.part for event in events if event.kind == "working"] == [1, 2, 3]
    assert all(one.written.tokens == [] and 0 < one.measures["likely"] <= 1 for one in found)
    told = PART.run(house.engine, replace(request, rivals=2), HOST).drafts
    assert all(one.written.tokens for one in told)


def test_one_draft_that_fails_fails_the_request(house) -> None:
    with pytest.raises(TooLargeError):
        PART.run(house.engine, DraftsRequest("x" * 3000, count=2), HOST)


@pytest.mark.parametrize(
    ("name", "request_", "result", "value"),
    [("likely", WHALE, written("Hm.", probability=0.25), 0.25), ("likely", WHALE, written("Hm."), None),
     ("fresh", WHALE, written("one two three four"), 1.0), ("fresh", WHALE, written("a b c a b c"), 0.5),
     ("fresh", WHALE, written(""), None),
     ("fresh", replace(WHALE, language="zh"), written("大海在唱歌了大海在唱歌了"), 0.5),
     ("about", WHALE, written("Whales! The keepers..."), 2 / 3),
     ("about", replace(WHALE, kind="free"), written("x"), None),
     ("about", replace(WHALE, language="zh", text="大海"), written("大海很蓝"), 1.0),
     ("about", replace(WHALE, text="ice"), written("Ice"), 1.0),
     ("unhackneyed", WHALE, written("The whale sang."), 1.0),
     ("unhackneyed", WHALE, written("A testament to the whale."), 0.5),
     ("whole", WHALE, written("It ended."), 1.0), ("whole", WHALE, written("It ended and"), 0.0),
     ("whole", replace(WHALE, kind="poem"), written("snow on snow"), 1.0),
     ("whole", replace(WHALE, kind="poem"), written("snow on snow", "length"), 0.0), ("whole", WHALE, written(""), 0.0),
     ("formed", WHALE, written("One. Two. Three."), 1.0), ("formed", WHALE, written("- one.\n- two.\n- three."), 0.0),
     ("formed", replace(WHALE, kind="poem"), written("a\nb\n\nc\nd"), 1.0),
     ("formed", replace(WHALE, kind="poem"), written("prose " * 40), 0.0),
     ("formed", replace(WHALE, kind="slogan"), written("Wake up to bread."), 1.0),
     ("formed", replace(WHALE, kind="slogan"), written("1. Wake\n2. Up"), 0.0),
     ("formed", replace(WHALE, kind="free"), written("x"), None)],
    ids=lambda given: given if isinstance(given, str) else "",
)  # fmt: skip
def test_each_measure_says_one_plain_thing(
    name: str, request_: WriteRequest, result: WriteResult, value: float | None
) -> None:
    found = ranking.MEASURES[name](request_, result)
    assert found == (value if value is None else pytest.approx(value))


def test_each_measure_is_named_and_explained_and_all_weigh_the_same() -> None:
    assert ranking.MEASURES.keys() == ranking.NAMES.keys() == ranking.EXPLAINED.keys()
    assert ranking.score({"fresh": 1.0, "whole": 0.0}) == 0.5 and ranking.score({}) == 0.0
    same = ranked([(WHALE, written("One. Two. A.")), (WHALE, written("One. Two. B."))])
    assert [one.written.text for one in same] == ["One. Two. A.", "One. Two. B."]


def events(*kinds: str) -> Iterator[Event]:
    for kind in kinds:
        yield Event("text", text=kind)


def failing() -> Iterator[Event]:
    yield Event("queued")
    raise InputError("no")


def test_streams_come_together_and_one_that_fails_stops_no_other() -> None:
    items = list(together([lambda: events("a", "b"), failing, lambda: events("c")]))
    assert [item.text for number, item in items if number == 0] == ["a", "b"]  # type: ignore[union-attr]
    assert isinstance([item for number, item in items if number == 1][-1], InputError)
    assert [item.text for number, item in items if number == 2] == ["c"]  # type: ignore[union-attr]
    assert list(together([])) == []


def test_closing_closes_all_of_them() -> None:
    import threading

    closed = [threading.Event() for _ in range(3)]

    def endless(number: int) -> Iterator[Event]:
        try:
            while True:
                yield Event("queued")
        finally:
            closed[number].set()

    items = together([lambda number=number: endless(number) for number in range(3)])  # type: ignore[misc]
    next(items)
    items.close()  # type: ignore[attr-defined]
    assert all(one.wait(20) for one in closed)


def grown() -> Tree:
    tree = Tree("a whale").add(Branch(), WHALE, "The whale sang low.", written("The whale sang low."))
    tree = tree.add(Branch(1, 9, " dived", "word"), WHALE, " deep.", written(" deep."))
    return tree.add(Branch(2, len("The whale dived deep."), "", "continued"), WHALE, " It slept.", None)


def test_a_draft_begins_somewhere_in_another() -> None:
    tree = grown()
    assert [tree.whole(id) for id in (1, 2, 3)] == [
        "The whale sang low.", "The whale dived deep.", "The whale dived deep. It slept.",
    ]  # fmt: skip
    assert [(node.id, depth) for node, depth in tree.walk()] == [(1, 0), (2, 1), (3, 2)]
    asked = tree.request_of(tree.nodes[1])
    assert (asked.text, asked.continuation, asked.seed) == ("a whale", "The whale dived", 7)
    assert tree.result_of(tree.nodes[1]).text == " deep." and tree.result_of(tree.nodes[2]) is None  # type: ignore[union-attr]
    assert tree.whole(99) == tree.whole(PROMPT) == "" and tree.find(99) is None
    assert tree.current == 3 and tree.show(1).current == 1 and tree.show(99).current == 3


def test_a_draft_goes_with_what_goes_on_from_it() -> None:
    tree = grown().add(Branch(), WHALE, "Another.", None)
    assert [node.id for node in tree.without(2).nodes] == [1, 4] and tree.without(2).current == 4
    assert tree.show(3).without(2).current == 1, "the parent is shown then"
    assert tree.show(1).without(1).current == 4 and grown().without(1).current == PROMPT
    assert tree.without(99) == tree


def test_a_tree_survives_being_written_down() -> None:
    tree = grown()
    assert tree_from(tree.as_record()) == tree
    assert tree_from({"prompt": 3, "nodes": "?"}) is tree_from(None) is None
    assert tree.nodes[0].request.text == "" and tree.nodes[0].result.text == ""  # type: ignore[union-attr]


def test_a_tree_has_a_size() -> None:
    tree = Tree("x").add(Branch(), WHALE, "root ", None)
    for number in range(MOST_NODES + 5):
        tree = tree.add(Branch(1, 5), WHALE, str(number), None)
    assert len(tree.nodes) == MOST_NODES and tree.find(1), "what others go on from stays"
    assert tree.nodes[-1].text == str(MOST_NODES + 4) and tree.nodes[1].text != "0", "the oldest goes"
    long = tree.add(Branch(), WHALE, "y" * (MOST_CHARACTERS + 1), None)
    assert long.find(long.current) and len(long.nodes) == 1, "what was just written is never lost"
