"""Drafts on Write: words by their probability, other words, the tree that survives, several at once and ranked."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from benches import Bench
from streamlit.testing.v1 import AppTest

from engine.applications.draft_tree import Branch, tree_from
from pages.parts.tokens import percent
from tests.pages.test_pages import click, drawn
from tests.pages.test_visits import link_of

Open = Callable[..., AppTest]


def written(open_page: Open, **values: Any) -> AppTest:
    return click(open_page("write", **{"write_max_new_tokens": 40} | values), "Write")


def pieces(app: AppTest) -> list[dict[str, Any]]:
    """Those of the draft that can be picked."""
    told = [json.loads(element.proto.json or "{}") for element in app.get("bidi_component")]
    return [piece for data in told for piece in data.get("pieces", ()) if "place" in piece]


def pick(app: AppTest, token: int, rival: int) -> AppTest:
    """As the component says that a rival was chosen."""
    app.session_state["draft-picked"] = token, rival
    return app.run()


def kept(bench: Bench, app: AppTest) -> dict[str, Any]:
    found = bench.house.visits.find(link_of(app)["kept"], "write")
    assert found is not None
    return found


def test_words_are_coloured_when_asked_for_and_only_then(open_page: Open, bench: Bench) -> None:
    app = written(open_page)
    backend = bench.backends["smollm2-135m-instruct"]
    assert pieces(app) == [] and {request.top_logprobs for request in backend.seen} == {0}
    text, seed = app.session_state["draft"].text, app.session_state["draft"].request.seed
    app.toggle(key="write_tokens").set_value(True).run()
    first = pieces(app)[0]
    assert first["rivals"] == [["rival", "22%"]] and first["shade"] == pytest.approx(0.6065, abs=1e-3)
    assert "61% likely" in first["hint"] and not app.exception
    again = next(request for request in backend.seen if request.top_logprobs == 10)
    assert again.sampling.seed == seed and app.session_state["draft"].text == text
    asked = len(backend.seen)
    app.run()
    assert len(backend.seen) == asked, "they are asked for once"
    app = click(app, "New draft")
    assert pieces(app) and backend.seen[-1].top_logprobs == 10 and app.session_state["draft"].result.tokens


def test_a_text_that_does_not_come_again_has_no_colours(open_page: Open) -> None:
    app = written(open_page)
    app.session_state["draft"].text = "other words"
    app.toggle(key="write_tokens").set_value(True).run()
    assert pieces(app) == [] and "did not come again" in drawn(app) and "other words" in drawn(app)
    assert not app.exception


def test_the_text_goes_on_from_another_word_and_the_draft_before_stays(open_page: Open, bench: Bench) -> None:
    app = written(open_page, write_tokens=True)
    first = app.session_state["draft"]
    start = first.result.tokens[3].start
    app = pick(app, 3, 0)
    now, tree = app.session_state["draft"], app.session_state["draft-held"].tree
    assert now.request.continuation == first.text[:start] + "rival" and now.text
    assert now.request.max_new_tokens == first.request.max_new_tokens - 4
    assert [tree.whole(id) for id in (1, 2)] == [first.text, now.request.continuation + now.text]
    assert tree.current == 2 and "2 drafts" in [one.label for one in app.expander] and not app.exception
    assert pick(app, 999, 0).session_state["draft"] is now and pick(app, 0, 99).session_state["draft"] is now


def test_a_tree_is_one_visit_and_comes_back_with_it(open_page: Open, bench: Bench) -> None:
    app = written(open_page, write_tokens=True)
    link, first = link_of(app), app.session_state["draft"]
    app = click(pick(app, 3, 0), "Continue")
    app = click(app, "New draft")
    assert link_of(app)["kept"] == link["kept"]
    assert len(bench.house.visits.of(app.session_state["visitor"], "write")) == 1
    tree = app.session_state["draft-held"].tree
    assert [(node.parent, node.way) for node in tree.nodes] == [
        (0, "written"), (1, "word"), (2, "continued"), (0, "written"),
    ]  # fmt: skip
    assert tree_from(kept(bench, app)["drafts"]) == tree
    assert not any(node.result.tokens for node in tree.nodes) and kept(bench, app)["result"]["tokens"] == []
    other = open_page("write", link=link_of(app) | {"write_tokens": "true"})
    assert other.session_state["draft-held"].tree == tree and pieces(other), "coloured when it is drawn first"
    assert other.session_state["draft"].text == app.session_state["draft"].text and "4 drafts" in [
        one.label for one in other.expander
    ]
    other.radio(key="draft-tree").set_value(1).run()
    assert (other.session_state["draft"].text, other.session_state["draft"].state) == (first.text, "done")
    assert other.session_state["draft"].request == replace(first.request, rivals=10) and not other.exception
    assert len(bench.house.visits.of(other.session_state["visitor"], "write")) == 1, "a visit of their own"


def test_a_draft_can_be_deleted_with_those_that_go_on_from_it(open_page: Open, bench: Bench) -> None:
    app = click(written(open_page), "Continue")
    app = click(click(app, "New draft"), "Continue")
    app.radio(key="draft-tree").set_value(3).run()
    app = click(app, "Delete this draft")
    assert [node.id for node in app.session_state["draft-held"].tree.nodes] == [1, 2]
    assert len(kept(bench, app)["drafts"]["nodes"]) == 2 and app.session_state["draft-held"].tree.current == 2
    app = click(app, "Delete this draft")
    assert "Delete this draft" not in [button.label for button in app.button], "one alone is no tree"


def test_what_a_moved_setting_asked_by_itself_joins_the_tree_when_it_is_used(open_page: Open) -> None:
    app = written(open_page)
    app.session_state["draft"].seconds = 0.1
    app.slider(key="write_temperature").set_value(0.2).run()
    assert app.session_state["draft"].request.temperature == 0.2
    assert len(app.session_state["draft-held"].tree.nodes) == 1
    app = click(app, "Continue")
    tree = app.session_state["draft-held"].tree
    assert [(node.parent, node.way) for node in tree.nodes] == [(0, "written"), (0, "written"), (2, "continued")]
    assert not app.exception


def test_another_prompt_begins_another_tree_and_another_visit(open_page: Open) -> None:
    app = click(written(open_page), "Continue")
    link = link_of(app)["kept"]
    app.text_area(key="about").set_value("a cat")
    app = click(app, "Write")
    assert len(app.session_state["draft-held"].tree.nodes) == 1 and link_of(app)["kept"] != link


@pytest.mark.parametrize("limit", [10**7, 0])
def test_somebody_elses_tree_is_gone_on_from_in_a_visit_of_ones_own(open_page: Open, bench: Bench, limit: int) -> None:
    app = click(written(open_page), "Continue")
    link, before = link_of(app), kept(bench, app)
    stranger = open_page("write", link=link)
    stranger.session_state["visitor"] = "somebody else"
    bench.house.storage.limit_bytes = limit  # type: ignore[attr-defined]
    stranger = click(stranger, "Continue")
    assert len(stranger.session_state["draft-held"].tree.nodes) == 3 and not stranger.exception
    assert bench.house.visits.find(link["kept"], "write") == before, "the other's stays as it was"
    own = link_of(stranger).get("kept")
    assert own != link["kept"] and bool(own) == bool(limit)


def test_several_drafts_are_ranked_and_stand_in_the_tree(open_page: Open, bench: Bench) -> None:
    app = written(open_page)
    seed = app.session_state["draft"].request.seed
    app.session_state["draft-compare"] = True
    app.run()
    app.pills(key="draft-compare-heats").set_value([0.0, 1.4])
    app.pills(key="draft-compare-more").set_value(2).run()
    app = click(app, "Ask these too")
    beside = [app.session_state[f"draft-beside-{number}"].request for number in range(4)]
    assert [one.temperature for one in beside] == [0.0, 1.4, 0.7, 0.7]
    assert [one.seed for one in beside[2:]] == [seed + 1, seed + 2] and all(one.rivals == 1 for one in beside)
    (table,) = [table.value for table in app.dataframe if "Score" in table.value.columns]
    assert len(table) == 5 and list(table["Score"]) == sorted(table["Score"], reverse=True)
    assert {"Likely", "Fresh", "On the subject", "Ends whole", "Has the form"} < set(table.columns)
    assert "Score is the mean of these" in drawn(app).replace("\\", "") and not app.exception
    tree = app.session_state["draft-held"].tree
    texts = {(node.request.temperature, node.request.seed) for node in tree.nodes}
    assert len(tree.nodes) == 5 and len(texts) == 5 and tree.current == 1
    again = open_page("write", link=link_of(app))
    assert len(again.session_state["draft-held"].tree.nodes) == 5, "each once"
    assert [table for table in again.dataframe if "Score" in table.value.columns] and not again.exception


def test_the_best_can_be_gone_on_with(open_page: Open, bench: Bench) -> None:
    app = written(open_page)
    app.session_state["draft-compare"] = True
    app.run()
    app.pills(key="draft-compare-more").set_value(1).run()
    app = click(app, "Ask these too")
    other = app.session_state["draft-beside-0"]
    app.session_state["draft"].result = replace(app.session_state["draft"].result, probability=0.01)
    app.run()
    app = click(app, "Go on with the best")
    assert app.session_state["draft"].text == other.text and app.session_state["draft-held"].tree.current == 2
    assert "draft-beside-0" not in app.session_state and not app.exception


def test_temperature_is_drawn_live_from_the_drafts_own_place(open_page: Open, bench: Bench) -> None:
    app = written(open_page)
    app.session_state["why-temperature"] = True
    app.run()
    backend = bench.backends["smollm2-135m-instruct"]
    asked = next(request for request in backend.seen if request.task == "next")
    assert [role for role, _ in asked.turns] == ["user", "assistant"] and not app.exception
    assert app.slider(key="temperature-t").value == 0.7 and app.slider(key="temperature-p").value == 0.95
    assert "of 8 pieces" in drawn(app) and "from 1 of" not in drawn(app)
    app.slider(key="temperature-t").set_value(0.0).run()
    assert "from 1 of 8 pieces" in drawn(app)
    app.selectbox(key="temperature-place").select_index(1).run()
    places = [request.turns[-1][1] for request in backend.seen if request.task == "next"]
    assert places[0].startswith(places[-1]) and len(places[-1]) < len(places[0])
    (line,) = [code.value for code in app.code if "/api/explore/next" in code.value and code.value.startswith("curl ")]
    assert '"temperature": 0.0' in line and '"messages": [{"role": "user"' in line


def test_a_draft_from_a_word_on_is_another_words_own() -> None:
    assert Branch().way == "written"
    assert [percent(share) for share in (0.5, 0.123, 0.0456, 0.00001)] == ["50%", "12%", "4.6%", "<0.1%"]
