"""Sentiment where several classifiers judge, each what it does best in."""

from __future__ import annotations

from dataclasses import replace

import pytest
from benches import Bench, model

from engine.catalogue.sources import Availability
from engine.catalogue.sources.hub import Hub
from tests.pages.test_pages import Open, click, drawn

GERMAN = "Das Essen war leider kalt und der Kellner unfreundlich, bad."


@pytest.fixture
def five(bench: Bench) -> None:
    """A second classifier, for what is not English."""
    catalogue = bench.engine.catalogue
    catalogue.add(replace(catalogue.find("sentiment-minilm"), best_in=("en",)))
    catalogue.add(
        model(
            "five",
            architecture="classification",
            applications=("sentiment",),
            best_in=("fr", "de"),
            title="Five",
            source=Hub("owner/five", "main"),
        )
    )


def test_each_language_has_its_judge_and_one_can_be_chosen(open_page: Open, bench: Bench, five: None) -> None:
    app = open_page("sentiment")
    assert app.selectbox(key="judge").value == "automatic"
    assert "English: Sentiment" in drawn(app) and "French, German, Spanish, Chinese: Five" in drawn(app)
    app.text_area(key="review").set_value(GERMAN)
    app = click(app, "Judge")
    assert "Negative" in drawn(app) and list(bench.backends) == ["five"]
    app.selectbox(key="judge").set_value("sentiment-minilm").run()
    app = click(app, "Judge")
    assert "This looks German" in drawn(app) and "sentiment-minilm" in bench.backends


def test_while_one_is_still_to_come_the_other_judges(
    open_page: Open, bench: Bench, five: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = bench.store.availability
    monkeypatch.setattr(
        bench.store, "availability", lambda id: Availability("absent", 0, 10) if id == "five" else there(id)
    )
    app = open_page("sentiment")
    assert "is not on this machine yet" in drawn(app)
    app.text_area(key="review").set_value(GERMAN)
    app = click(app, "Judge")
    assert "This looks German" in drawn(app) and list(bench.backends) == ["sentiment-minilm"]
    click(app, "Download")
    assert bench.store.fetched == ["five"]
