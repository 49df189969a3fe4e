"""Explore, on fake models: every step and every view draws, and a link restores them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from benches import Bench, model
from fakes import ORIGIN, FakeBackend
from streamlit.testing.v1 import AppTest

from engine.catalogue.sources.hub import Hub
from engine.explain import VIEWS
from engine.inspections import Attribution, Piece, pack
from engine.jobs import work
from engine.training.views import RunView
from pages.parts.lesson import STEPS
from pages.parts.visits import TRIED

Open = Callable[..., AppTest]
NASTY = "<b>bold</b> & more"


@pytest.fixture(autouse=True)
def more_models(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An encoder, a translator and a model with masks, beside the embedded ones; jobs in a folder of the test's own."""
    monkeypatch.chdir(tmp_path)
    for made in (
        model("minilm-l6", architecture="embedding"),
        model("multilingual-e5-small", architecture="embedding"),
        model(
            "firefox-en-pt",
            architecture="seq2seq",
            pair=("en", "pt"),
            languages=("en", "pt"),
            runtime="marian",
            applications=("translate",),
        ),
        model("bert-base-uncased", architecture="masked", is_embedded=False, source=Hub("google-bert/bert", "main")),
    ):
        bench.engine.catalogue.add(made)


def figures(app: AppTest) -> list[dict[str, Any]]:
    """The figures that were drawn, as plotly gets them."""
    told = [json.loads(element.proto.json or "{}") for element in app.get("bidi_component")]
    drawn = [data for data in told if "layout" in data]
    for figure in drawn:
        go.Figure({"data": figure["data"], "layout": figure["layout"]})  # raises for what plotly does not know
    return drawn


def ended(app: AppTest, bench: Bench) -> AppTest:
    """The page once its job has come to its end."""
    while any(job.is_alive for job in work.listed(bench.house.settings)):
        app.run()
    return app.run()


def said(app: AppTest) -> str:
    return "\n".join(str(one.value) for one in (*app.markdown, *app.caption, *app.info, *app.warning, *app.subheader))


@pytest.mark.parametrize("step", [number for number, step in STEPS.items() if step.text])
def test_a_step_draws_from_its_link_alone(open_page: Open, bench: Bench, step: int) -> None:
    plain = open_page("explore", link={"step": str(step)})
    assert not plain.exception and not figures(plain) and bench.loads == []
    assert f"{step}. " in plain.subheader[0].value
    app = open_page(
        "explore",
        link={"step": str(step), "look": "yes", f"text{step}": NASTY if step != 5 else f"{NASTY}\ntwo\nthree"},
    )
    assert not app.exception and not app.error and not app.warning, said(app)
    drawn = figures(app)
    assert drawn and all(figure["alt"] and figure["saves"] for figure in drawn)
    assert app.table or app.dataframe, "a table stands behind each plot"
    assert "<b>bold" not in json.dumps([figure["data"] for figure in drawn])
    assert len([one for one in app.expander if one.label == "Answer"]) == 1


def test_the_bars_move_with_the_temperature(open_page: Open) -> None:
    app = open_page("explore", link={"step": "2", "look": "yes"})
    before = figures(app)[0]["data"][2]["x"]
    app.slider(key="next-t").set_value(0.5)
    app.run()
    after = figures(app)[0]["data"][2]["x"]
    assert max(after) > max(before)
    odds = [value**2 for value in range(1, 9)]  # the fake's odds are 1 to 8, and T = 0.5 squares them
    assert max(after) == pytest.approx(max(odds) / sum(odds))


def test_words_are_drawn_one_after_the_other_and_a_link_has_them(open_page: Open) -> None:
    link = {"step": "2", "look": "yes", "text2": "one two", "next-seed": "3"}
    app = open_page("explore", link=link)
    assert "one two" not in marked(app)
    for _ in range(2):
        app.button(key="next-draw").click().run()
    assert not app.exception and not app.error
    text = marked(app)
    assert text.startswith("one two<mark") and text.count("<mark") == 2
    again = open_page("explore", link=link | {"next-drawn": "".join(app.query_params["next-drawn"])})
    assert marked(again) == text, "who follows the link sees the same words"
    again.button(key="next-draw").click().run()
    app.button(key="next-draw").click().run()
    assert marked(again) == marked(app), "and draws the same ones after them"
    other = open_page("explore", link=link | {"text2": "three", "next-drawn": "".join(app.query_params["next-drawn"])})
    assert "<mark" not in marked(other), "what was drawn after one text does not follow another"
    app.button(key="next-afresh").click().run()
    assert "<mark" not in marked(app)


