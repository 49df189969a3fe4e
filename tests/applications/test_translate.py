"""Translation on a scripted backend: order, layout, second tries, confidence, cancelling, limits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from itertools import permutations

import pytest
from fakes import HOST

from engine.applications import translate
from engine.applications.faults import find_fault, is_looping
from engine.applications.prompts import SHOTS, ask, few_shot_prompt
from engine.applications.translate import TranslateRequest
from engine.catalogue.models import read_catalogue
from engine.errors import InputError, NotFoundError, NotReadyError, PeopleError, TooLargeError, UnsupportedError
from engine.requests import Event, Generate, Generation

LETTER = "  Hello there. How are you?\n\n\t- It rains. 12.5 %\n\t- See www.site.org\n\nBye."


def asked(request: Generate) -> str:
    """The sentence in a few-shot prompt."""
    return request.prompt.rsplit("\n", 2)[1].partition(": ")[2]


def loudly(request: Generate) -> str:
    return f" {asked(request).upper()} \t"


def joined(events: list[Event]) -> str:
    text = ""
    for event in events:
        if event.kind == "replace":
            text = event.text
        elif event.kind == "text":
            text += event.text
    return text


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.005)


def test_layout_stays_as_it_was_and_the_stream_joins_to_the_result(house) -> None:
    house.backend.say = loudly
    events = list(translate.stream(house.engine, TranslateRequest(LETTER, "en", "fr"), HOST))
    (done,) = events[-1].result.translations
    assert done.text == "  HELLO THERE. HOW ARE YOU?\n\n\t- IT RAINS. 12.5 %\n\t- SEE WWW.SITE.ORG\n\nBYE."
    assert joined(events) == done.text
    assert [sentence.source for sentence in done.sentences][:2] == ["Hello there.", "How are you?"]
    assert done.score == pytest.approx(0.5) and done.source == "en" and done.warning == ""
    assert events[-1].result.settings["temperature"] == 0.0


def test_sentences_come_out_in_order_though_later_ones_are_ready_first(house) -> None:
    later = threading.Event()

    def gate(request: Generate) -> None:
        if asked(request).startswith("First"):
            assert later.wait(10)
        if asked(request).startswith("Third"):
            later.set()

    house.backend.say, house.backend.gate = loudly, gate
    text = "First one. Second one. Third one."
    events = list(translate.stream(house.engine, TranslateRequest(text, "en", "de"), HOST))
    assert joined(events) == "FIRST ONE. SECOND ONE. THIRD ONE."


def test_closing_the_stream_cancels_every_sentence(house) -> None:
    opened, at_gate = threading.Event(), []

    def gate(request: Generate) -> None:
        if not asked(request).startswith("One"):
            at_gate.append(asked(request))
            assert opened.wait(10)

    house.backend.say, house.backend.gate = lambda request: "x" * 100, gate
    text = "One is here. " + "Two is here. Three is here. " * 5
    stream = translate.stream(house.engine, TranslateRequest(text, "en", "fr"), HOST)
    while next(stream).kind != "text":
        pass
    until(lambda: len(at_gate) >= 2)
    stream.close()
    opened.set()
    until(lambda: house.engine.status().models[0].running == 0)
    assert len(at_gate) <= 3 and house.backend.reasons.count("cancelled") == len(at_gate)
    assert house.engine.status().models[0].queued == 0


def test_numbers_addresses_and_signs_pass_through_without_a_model(house) -> None:
    text = "12.5 %\n--- \nhttps://example.org 3/4 me@example.org\n"
    result = translate.APPLICATION.run(house.engine, TranslateRequest(text, "auto", "fr"), HOST)
    assert result.translations[0].text == text
    assert result.translations[0].score is None
    assert house.backend.seen == []


def test_chinese_is_joined_without_spaces_and_split_with_them(house) -> None:
    house.backend.say = lambda request: "这是一句话。"
    to_chinese = translate.APPLICATION.run(
        house.engine, TranslateRequest("One is here. Two is here.\nThree.", "en", "zh"), HOST
    )
    assert to_chinese.translations[0].text == "这是一句话。这是一句话。\n这是一句话。"
    house.backend.say = lambda request: "A sentence."
    from_chinese = translate.APPLICATION.run(
        house.engine, TranslateRequest("你好。我叫李明！\n再见。", "zh", "en"), HOST
    )
    assert from_chinese.translations[0].text == "A sentence. A sentence.\nA sentence."


def test_many_texts_are_translated_at_once_and_in_order(house) -> None:
    house.backend.say = loudly
    result = translate.APPLICATION.run(
        house.engine, TranslateRequest(["One here.", "Two. Three.", "7"], "en", "es"), HOST
    )
    assert [done.text for done in result.translations] == ["ONE HERE.", "TWO. THREE.", "7"]
    kinds = {event.kind for event in translate.stream(house.engine, TranslateRequest(["One here."], "en", "es"), HOST)}
    assert kinds <= {"queued", "loading", "done"}


@pytest.mark.parametrize(
    "first",
    ["", "le chat le chat le chat le chat", ("Le début", "length"), "The cat sat on the mat again."],
    ids=["empty", "loop", "length", "echo"],
)
def test_a_broken_sentence_is_tried_again_in_another_way(house, first) -> None:
    def say(request: Generate):
        if not asked(request).startswith("The cat"):
            return "Bonjour."
        return first if request.sampling.repetition_penalty == 1.0 else "Le chat est assis."

    house.backend.say = say
    events = list(
        translate.stream(house.engine, TranslateRequest("Hello. The cat sat on the mat again.", "en", "fr"), HOST)
    )
    (done,) = events[-1].result.translations
    assert done.text == joined(events) == "Bonjour. Le chat est assis."
    assert [sentence.is_second_try for sentence in done.sentences] == [False, True]
    assert done.warning == ""
    first_prompt, second_prompt = (r.prompt for r in house.backend.seen if asked(r).startswith("The cat"))
    assert first_prompt != second_prompt


def test_what_stays_broken_is_kept_and_flagged(house) -> None:
    house.backend.say = lambda request: "la la la la la la"
    events = list(translate.stream(house.engine, TranslateRequest("The cat sat on the mat.", "en", "fr"), HOST))
    (done,) = events[-1].result.translations
    assert done.text == joined(events) == "la la la la la la"
    assert "repeats itself" in str(done.warning) and done.sentences[0].warning == done.warning
    assert not done.sentences[0].is_second_try
    assert len(house.backend.seen) == 2


def test_a_second_try_that_fails_keeps_the_first(house) -> None:
    def say(request: Generate) -> str:
        if request.sampling.repetition_penalty != 1.0:
            raise NotReadyError("No memory left.")
        return "la la la la la"

    house.backend.say = say
    (done,) = translate.APPLICATION.run(
        house.engine, TranslateRequest("The cat sat here.", "en", "fr"), HOST
    ).translations
    assert done.text == "la la la la la" and "repeats itself" in str(done.warning)


def test_a_passed_time_limit_is_said_and_not_tried_again(house) -> None:
    house.backend.say = lambda request: ("Le ch", "deadline")
    (done,) = translate.APPLICATION.run(
        house.engine, TranslateRequest("The cat sat here.", "en", "fr"), HOST
    ).translations
    assert done.text == "Le ch" and "time limit" in str(done.warning) and len(house.backend.seen) == 1


def test_faults_are_not_seen_where_there_are_none() -> None:
    def fault(source: str, text: str, target: str = "fr") -> str:
        return find_fault(source, Generation(text, "stop", 1, 1, {}), target)

    assert fault("Hello.", "Bonjour.") == ""
    assert fault("Berlin", "Berlin") == ""
    assert fault("No no no no no!", "Non non non non non !") == ""
    assert fault("GitHub", "GitHub", "zh") == ""
    assert fault("The committee will meet on Monday.", "The committee will meet.", "zh") != ""
    assert fault("我们明天八点见面。", "我们明天八点见面。", "en") != ""
    assert is_looping("a b " * 4) and is_looping("哈哈哈哈") and not is_looping("very very good")


def test_a_pair_has_the_embedded_model_that_was_made_for_it(house) -> None:
    house.backend.say = lambda request: request.prompt.upper()
    for text, source, target, model in (
        ("The cat sleeps.", "en", "pt", "firefox-en-pt"),
        ("O gato está a dormir na cozinha.", "auto", "en", "firefox-pt-en"),
        ("Le chat dort dans la cuisine.", "fr", "es", "gemma-3-270m"),
    ):
        result = translate.APPLICATION.run(house.engine, TranslateRequest(text, source, target), HOST)
        assert result.model == model


def test_a_pair_without_a_model_of_its_own_goes_through_english(house, monkeypatch) -> None:
    """With the French and German students of the registry at hand."""
    here = {"gemma-3-270m", "mozilla-fr-en", "mozilla-en-de"}
    monkeypatch.setattr(house.engine.catalogue, "is_ready", lambda model_id: model_id in here)
    house.backend.say = lambda request: f"<{request.prompt}>"
    events = list(translate.stream(house.engine, TranslateRequest("Un. Deux.\n", "fr", "de"), HOST))
    result = events[-1].result
    assert (result.via, result.model) == ("mozilla-fr-en", "mozilla-en-de")
    assert joined(events) == result.translations[0].text == "<<Un.> <Deux.>>\n"
    assert result.translations[0].source == "fr"
    rows = translate.APPLICATION.run(house.engine, TranslateRequest(["Un.", "Deux."], "fr", "de"), HOST)
    assert [(one.sentences[0].source, one.text) for one in rows.translations] == [
        ("Un.", "<<Un.>>"), ("Deux.", "<<Deux.>>"),
    ]  # fmt: skip


def test_literals_are_kept_from_the_model_and_shown_again(house) -> None:
    house.backend.say = lambda request: request.prompt.replace("Pay", "Pague").replace("at", "em")
    asked = TranslateRequest("Pay €5 at https://x.org today. Hello.", "en", "pt")
    events = list(translate.stream(house.engine, asked, HOST))
    assert house.backend.seen[0].prompt == "Pay X1 at X2 today."
    assert joined(events) == events[-1].result.translations[0].text
    assert joined(events) == "Pague 5\u00a0€ em https://x.org today. Hello."
    assert not any("X1" in event.text for event in events)


def test_a_word_alone_that_came_back_doubled_is_asked_for_with_a_full_stop(house) -> None:
    house.backend.say = lambda request: "Hello." if request.prompt.endswith(".") else "Hello, the hello"
    (done,) = translate.APPLICATION.run(house.engine, TranslateRequest("Olá", "pt", "en"), HOST).translations
    assert done.text == "Hello" and done.sentences[0].is_second_try and not done.warning


def test_a_detected_language_is_reported_and_an_unclear_one_asked_for(house) -> None:
    house.backend.say = loudly
    result = translate.APPLICATION.run(house.engine, TranslateRequest("Il fera beau demain matin.", target="en"), HOST)
    assert result.translations[0].source == "fr"
    with pytest.raises(InputError, match="Choose the source language") as caught:
        translate.APPLICATION.run(house.engine, TranslateRequest("ok", target="fr"), HOST)
    assert caught.value.param == "source"


@pytest.mark.parametrize(
    ("request_", "error", "param"),
    [
        (TranslateRequest(""), InputError, "text"),
        (TranslateRequest(" \n"), InputError, "text"),
        (TranslateRequest(7), InputError, "text"),  # type: ignore[arg-type]
        (TranslateRequest([]), InputError, "text"),
        (TranslateRequest(["ok", " "], "en"), InputError, "text[1]"),
        (TranslateRequest("x" * 2_001, "en"), TooLargeError, "text"),
        (TranslateRequest(["x"] * 51, "en"), TooLargeError, "text"),
        (TranslateRequest("Hello.", "xx"), InputError, "source"),
        (TranslateRequest("Hello.", "en", "xx"), InputError, "target"),
        (TranslateRequest("Hello.", "en", "en"), InputError, "target"),
        (TranslateRequest("Hello there, my friend.", "auto", "en"), InputError, "target"),
        (TranslateRequest("Hello.", "en", "fr", "no-such-model"), NotFoundError, "model"),
        (TranslateRequest("Hello.", "en", "fr", "sentiment-minilm"), UnsupportedError, "model"),
        (TranslateRequest("Hallo.", "de", "en", "opus-mt-en-de"), UnsupportedError, "model"),
        (TranslateRequest("Hallo.", "de", "en", "t5-small"), UnsupportedError, "source"),
        (TranslateRequest("Hola.", "es", "en", "t5-small"), InputError, "source"),
    ],
)
def test_errors_name_their_field(house, request_: TranslateRequest, error: type[PeopleError], param: str) -> None:
    with pytest.raises(error) as caught:
        translate.APPLICATION.run(house.engine, request_, HOST)
    assert caught.value.param == param
    assert house.backend.seen == []


def test_every_ordered_pair_has_a_prompt_whose_beginning_stays_the_same() -> None:
    assert {len(shots) for shots in SHOTS.values()} == {len(SHOTS["en"])}
    for source, target in permutations(SHOTS, 2):
        first, second = (few_shot_prompt(source, target, text) for text in ("One.", "Two."))
        assert first.partition("One.")[0] == second.partition("Two.")[0]
        assert all(shot in first for shot in (*SHOTS[source], *SHOTS[target]))


def test_each_style_of_model_is_asked_in_its_own_form() -> None:
    catalogue = read_catalogue()

    def prompt(model_id: str, target: str = "de") -> Generate:
        return ask(catalogue.find(model_id), "Hello.", "en", target)

    assert prompt("t5-small").prompt == "translate English to German: Hello."
    assert prompt("opus-mt-en-de").prompt == "Hello."
    assert prompt("opus-mt-en-zh", "zh").prompt == ">>cmn_Hans<< Hello."
    codes = prompt("m2m100-418m")
    assert (codes.prompt, codes.source, codes.target) == ("Hello.", "en", "de")
    few = prompt("gemma-3-270m")
    assert few.sampling.stop == ("\n",) and few.is_scored and few.sampling.temperature == 0
    chat = ask(catalogue.find("smollm2-360m-instruct"), "Hello.", "en", "de")
    assert "German" in chat.messages[-1].content


def test_languages_are_those_of_the_model() -> None:
    catalogue = read_catalogue()
    assert translate.languages_of(catalogue.find("gemma-3-270m")) == ["en", "fr", "de", "es", "zh"]
    assert translate.languages_of(catalogue.find("opus-mt-de-fr")) == ["fr", "de"]
    assert {"it", "ja", "ar"} <= set(translate.languages_of(catalogue.find("m2m100-418m")))


def test_metrics_know_a_perfect_and_a_wrong_translation() -> None:
    good = ["The cat sat on the mat today."]
    assert translate.APPLICATION.metrics["bleu"](good, good) == pytest.approx(100)
    assert translate.APPLICATION.metrics["chrf"](["Nothing alike"], good) < 20
    assert translate.APPLICATION.metrics["bleu"](["猫坐在垫子上。"], ["猫坐在垫子上。"], "zh") == pytest.approx(100)
