"""Summaries: their length, where they come from, what they make up, on scripted models."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from fakes import HOST

from engine.applications import written
from engine.applications.extracts import Place, choices, count_words, extract, fit, is_near, sentences_of, shortened
from engine.applications.summarize import (
    APPLICATION,
    MAX_CHARACTERS,
    MAX_WRITTEN_CHARACTERS,
    SAMPLES,
    WRITER,
    SummarizeRequest,
    SummarizeResult,
    writer_for,
)
from engine.applications.support import overlap, sources_of, unsupported
from engine.errors import InputError, NotReadyError, TooLargeError, UnsupportedError
from engine.messages import said

TEXT = (
    "The harbour of Lindholm was built in 1742 by the engineer Karin Ostberg, after a storm had destroyed the pier. "
    "For two centuries it served the herring fleet. In 1968 the last cannery closed and the sheds stood empty. "
    "A group of musicians turned them into concert halls. Today about 90,000 visitors come every summer by ferry. "
    "The town council plans to add a footbridge by 2028, which would link the halls with the old market. "
    "Shopkeepers in the centre hope that it brings them more customers; some residents fear the noise."
)
TEXTS = {sample.text: sample for sample in SAMPLES}


def run(house: Any, request: SummarizeRequest) -> SummarizeResult:
    result: SummarizeResult = APPLICATION.run(house.engine, request, HOST)
    return result


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("one two", 2),
        ("– one, two!", 2),
        ("- a\n- b", 2),
        ("它很好。", 3),
        ("GPT 很好", 3),
        ("state-of-the-art", 1),
    ],
)
def test_words_are_counted_as_people_do(text: str, count: int) -> None:
    assert count_words(text) == count


def test_sentences_keep_their_places_and_headings_are_none() -> None:
    text = "Report\n\nThe first one is here. And a second\nthat goes on.\n\n- A point of a list.\n"
    places = sentences_of(text, "en")
    assert places[0].text == "The first one is here." and "Report" not in str(places)
    assert all(" ".join(text[one.start : one.end].split()) == one.text for one in places)
    assert [one.text for one in sentences_of("Eggs\nMilk for two\nBread", "en")] == ["Milk for two"]


def test_a_sentence_longer_than_a_translators_is_one() -> None:
    long = "It " + ", ".join(f"goes on to number {number}" for number in range(40)) + "."
    assert sentences_of(f"{long} And ends.", "en")[0].text == long


@pytest.mark.parametrize(
    ("sentence", "language", "kept"),
    [
        ("The harbour was built in 1742 by Karin Ostberg, after a storm had destroyed the pier.", "en",
         ["The harbour was built in 1742 by Karin Ostberg …"]),
        ("If it rains for more than two days, which happens, we all go home.", "en", []),
        ("Short one, which ends.", "en", []),
        ("Das Haus am Ende der langen Straße ist alt, wobei niemand das Jahr kennt.", "de",
         ["Das Haus am Ende der langen Straße ist alt …"]),
        ("Nobody knows a word of this language here, which is fine.", "xx", []),
    ],
)  # fmt: skip
def test_only_clauses_that_can_go_are_left_out(sentence: str, language: str, kept: list[str]) -> None:
    assert shortened(sentence, language) == kept


@pytest.mark.parametrize("words", [15, 20, 30, 45, 60, 80])
@pytest.mark.parametrize("number", range(len(SAMPLES)))
def test_chosen_sentences_have_the_wanted_length_or_the_note_says_why(house: Any, number: int, words: int) -> None:
    result = run(house, SummarizeRequest(SAMPLES[number].text, words))
    assert result.is_quoted and result.words == sum(count_words(one.text) for one in result.sentences)
    assert is_near(result.words, words) or result.note
    for one in result.sentences:
        assert one.text.removesuffix(" …") in " ".join(SAMPLES[number].text.split()) and one.sources[0].score == 1.0


@pytest.mark.parametrize("words", [30, 60, 100])
def test_a_longer_text_always_has_a_choice_of_that_length(house: Any, words: int) -> None:
    text = " ".join(sample.text for sample in SAMPLES[:3])
    result = run(house, SummarizeRequest(text, words))
    assert is_near(result.words, words) and not result.note


def test_what_is_chosen_stands_in_the_texts_order_and_says_nothing_twice() -> None:
    places = [Place(f"Number {n} says something of its own here.", n, n + 1) for n in range(6)]
    vectors = np.eye(6, dtype=np.float32)
    vectors[5] = vectors[0]
    chosen = extract(places, vectors, 24, "en")
    assert [one.number for one in chosen] == sorted(one.number for one in chosen) and len(chosen) == 3
    assert not {0, 5} <= {one.number for one in chosen}


def test_fit_takes_the_nearest_where_nothing_is_near() -> None:
    places = [Place(" ".join(["word"] * 30) + ".", 0, 1)]
    assert [one.words for one in fit(choices(places, {0: 1.0}, "en"), 10)] == [30]
    assert fit([], 10) == []


def test_bullets_and_chinese(house: Any) -> None:
    listed = run(house, SummarizeRequest(TEXT, 40, is_bulleted=True)).text.splitlines()
    assert len(listed) >= 2 and all(line.startswith("- ") for line in listed)
    chinese = run(house, SummarizeRequest(SAMPLES[4].text, 70))
    assert chinese.language == "zh" and " " not in chinese.text and 63 <= chinese.words <= 77
    assert str(run(house, SummarizeRequest(SAMPLES[4].text, 500)).note).endswith(" characters.")


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (SummarizeRequest(""), "text"), (SummarizeRequest("?!"), "text"), (SummarizeRequest(TEXT, 9), "words"),
        (SummarizeRequest(TEXT, 501), "words"), (SummarizeRequest(TEXT, temperature=9.0), "temperature"),
        (SummarizeRequest(TEXT, 2.5), "words"),  # type: ignore[arg-type]
    ],
)  # fmt: skip
def test_what_cannot_be_summarised_names_its_field(house: Any, request_: SummarizeRequest, field: str) -> None:
    with pytest.raises(InputError) as raised:
        run(house, request_)
    assert raised.value.param == field


def test_texts_have_their_limits(house: Any) -> None:
    with pytest.raises(TooLargeError):
        run(house, SummarizeRequest("x" * (MAX_CHARACTERS + 1)))
    with pytest.raises(TooLargeError):
        run(house, SummarizeRequest("A sentence here. " * (MAX_WRITTEN_CHARACTERS // 16), model=WRITER))
    with pytest.raises(UnsupportedError):
        run(house, SummarizeRequest(TEXT, model="sentiment-e5"))


def test_a_text_with_less_words_says_so(house: Any) -> None:
    result = run(house, SummarizeRequest("It rained all day long. Nobody came to see it.", 60))
    assert result.words == 10 and "has 10 words" in str(result.note)


def test_a_long_text_is_read_in_parts_with_progress(house: Any) -> None:
    text = " ".join(f"Sentence number {n} is about the matter {n % 7}." for n in range(200))
    events = list(APPLICATION.stream(house.engine, SummarizeRequest(text, 50), HOST))
    parts = [(event.part, event.parts) for event in events if event.kind == "working"]
    assert parts == [(n, 4) for n in range(1, 5)] and is_near(events[-1].result.words, 50)


def writes(house: Any, *answers: str) -> list[Any]:
    """Have the model say these, one after the other, and the last again; returns what it is asked."""
    asked: list[Any] = []

    def say(request: Any) -> str:
        asked.append(request)
        return answers[min(len(asked), len(answers)) - 1]

    house.backend.say = say
    return asked


GOOD = (
    "The harbour of Lindholm was built in 1742 by Karin Ostberg. Today about 90,000 visitors come by ferry. "
    "The town council plans to add a footbridge by 2028."
)


def test_a_written_summary_tells_its_sources(house: Any) -> None:
    asked = writes(house, GOOD)
    result = run(house, SummarizeRequest(TEXT, 30, model=WRITER, seed=3))
    assert result.text == GOOD and not result.is_quoted and not result.warning and len(asked) == 1
    assert "about 30 words" in asked[0].messages[0].content and result.settings["seed"] == 3
    assert [one.sources[0].text[:16] for one in result.sentences] == [
        "The harbour of L",
        "Today about 90,0",
        "The town council",
    ]
    assert all(TEXT[source.start : source.end] == source.text for one in result.sentences for source in one.sources)


def test_names_and_numbers_that_the_text_lacks_are_asked_for_again_once_then_flagged(house: Any) -> None:
    bad = (
        "The harbour of Lindholm was built in 1742 by Karin Ostberg. In 1999 the mayor Thomas Reed closed the harbour."
    )
    asked = writes(house, bad, GOOD)
    result = run(house, SummarizeRequest(TEXT, 30, model=WRITER, seed=3))
    assert len(asked) == 2 and "1999" not in result.text and not result.warning and is_near(result.words, 30)
    assert asked[1].sampling.seed == 4
    asked = writes(house, bad, bad)
    result = run(house, SummarizeRequest(TEXT, 20, model=WRITER, seed=3))
    assert result.sentences[-1].unsupported == ["1999", "Thomas", "Reed"] and "Thomas" in str(result.warning)


def test_a_short_answer_is_filled_up_from_what_it_did_not_say(house: Any) -> None:
    first, *more = GOOD.split(". ")
    asked = writes(house, f"{first}.", ". ".join(more))
    result = run(house, SummarizeRequest(TEXT, 30, model=WRITER))
    assert is_near(result.words, 30) and len(asked) == 2
    assert "1742" not in asked[1].messages[0].content and "90,000" in asked[1].messages[0].content


def test_a_long_answer_is_stopped_and_cut_to_whole_sentences(house: Any) -> None:
    writes(house, TEXT)
    result = run(house, SummarizeRequest(TEXT, 20, model=WRITER))
    assert is_near(result.words, 20) and result.text[-1] in ".…"


def test_where_the_length_cannot_be_had_the_note_says_so(house: Any) -> None:
    asked = writes(house, "A group of musicians turned them into concert halls.")
    result = run(house, SummarizeRequest(TEXT, 60, model=WRITER))
    assert result.words == 9 and "not 60" in str(result.note) and len(asked) == written.ATTEMPTS


def test_a_model_that_says_nothing_is_told(house: Any) -> None:
    writes(house, " ")
    with pytest.raises(NotReadyError):
        run(house, SummarizeRequest(TEXT, model=WRITER))


def test_a_long_text_is_written_from_notes_on_its_parts(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(written, "PART_WORDS", 100)
    text = " ".join(f"On day {n} the crew of the ship counted {n + 20} whales near the coast." for n in range(1, 41))

    def say(request: Any) -> str:
        body = request.messages[0].content
        return body[: body.index(".") + 1]

    house.backend.say = say
    events = list(APPLICATION.stream(house.engine, SummarizeRequest(text, 15, model=WRITER), HOST))
    result = events[-1].result
    assert result.parts > 3 and result.text.startswith("On day 1 ")
    assert max(event.parts for event in events if event.kind == "working") == result.parts


@pytest.mark.parametrize(
    ("model", "begins"),
    [("t5-small", "summarize: The harbour"), ("bart-large-cnn", "The harbour"), ("gemma-3-270m", "Article: The city")],
)
def test_each_kind_of_model_is_asked_in_its_own_form(house: Any, model: str, begins: str) -> None:
    asked = writes(house, GOOD)
    run(house, SummarizeRequest(TEXT, 30, model=model))
    assert asked[0].prompt.startswith(begins) and asked[0].prompt.count(TEXT) == 1


def test_an_example_is_not_taken_for_the_summary(house: Any) -> None:
    example = written.words_of_ours()["shots"]["en"]["summary"]
    writes(house, f"{example} {GOOD}")
    assert "Brackwater" not in run(house, SummarizeRequest(TEXT, 30, model="gemma-3-270m")).text


def test_a_language_that_the_model_does_not_know_is_told(house: Any) -> None:
    german = SAMPLES[3].text
    writes(house, german[: german.index(".") + 1])
    assert "German" in str(run(house, SummarizeRequest(german, 10, model=WRITER)).warning)
    assert writer_for(german) == "gemma-3-270m" and writer_for("") == writer_for(TEXT) == WRITER


def test_a_model_with_a_length_of_its_own_is_asked_once(house: Any) -> None:
    asked = writes(house, "A group of musicians turned them into concert halls.")
    result = run(house, SummarizeRequest(TEXT, None, model=WRITER))
    assert len(asked) == 1 and not result.note


def test_rouge_against_a_reference(house: Any) -> None:
    found = run(house, SummarizeRequest(TEXT, 30, reference=TEXT)).rouge
    assert set(found) == {"rouge1", "rouge2", "rougeL"} and 0 < found["rouge2"] < found["rouge1"] < 1
    assert run(house, SummarizeRequest(TEXT, 30)).rouge == {}
    assert APPLICATION.measure(["a b c"], ["a b c"]) == {"rouge1": 1.0, "rouge2": 1.0, "rougeL": 1.0}


@pytest.mark.parametrize(
    ("sentence", "language", "found"),
    [
        ("In 1742 Karin Ostberg built it.", "en", []),
        ("Ostberg's harbour has 90000 visitors.", "en", []),
        ("It cost 12 million and Reed paid.", "en", ["12", "Reed"]),
        ("Thomas Reed built it.", "en", ["Thomas", "Reed"]),
        ("Engineers built it in two centuries.", "en", []),
        ("It took seven years.", "en", ["seven"]),
        ("Der Hafen von Lindholm wurde 1743 gebaut.", "de", ["1743"]),
        ("这座港口建于1743年。", "zh", ["1743"]),
        ("", "en", []),
    ],
)
def test_names_and_numbers_are_looked_up_in_the_text(sentence: str, language: str, found: list[str]) -> None:
    text = TEXT + " Der Hafen wurde gebaut." if language == "de" else TEXT
    assert unsupported(sentence, text, language) == found


def test_sources_are_found_by_words_and_by_meaning() -> None:
    places = [Place("The council plans a footbridge.", 0, 30), Place("Bread costs two euros.", 31, 50)]
    (by_words,) = sources_of("A footbridge is what the council wants.", None, places, None)
    assert by_words.text.startswith("The council")
    vectors = np.array([[1.0, 0.0], [0.0, 1.0]], dtype=np.float32)
    (by_meaning,) = sources_of("Das Brot ist billig.", np.array([0.1, 0.99], dtype=np.float32), places, vectors)
    assert by_meaning.text.startswith("Bread")
    assert sources_of("Nothing of the kind.", None, places, None) == [] and overlap("", "a") == 0.0


def test_without_the_encoder_a_written_summary_still_has_sources(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    writes(house, GOOD)
    stream_all: Callable[..., Any] = house.engine.stream_all

    def refused(model_id: str, *about: Any, **options: Any) -> Any:
        if model_id == "multilingual-e5-small":
            raise NotReadyError("not here")
        return stream_all(model_id, *about, **options)

    monkeypatch.setattr(house.engine, "stream_all", refused)
    assert all(one.sources for one in run(house, SummarizeRequest(TEXT, 30, model=WRITER)).sentences)


def test_a_result_is_plain_json(house: Any) -> None:
    result = run(house, SAMPLES[0])
    assert json.loads(json.dumps(said(asdict(result))))["sentences"][0]["sources"][0]["text"] in TEXTS or result.words