def test_a_hundred_draws_stand_beside_the_bars(open_page: Open) -> None:
    app = open_page("explore", link={"step": "2", "look": "yes", "next-hundred": "true"})
    tally = next(figure for figure in figures(app) if figure["name"] == "next-tally")
    expected, came = tally["data"]
    assert sum(came["y"]) == 100 and sum(expected["y"]) == pytest.approx(100)


def marked(app: AppTest) -> str:
    """The text with what was drawn."""
    return "".join(str(one.proto.body) for one in app.get("html") if "<mark" in str(one.proto.body)).partition(">")[2]


def test_why_folds_the_words_of_an_instruction(open_page: Open, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def attribute(self: FakeBackend, job: Any) -> None:
        words = " ".join(content for _, content in job.request.turns).split()
        tokens = tuple(Piece(f" {word}", place) for place, word in enumerate(words))
        parts = pack(np.linspace(1, 2, len(tokens)), ("token",))
        job.finish(Attribution(tokens, parts, "a", "b", 0.0, 2.0, 0.0, ORIGIN))

    monkeypatch.setattr(FakeBackend, "_attribute", attribute)
    page, values = WHYS["why-summed-smollm2-135m-instruct-go"]
    app = open_page(page, **values, **{TRIED: page})
    app = ended(app.button(key="why-summed-smollm2-135m-instruct-go").click().run(), bench)
    (drawn,) = figures(app)
    names = " ".join(drawn["layout"]["yaxis"]["ticktext"])
    assert "thing" in names and "Summarize" not in names and "the words of the instruction" in said(app)
    app.toggle(key="why-summed-smollm2-135m-instruct-others").set_value(True).run()
    (drawn,) = figures(app)
    assert len(drawn["layout"]["yaxis"]["ticktext"]) > len(names.split())


def test_each_plot_is_told_in_a_sentence(open_page: Open) -> None:
    link = {"step": "3", "look": "yes", "text3": "one two three", "other": "one six three"}
    assert "The change: 'two' surprises by" in said(open_page("explore", link=link)).replace("\\", "")
    assert "three" in said(open_page("explore", link=link)).partition("What follows is the same")[2]
    app = open_page("explore", link={"step": "6", "look": "yes", "attention-head": "0"})
    assert "Single heads of this layer differ" in said(app)
    assert "for the first time after layer" in said(open_page("explore", link={"step": "7", "look": "yes"}))
    assert "Closest of all" in said(open_page("explore", link={"step": "5", "look": "yes"}))
    assert "Drawn by lot from" in said(open_page("explore", link={"step": "2", "look": "yes"}))


def test_the_next_step_is_a_press_away(open_page: Open) -> None:
    app = open_page("explore")
    app.button(key="next-step").click().run()
    assert app.subheader[0].value.startswith("2. ")


@pytest.mark.parametrize("view", [name for name, view in VIEWS.items() if view.needs and name != "masked"])
def test_two_texts_stand_beside_each_other(open_page: Open, view: str) -> None:
    link = {"mode": "Free", "view": str(VIEWS[view].title), "look": "yes", "beside": "Another text"}
    app = open_page(
        "explore", link=link | {f"text-{view}": "one two\nthree\nfour", f"other-{view}": "one six\nthree\nfour"}
    )
    assert not app.exception and not app.error, said(app)
    alone = figures(open_page("explore", link=link | {"beside": "Nothing"}))
    assert len(figures(app)) == 2 * len(alone)


def test_the_same_fault_on_both_sides_is_told_twice(open_page: Open) -> None:
    link = {"mode": "Free", "view": "Meaning", "look": "yes", "beside": "Another text", "text-meaning": "one"}
    app = open_page("explore", link=link | {"other-meaning": "one"})
    assert not app.exception and len([*app.error, *app.warning]) == 2


@pytest.mark.parametrize("view", [name for name, view in VIEWS.items() if view.needs])
def test_the_free_mode_has_every_view(open_page: Open, bench: Bench, view: str) -> None:
    title = str(VIEWS[view].title)
    link = {"mode": "Free", "view": title, "look": "yes", "beside": "Another model"}
    app = open_page("explore", link=link)
    assert not app.exception and not app.error, said(app)
    if view == "masked":
        assert "No embedded model has this view" in said(app)
        assert "Bert\\-Base\\-Uncased" in said(app)
    elif view == "why":
        app = ended(app.button(key="free-go").click().run(), bench)
        assert not app.exception and figures(app)
        assert "by 50.0%: they do not explain this answer. The method Layer by layer adds up." in said(app).replace(
            "\\", ""
        )
        again = open_page("explore", link=link | {"why": "".join(app.query_params["why"])})
        assert figures(again), "a link leads to what was found"
    elif view == "tokens":
        assert app.table
    else:
        assert figures(app) and app.table


def test_attention_across_to_a_source(open_page: Open) -> None:
    link = {"step": "6", "look": "yes", "model6": "Translator: looks across", "translation6": "um dois"}
    app = open_page("explore", link=link)
    assert not app.exception and "word alignment" in said(app)
    matrix = next(figure for figure in figures(app) if figure["name"] == "attention-matrix")
    assert len(matrix["data"][0]["z"]) == 2


def test_the_last_step_shows_a_run(open_page: Open, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "No run that kept what it wrote" in said(open_page("explore", link={"step": "8"}))
    metrics = [{"step": step, "time": 10.0 * step, "loss": 3.0 - step, "tokens_per_second": 50.0} for step in range(3)]
    samples = [{"step": step, "prompt": "Once", "text": f"after {step}"} for step in range(3)]
    run = RunView(
        folder=Path("r"), state="finished", status={}, id="a1", title="Tiny", note="", created=1.0, config=None,
        metrics=metrics, samples=samples,
    )  # fmt: skip
    monkeypatch.setattr("pages.parts.phases.views.listed", lambda settings: [run])
    monkeypatch.setattr("pages.parts.phases.views.read", lambda settings, id: run)
    bench.engine.catalogue.add(model("run-a1", parameters=1_000_000))
    app = open_page("explore", link={"step": "8"})
    assert not app.exception and run.tokens_seen == 1000
    assert "6·10⁹" in said(app)
    texts = "".join(str(element.proto.body) for element in app.get("html"))
    assert all(f"after {step}" in texts for step in range(3)) and figures(app)


def test_a_long_text_is_an_image(open_page: Open) -> None:
    app = open_page("explore", link={"step": "6", "look": "yes", "text6": "word " * 70 + "end"})
    matrix = next(figure for figure in figures(app) if figure["name"] == "attention-matrix")
    assert matrix["data"][0]["type"] == "image" and matrix["data"][0]["source"].startswith("data:image/png;base64,")


WHYS = {
    "why-label-go": ("sentiment", {"review": "bad good"}),
    "why-span-go": ("answer", {"question": "Where is Paris?", "passage": "Paris is in France."}),
    "why-word-go": ("write", {"about": "a cat"}),
    "why-summed-smollm2-135m-instruct-go": (
        "summarize",
        {"article": "One thing is said here. Another is said there.", "summarizer": "smollm2-135m-instruct"},
    ),
    "why-translated-go": ("translate", {"text": "good morning", "translator": "firefox-en-pt"}),
}


@pytest.mark.parametrize("button", WHYS)
def test_why_stands_below_answers_and_costs_nothing_until_it_is_asked(
    open_page: Open, bench: Bench, button: str
) -> None:
    page, values = WHYS[button]
    app = open_page(page, **values, **{TRIED: page})
    assert not app.exception and not work.listed(bench.house.settings)
    app = ended(app.button(key=button).click().run(), bench)
    assert not app.exception and not app.error and figures(app), said(app)
    assert work.listed(bench.house.settings)[0].state == "finished"


def test_a_beginning_of_ones_own_is_asked_of_the_kept_weights(
    open_page: Open, told_run: RunView, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr("pages.parts.phases.work.begin", lambda *about, **more: asked.append((about[2], more)))
    app = open_page("explore", link={"step": "8", "prompt8": "The sea"})
    app.button[[one.label for one in app.button].index("Let the kept weights go on")].click().run()
    assert not app.exception and asked[0][0] == {"run": "a1", "prompt": "The sea"}


def test_the_last_questions_are_worked_live(open_page: Open) -> None:
    app = open_page("explore", link={"step": "8"})
    app.button(key="try8").click().run()
    app.button(key="write8").click().run()
    assert not app.exception and not app.error
    assert said(app).count("bits of surprise a byte") == 3 and "Whoever knew the rule" in said(app)
