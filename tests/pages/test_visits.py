"""Inputs and result that belong together: by link, on reload, in the history; and whom they are shown to."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from benches import Bench
from streamlit.testing.v1 import AppTest

from engine.applications import APPLICATIONS, showcase
from engine.storage.connections import FILE
from tests.pages.test_pages import click, drawn

Open = Callable[..., AppTest]
FIELDS = {"translate": "text", "write": "about", "sentiment": "review", "answer": "passage"}
BUTTONS = {"translate": "Translate", "write": "Write", "sentiment": "Judge", "answer": "Find the answer"}
ANSWERS = {"translate": "translation", "write": "draft", "sentiment": "judgement", "answer": "found"}


def ask(app: AppTest, page: str, text: str) -> AppTest:
    app.text_area(key=FIELDS[page]).set_value(text)
    return click(app, BUTTONS[page])


def link_of(app: AppTest) -> dict[str, str]:
    return {name: words[0] if isinstance(words, list) else words for name, words in app.query_params.items()}


def seen(bench: Bench) -> int:
    return sum(len(backend.seen) for backend in bench.backends.values())


@pytest.mark.parametrize("page", list(FIELDS))
def test_a_link_brings_inputs_and_result_without_asking_again(open_page: Open, bench: Bench, page: str) -> None:
    app = ask(open_page(page), page, "a good harbour by night")
    link, asked = link_of(app), seen(bench)
    assert link[FIELDS[page]] == "a good harbour by night" and len(link["kept"]) >= 22
    other = open_page(page, link=link)
    assert other.text_area(key=FIELDS[page]).value == "a good harbour by night"
    answer, again = app.session_state[ANSWERS[page]], other.session_state[ANSWERS[page]]
    assert (again.request, again.text, again.result, again.state) == (
        answer.request,
        answer.text,
        answer.result,
        "done",
    )
    assert seen(bench) == asked and "before" not in drawn(other) and not other.exception


@pytest.mark.parametrize("page", list(FIELDS))
def test_long_texts_never_go_into_the_address(open_page: Open, page: str) -> None:
    app = ask(open_page(page), page, "雨" * 900)
    link = link_of(app)
    assert FIELDS[page] not in link and sum(map(len, link.values())) < 100
    other = open_page(page, link=link)
    assert other.text_area(key=FIELDS[page]).value == "雨" * 900
    assert FIELDS[page] in link_of(ask(other, page, "a short text of the harbour"))


def test_a_link_alone_never_runs(open_page: Open, bench: Bench) -> None:
    app = open_page("translate", link={"text": "Good evening.", "visit_tried": "translate", "tried": "translate"})
    assert app.text_area(key="text").value == "Good evening." and seen(bench) == 0
    assert "translation" not in app.session_state


def test_a_result_whose_inputs_changed_since_is_marked(open_page: Open) -> None:
    app = ask(open_page("translate"), "translate", "Good evening.")
    assert "before" not in drawn(app)
    app.session_state["translation"].seconds = 2.0  # a quicker one would be asked for again by itself
    app.selectbox(key="to").set_value("de").run()
    assert "For the settings before" in drawn(app)
    app = app.button_group(key="translate_example").set_value("English → French").run()
    assert "For the text before" in drawn(app)
    assert "before" not in drawn(click(app, "Translate"))


def test_another_address_brings_its_own_pair(open_page: Open) -> None:
    app = ask(open_page("sentiment"), "sentiment", "a good film")
    first = link_of(app)["kept"]
    ask(app, "sentiment", "a bad film")
    app.query_params["kept"] = first
    app.run()
    assert app.text_area(key="review").value == "a good film" and "Positive, very sure" in drawn(app)
    del app.query_params["kept"]
    app.run()
    assert "The judgement appears here" in drawn(app)


@pytest.mark.parametrize("kept", ["made-up-key-of-nobody", "../../etc/passwd", "x" * 5_000])
def test_a_link_to_what_is_gone_says_so(open_page: Open, kept: str) -> None:
    app = open_page("write", link={"kept": kept, "about": "a cat"})
    assert "not kept any more" in app.info[0].value and app.text_area(key="about").value == "a cat"
    assert not app.exception and not ask(app, "write", "a dog").run().info


def test_a_key_of_another_page_is_none_of_this_one(open_page: Open) -> None:
    link = link_of(ask(open_page("sentiment"), "sentiment", "a good film"))
    assert "draft" not in open_page("write", link={"kept": link["kept"]}).session_state


@pytest.mark.parametrize("is_public", [False, True])
def test_the_history_is_its_visitors_alone_and_can_be_deleted(open_page: Open, bench: Bench, is_public: bool) -> None:
    bench.local.settings = replace(bench.engine.settings, is_public=is_public)
    app = ask(ask(open_page("sentiment"), "sentiment", "a good film"), "sentiment", "a bad film")
    first, second = link_of(app)["kept"], bench.house.visits
    visits = second.of(app.session_state["visitor"], "sentiment")
    assert [visit.title for visit in visits] == ["a bad film", "a good film"] and visits[0].key == first
    stranger = open_page("sentiment")
    assert second.of(stranger.session_state["visitor"], "sentiment") == [] if "visitor" in stranger.session_state else 1
    app.session_state["history"] = True
    app.run()
    app.button(key=f"load-{visits[1].key}").click().run()
    assert app.text_area(key="review").value == "a good film" and "Positive" in drawn(app)
    assert link_of(app)["kept"] == visits[1].key and not app.exception
    app.button(key="history-delete").click().run()
    assert second.of(app.session_state["visitor"], "sentiment") == []
    assert second.find(first, "sentiment") is None


def test_where_nothing_is_kept_short_texts_still_have_a_link(open_page: Open, bench: Bench) -> None:
    bench.local.settings = replace(bench.engine.settings, storage_bytes=0)
    bench.house.storage.limit_bytes = 0  # type: ignore[attr-defined]
    app = ask(open_page("sentiment"), "sentiment", "a good film")
    assert link_of(app) == {"review": "a good film"} and "Positive" in drawn(app) and not app.exception
    assert link_of(ask(app, "sentiment", "雨" * 900)) == {}


def test_a_copied_link_carries_the_seed_that_was_drawn(open_page: Open) -> None:
    app = ask(open_page("write"), "write", "a cat")
    seed = app.session_state["draft"].result.settings["seed"]
    other = open_page("write", link=link_of(app) | {"write_seed": str(seed)})
    assert other.number_input(key="write_seed").value == seed and "before" not in drawn(other)
    click(other, "Write")
    assert other.session_state["draft"].result.settings["seed"] == seed


@pytest.mark.parametrize("id", list(FIELDS))
def test_try_it_runs_on_the_click_and_home_shows_what_came(open_page: Open, bench: Bench, id: str) -> None:
    home = open_page("home")
    assert showcase.find(bench.house, APPLICATIONS[id]) is None
    app = home.button(key=f"try-{id}").click().run()
    assert not app.exception and app.session_state[ANSWERS[id]].state == "done"
    asked = app.session_state[ANSWERS[id]].request
    shown: Any = APPLICATIONS[id].shown
    own = {"model", "top_k", "temperature", "max_new_tokens", "repetition_penalty"}
    same = {name: value for name, value in vars(shown).items() if name not in own and name != "seed"}
    assert {name: getattr(asked, name) for name in same} == same, "Home shows what its button asks"


def test_examples_are_computed_once_for_these_weights(open_page: Open, bench: Bench, monkeypatch: Any) -> None:
    weights = {"hash": "one"}
    monkeypatch.setattr(type(bench.engine), "weights", lambda self, model_id: weights["hash"])
    showcase.compute(bench.house, APPLICATIONS.values(), threading.Event())
    asked = seen(bench)
    assert asked and not any(bench.engine.is_loaded(model_id) for model_id in bench.loads), "memory is left as it was"
    showcase.compute(bench.house, APPLICATIONS.values(), threading.Event())
    assert seen(bench) == asked
    found = showcase.find(bench.house, APPLICATIONS["sentiment"])
    assert found and found.result.results[0].label in drawn(open_page("home")).lower()
    weights["hash"] = "another"
    assert showcase.find(bench.house, APPLICATIONS["sentiment"]) is None


def test_everything_of_a_visitor_is_deleted_and_a_database_that_is_gone_is_told(open_page: Open, bench: Bench) -> None:
    app = ask(open_page("sentiment"), "sentiment", "a good film")
    app.session_state["history"] = True
    app.run()
    assert [button.label for button in app.get("download_button")] == ["Download"]
    app.button(key="everything-delete").click().run()
    assert bench.house.storage.usage() == {} and not app.exception
    bench.house.storage.folder = bench.house.storage.folder / FILE / "below"  # type: ignore[attr-defined]
    bench.house.storage.close()
    assert "cannot be reached for the moment" in drawn(app.run())
    lost = open_page("sentiment", link={"kept": "x" * 24})
    assert "cannot be reached for the moment" in drawn(lost) and not lost.exception
    asked = ask(lost, "sentiment", "a good film")
    assert "Positive" in drawn(asked) and "could not be kept" in asked.toast[0].value and not asked.exception
