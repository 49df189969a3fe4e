"""What can be done with an answer on every page: downloads, code, a thumb and why, others beside it, asking again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from benches import Bench, model
from streamlit.testing.v1 import AppTest

from engine.applications import emotions
from tests.pages.test_pages import click, drawn

Open = Callable[..., AppTest]
PAGES = {
    "translate": ("translation", "Translate"), "summarize": ("summary", "Summarize"), "write": ("draft", "Write"),
    "sentiment": ("judgement", "Judge"), "answer": ("found", "Find the answer"),
}  # fmt: skip


def asked(open_page: Open, page: str) -> AppTest:
    return click(open_page(page), PAGES[page][1])


def opened(app: AppTest, key: str) -> AppTest:
    """With the choice of what to ask besides open."""
    app.session_state[f"{key}-compare"] = True
    return app.run()


@pytest.mark.parametrize("page", PAGES)
def test_an_answer_can_be_taken_along_and_done_in_code(open_page: Open, page: str) -> None:
    key = PAGES[page][0]
    app = open_page(page)
    assert not app.feedback and "Download" not in drawn(app), "nothing before there is an answer"
    app = click(app, PAGES[page][1])
    app.session_state[f"{key}-download"] = app.session_state[f"{key}-code"] = True
    app.run()
    names = {button.label for button in app.get("download_button")}
    assert {"Text", "Markdown", "Table (CSV)", "Everything (JSON)"} <= names and not app.exception
    assert ("Word" in names) == bool(app.session_state[key].text)
    codes = [code.value for code in app.code]
    assert any(f"/api/{page}" in code and code.startswith("curl ") for code in codes)
    assert any(code.startswith("import json") for code in codes)


@pytest.mark.parametrize("page", PAGES)
def test_a_thumb_is_kept_with_its_reason(open_page: Open, bench: Bench, page: str) -> None:
    app = asked(open_page, page)
    (thumbs,) = app.feedback
    thumbs.set_value(0).run()
    assert bench.house.feedback.summed()[0]["down"] == 1 and bench.house.feedback.reasons() == []
    (pills,) = [one for one in app.pills if "-why-" in (one.key or "")]
    pills.set_value("made up").run()
    (field,) = [one for one in app.text_input if (one.key or "").endswith("-words")]
    field.set_value("it has no such name").run()
    (kept,) = bench.house.feedback.reasons()
    assert kept["reason"] == "made up: it has no such name" and kept["page"] == page and not app.exception


def bodies(app: AppTest, key: str) -> dict[str, str]:
    """The curl line of each thing that was done, by its name."""
    app.session_state[f"{key}-code"] = True
    app.run()
    found = {}
    for name in app.selectbox(key=f"{key}-code-of").options:
        app.selectbox(key=f"{key}-code-of").set_value(name).run()
        (found[name],) = [code.value for code in app.code if code.value.startswith("curl ")]
    return found


def test_what_stands_beside_an_answer_has_its_code(open_page: Open) -> None:
    found = bodies(asked(open_page, "summarize"), "summary")
    first, second = found.values()
    assert next(iter(found)) == "The answer" and "multilingual-e5-small" in first and "/api/summarize" in first
    assert "smollm2-135m-instruct" in second and '"seed"' in second and "/api/summarize" in second


def test_a_changed_text_and_a_reference_have_their_code(open_page: Open) -> None:
    app = asked(open_page, "sentiment")
    next(one for one in app.text_area if one.label == "Changed text").set_value("a bad one")
    found = bodies(click(app, "Compare"), "judgement")
    assert '"a bad one"' in found["The changed text"] and "/api/sentiment" in found["The changed text"]
    app = asked(open_page, "translate")
    app.text_area(key="reference").set_value("Bonjour.")
    found = bodies(click(app, "Compare"), "translation")
    assert "/api/translate/reference" in found["Compare with a reference"] and not app.exception


def test_the_code_of_a_chat_holds_what_was_said(open_page: Open) -> None:
    app = open_page("write", kind="chat")
    for message in ("Hello", "And now?"):
        app.chat_input[0].set_value(message).run()
    app.session_state["draft-code"] = True
    app.run()
    (line,) = [code.value for code in app.code if code.value.startswith("curl ")]
    assert '{"role": "user", "content": "Hello"}' in line and '"And now?"' in line and not app.exception


def test_reasons_reach_the_host(open_page: Open, bench: Bench) -> None:
    bench.house.feedback.take("ann", "write", "gemma-3-270m", "a", is_good=False, reason="too slow")
    assert any("too slow" in str(table.value) for table in open_page("host").dataframe)


def test_others_answer_beside(open_page: Open, bench: Bench) -> None:
    bench.engine.catalogue.add(model("judge", architecture="classification", applications=("sentiment",)))
    app = opened(asked(open_page, "sentiment"), "judgement")
    app.multiselect(key="judgement-compare-models").set_value(["judge"]).run()
    app = click(app, "Ask these too")
    assert app.session_state["judgement-beside-0"].result.model == "judge" and not app.exception
    assert drawn(app).count("Negative, very sure") == 2 and "**Judge**" in drawn(app)
    app.text_area(key="review").set_value("a good one")
    app = click(app, "Judge")
    assert drawn(app).count(", very sure") == 1, "what was asked about another text is gone"


def test_which_models_are_here_to_answer_beside_is_asked_once_it_is_open(open_page: Open, bench: Bench) -> None:
    bench.engine.catalogue.add(model("judge", architecture="classification", applications=("sentiment",)))
    looked: list[str] = []
    bench.engine.catalogue.is_ready = lambda id: bool(looked.append(id)) or id != "judge"
    app = asked(open_page, "sentiment")
    assert "judge" not in looked
    app = opened(app, "judgement")
    assert "judge" in looked and "No other model for this" in drawn(app) and not app.exception


def test_only_models_of_the_languages_answer_beside(open_page: Open, bench: Bench) -> None:
    for name, pair in {"one": "en-fr", "two": "en-fr", "other": "en-pt", "back": "fr-en"}.items():
        bench.engine.catalogue.add(
            model(name, architecture="seq2seq", applications=("translate",), pair=tuple(pair.split("-")))
        )
    app = click(open_page("translate", to="fr"), "Translate")
    app = opened(app, "translation")
    (models,) = app.multiselect
    assert set(models.options) & {"One", "Two"} and not set(models.options) & {"Other", "Back"}


def test_a_changed_text_is_compared(open_page: Open) -> None:
    app = asked(open_page, "sentiment")
    (field,) = [one for one in app.text_area if one.label == "Changed text"]
    app = click(app, "Compare")
    assert "Nothing is changed yet" in drawn(app), "the button can be pressed, and says what is missing"
    (field,) = [one for one in app.text_area if one.label == "Changed text"]
    field.set_value("a bad one")
    app = click(app, "Compare")
    assert app.session_state["edited"].request.text == "a bad one" and "Before" in drawn(app) and not app.exception


def test_both_texts_of_a_comparison_have_one_judge(open_page: Open) -> None:
    app = asked(open_page, "sentiment")
    judge = app.session_state["judgement"].result.results[0].model
    (field,) = [one for one in app.text_area if one.label == "Changed text"]
    field.set_value("ein schlechter Film")
    app = click(app, "Compare")
    assert app.session_state["edited"].request.model == judge == app.session_state["edited"].result.model
    assert "Taken out" in drawn(app) and "Put in" in drawn(app) and not app.exception


def test_temperatures_beside_each_other(open_page: Open) -> None:
    app = opened(asked(open_page, "write"), "draft")
    app.pills(key="draft-compare-heats").set_value([0.0, 1.4]).run()
    app = click(app, "Ask these too")
    found = [app.session_state[f"draft-beside-{number}"].request.temperature for number in range(2)]
    assert found == [0.0, 1.4] and "temperature 1.4" in drawn(app).replace("\\", "") and not app.exception
    assert "draft-beside-2" not in app.session_state


@pytest.mark.parametrize(("seconds", "is_asked"), [(0.1, True), (2.0, False), (None, False)])
def test_a_changed_setting_asks_again_where_an_answer_is_quick(
    open_page: Open, seconds: float | None, is_asked: bool
) -> None:
    app = asked(open_page, "write")
    app.session_state["draft"].seconds = seconds
    app.slider(key="write_temperature").set_value(0.2).run()
    assert (app.session_state["draft"].request.temperature == 0.2) == is_asked
    assert is_asked or "For the settings before" in drawn(app)


def test_a_much_longer_answer_and_a_changed_text_wait_for_their_button(open_page: Open) -> None:
    app = asked(open_page, "write")
    app.session_state["draft"].seconds = 0.2
    app.slider(key="write_max_new_tokens").set_value(1000).run()
    assert app.session_state["draft"].request.max_new_tokens != 1000
    app.slider(key="write_max_new_tokens").set_value(304)
    app.text_area(key="about").set_value("another thing").run()
    assert app.session_state["draft"].request.text != "another thing"


@pytest.mark.parametrize(
    ("page", "key", "typed", "setting", "value"),
    [("sentiment", "labels", "late\nearly", "emotions", True), ("translate", "glossary", "dog = chien", "to", "de"),
     ("write", "system", "Be brief.", "write_temperature", 0.2), ("write", "write_stop", "so", "write_top_p", 0.5),
     ("summarize", "reference", "It is short.", "words", 100)],
)  # fmt: skip
def test_what_is_typed_beside_the_text_waits_for_the_button(
    open_page: Open, bench: Bench, page: str, key: str, typed: str, setting: str, value: object
) -> None:
    bench.engine.catalogue.add(model(emotions.MODEL, architecture="classification", applications=()))
    name = PAGES[page][0]
    app = click(open_page(page, own_labels=True) if page == "sentiment" else open_page(page), PAGES[page][1])
    before = app.session_state[name]
    before.seconds = 0.1
    fields = app.text_input if key == "write_stop" else app.text_area
    fields(key=key).set_value(typed)
    app.run()
    assert app.session_state[name] is before and "For the settings before" in drawn(app) and not app.exception
    app.session_state[setting] = value
    app.run()
    after = app.session_state[name]
    assert after is not before, "a setting asks by itself, with what had been typed when the button was pressed"
    field = key.removeprefix("write_")
    assert getattr(after.request, field) == getattr(before.request, field)
    app = click(app, PAGES[page][1])
    assert typed.splitlines()[0] in str(getattr(app.session_state[name].request, field)) and not app.exception


def test_strangers_press_the_button(open_page: Open, bench: Bench) -> None:
    bench.local.settings = replace(bench.engine.settings, is_public=True)
    app = asked(open_page, "write")
    app.session_state["draft"].seconds = 0.1
    app.slider(key="write_temperature").set_value(0.2).run()
    assert app.session_state["draft"].request.temperature != 0.2


def test_what_stood_beside_an_answer_comes_back_with_it(open_page: Open, bench: Bench) -> None:
    app = asked(open_page, "summarize")
    key, text = app.session_state["summary"].visit, app.session_state["summary-beside-0"].text
    assert app.session_state["summary-beside-0"].visit == key
    again = open_page("summarize", link={"kept": key})
    assert again.session_state["summary-beside-0"].text == text and text in drawn(again) and not again.exception
    bench.house.visits.add("somebody else", key, "summarize", {"beside": []})
    assert bench.house.visits.find(key, "summarize")["beside"], "a visit is its own visitor's to add to"  # type: ignore[index]
