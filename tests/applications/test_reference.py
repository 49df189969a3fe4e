"""A translation beside a reference: figures, signatures, sentences."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from fakes import HOST

from engine.applications import reference
from engine.applications.reference import PART, ReferenceRequest, compare, request_of
from engine.applications.sentences import Sentence, Translation
from engine.errors import InputError, PeopleError, TooLargeError
from engine.evaluation.metrics import translation_scores

MADE = Translation(
    "Le chat dort. Il pleut.", 0.9, "en",
    [Sentence("The cat sleeps.", "Le chat dort.", 0.9), Sentence("It rains.", "Il pleut.", 0.9)],
)  # fmt: skip


def test_the_same_is_best() -> None:
    found = compare(MADE, "Le chat dort. Il pleut.", "fr", 1000)
    assert {one.name: one.score for one in found.scores} == pytest.approx({"BLEU": 100, "chrF": 100, "TER": 0})
    assert [pair.source for pair in found.pairs] == ["The cat sleeps.", "It rains."]
    assert all("version:" in one.signature for one in found.scores) and "tok:13a" in found.scores[0].signature


def test_each_sentence_has_figures_of_its_own() -> None:
    found = compare(MADE, "Le chat dort. Le soleil brille.", "fr", 1000)
    first, second = found.pairs
    assert first.scores["chrF"] == pytest.approx(100) and second.scores["chrF"] < 40 < second.scores["TER"]


def test_another_number_of_sentences_is_compared_as_a_whole() -> None:
    found = compare(MADE, "Le chat dort, il pleut.", "fr", 1000)
    assert found.pairs == [] and 0 < found.scores[0].score < 100


def test_chinese_is_counted_by_characters() -> None:
    bleu, _, ter = translation_scores(["我们明天去图书馆。"], ["我们明天去学校。"], "zh")
    assert "tok:zh" in bleu.signature and 0 < bleu.score < 100 and ter.score < 100


@pytest.mark.parametrize(("given", "error"), [(" ", InputError), ("a" * 2_000, TooLargeError)])
def test_what_is_no_reference_is_told(given: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        compare(MADE, given, "fr", 1000)
    with pytest.raises(InputError, match="no translation"):
        compare(Translation("", None, "en"), "Le chat.", "fr", 1000)


def test_the_api_compares_as_the_page_does(house: Any) -> None:
    other = "Le chat dort. Le soleil brille."
    page = compare(MADE, other, "fr", 1000)
    asked = request_of(MADE, other, "fr")
    assert PART.run(house.engine, asked, HOST) == page
    whole = PART.run(house.engine, ReferenceRequest(MADE.text, other, "fr"), HOST)
    assert whole.scores == page.scores and [pair.source for pair in whole.pairs] == ["", ""]


@pytest.mark.parametrize(
    ("changes", "param"),
    [({"target": "xx"}, "target"), ({"reference": " "}, "reference"), ({"text": []}, "text"),
     ({"text": ["x" * 1500] * 2}, "text"), ({"sources": ["x" * 1500] * 2}, "sources")],
)  # fmt: skip
def test_what_cannot_be_compared_names_its_field(house: Any, changes: dict[str, Any], param: str) -> None:
    with pytest.raises(PeopleError) as caught:
        PART.run(house.engine, replace(ReferenceRequest("Il pleut.", "Il pleut.", "fr"), **changes), HOST)
    assert caught.value.param == param


def test_ter_is_left_out_where_it_would_take_long(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    long = " ".join(f"mot{number % 60}" for number in range(3_000))
    asked = ReferenceRequest("Il pleut. Il neige.", long[:1_900], "fr")
    found = PART.run(house.engine, asked, HOST)
    assert [one.name for one in found.scores] == ["BLEU", "chrF"] and "TER is left out" in str(found.note)
    monkeypatch.setattr(reference, "MAX_TER_SECONDS", 0.0)
    two = ReferenceRequest("Il pleut. Il neige.", "Il pleut. Il fait beau.", "fr")
    found = PART.run(house.engine, two, HOST)
    assert len(found.pairs) == 2 and all(set(pair.scores) == {"BLEU", "chrF"} for pair in found.pairs)
