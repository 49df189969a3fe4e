"""Translation on a scripted backend: order, layout, second tries, confidence, cancelling, limits."""

from __future__ import annotations

import threading
import time
import tomllib
from collections.abc import Callable
from itertools import permutations
from pathlib import Path

import pytest
from fakes import HOST

from engine.applications import phrases, translate
from engine.applications.directions import languages_of
from engine.applications.faults import find_fault, is_looping
from engine.applications.phrases import agreed, is_phrase
from engine.applications.prompts import SHOTS, ask, few_shot_prompt
from engine.applications.translate import TranslateRequest
from engine.applications.wrapping import unwrapped, wrapped
from engine.catalogue.models import read_catalogue
from engine.errors import InputError, NotFoundError, NotReadyError, PeopleError, TooLargeError, UnsupportedError
from engine.requests import Event, Generate, Generation

LETTER = "  Look there. Who are you?\n\n\t- It rains. 12.5 %\n\t- See www.site.org\n\nGone."


def asked(request: Generate) -> str:
    """The sentence in a prompt with names, with or without examples before it."""
    return request.prompt.splitlines()[-2].partition(": ")[2]


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
    assert done.text == "  LOOK THERE. WHO ARE YOU?\n\n\t- IT RAINS. 12.5 %\n\t- SEE www.site.org\n\nGONE."
    assert joined(events) == done.text
    assert [sentence.source for sentence in done.sentences][:2] == ["Look there.", "Who are you?"]
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
        house.engine, TranslateRequest("天很好。我叫李明！\n下雨了。", "zh", "en"), HOST
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


def test_addresses_and_code_have_no_script() -> None:
    def fault(source: str, text: str, target: str) -> str:
        return str(find_fault(source, Generation(text, "stop", 1, 1, {}), target))

    where = "#4521 at https://example.org/a?b=1 or write to mail@example.org"
    assert fault(f"See {where}.", "见#4521，https://example.org/a?b=1或写信给mail@example.org。", "zh") == ""
    assert "untranslated" in fault("See the ticket, or write to us.", "See the ticket, or write to us now.", "zh")
    code = " ".join(f"`call_{number}()`" for number in range(20))
    assert fault(f"Nimm {code} nun.", f"Take {code} now.", "en") == ""


def test_a_text_that_repeats_itself_is_not_tried_again(house) -> None:
    house.backend.say = lambda request: "ha " * 40
    (done,) = translate.APPLICATION.run(house.engine, TranslateRequest("哈" * 100, "zh", "en"), HOST).translations
    assert "repeats itself" in str(done.warning) and len(house.backend.seen) == 1
    assert house.backend.seen[0].ends_loops


@pytest.mark.parametrize(
    ("text", "source", "target", "expected", "asked_for"),
    [("- German: Der Hund bellt.", "de", "en", "- German: DER HUND BELLT.", ["Der Hund bellt."]),
     ("Deutsch: Es regnet. ENGLISH: Rain", "de", "es", "Alemán: ES REGNET. INGLÉS: RAIN", ["Es regnet.", "Rain"]),
     ("It rains. CHINESE: Rain", "en", "fr", "IT RAINS. CHINOIS\u00a0: RAIN", ["It rains.", "Rain"]),
     ("English: Hi Tom", "en", "zh", "英语：HI TOM", ["Hi Tom"]), ("Name: Tom", "en", "de", "NAME: TOM", ["Name: Tom"]),
     ("Spanish:\nBye now\nFrench:", "en", "zh", "西班牙语：\nBYE NOW\n法语：", ["Bye now"])],
)  # fmt: skip
def test_a_languages_name_before_a_text_is_kept_from_the_model(
    house, text: str, source: str, target: str, expected: str, asked_for: list[str]
) -> None:
    house.backend.say = loudly
    request = TranslateRequest(text, source, target, "gemma-3-270m")
    events = list(translate.stream(house.engine, request, HOST))
    assert events[-1].result.translations[0].text == joined(events) == expected
    assert list(dict.fromkeys(map(asked, house.backend.seen)))[: len(asked_for)] == asked_for


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
    words = {"Un chien noir dort.": "A black dog sleeps.", "A black dog sleeps.": "Ein schwarzer Hund schläft."}
    house.backend.say = lambda request: words.get(request.prompt, "Zwei Katzen spielen dort.")
    text = "Un chien noir dort. Deux chats jouent ensemble là.\n"
    events = list(translate.stream(house.engine, TranslateRequest(text, "fr", "de"), HOST))
    result = events[-1].result
    assert (result.via, result.model) == ("mozilla-fr-en", "mozilla-en-de")
    assert [event.part for event in events if event.kind == "working"] == [1, 2, 3, 4]
    scores = [one.score for one in (result.translations[0], *result.translations[0].sentences)]
    assert scores == pytest.approx([0.5] * 3), "as sure as the less sure leg, not half as sure as each"
    expected = "Ein schwarzer Hund schläft. Zwei Katzen spielen dort.\n"
    assert joined(events) == result.translations[0].text == expected
    assert result.translations[0].source == "fr"
    rows = translate.APPLICATION.run(house.engine, TranslateRequest([" ", "Un chien noir dort."], "fr", "de"), HOST)
    bad, good = rows.translations
    assert (good.sentences[0].source, good.text) == ("Un chien noir dort.", "Ein schwarzer Hund schläft.")
    assert bad.text == " " and bad.warning


def test_literals_are_kept_from_the_model_and_shown_again(house) -> None:
    house.backend.say = lambda request: request.prompt.replace("Pay", "Pague").replace("at", "em")
    asked = TranslateRequest("Pay €5 at https://x.org today. Go.", "en", "pt")
    events = list(translate.stream(house.engine, asked, HOST))
    assert house.backend.seen[0].prompt == "Pay X1 at X2 today."
    assert joined(events) == events[-1].result.translations[0].text
    assert joined(events) == "Pague 5\u00a0€ em https://x.org today. Go."
    assert not any("X1" in event.text for event in events)


@pytest.mark.parametrize(
    ("text", "first", "second"),
    [
        # a mark that was lost is no mark again, where the vocabulary can write what it stands for
        ("Run `ls` and open https://x.org/b now.", "Run X1 and open now.", "Run X1 and open https://x.org/b now."),
        # a number that was lost becomes one
        ("We leave at 6:45 from gate B12.", "We leave at 645 from gate X1.", "We leave at X1 from gate X2."),
        ("It costs €50 for 450 people.", "It costs X1 for many people.", "It costs X1 for X2 people."),
    ],
)
def test_a_second_try_of_a_small_translator_keeps_what_the_first_lost(
    house, text: str, first: str, second: str
) -> None:
    def say(request: Generate) -> str:
        return in_portuguese(request.prompt if request.prompt == second else first)

    house.backend.say = say
    (done,) = translate.APPLICATION.run(house.engine, TranslateRequest(text, "en", "pt"), HOST).translations
    assert [request.prompt for request in house.backend.seen][-1] == second
    assert done.text == in_portuguese(text.replace("€50", "50\u00a0€"))
    assert not done.warning and done.sentences[0].is_second_try


def in_portuguese(text: str) -> str:
    words = {"We leave at": "Partimos às", "from gate": "da porta", "It costs": "Custa", "for": "para", "now": "agora"}
    words |= {"people": "pessoas", "Run": "Execute", "and open": "e abra", "many": "muitas"}
    for english, portuguese in words.items():
        text = text.replace(english, portuguese)
    return text


def test_a_word_alone_that_came_back_doubled_is_asked_for_with_a_full_stop(house) -> None:
    house.backend.say = lambda request: "Hello." if request.prompt.endswith(".") else "Hello, the hello"
    (done,) = translate.APPLICATION.run(house.engine, TranslateRequest("Chapéu", "pt", "en"), HOST).translations
    assert done.text == "Hello" and done.sentences[0].is_second_try and not done.warning


@pytest.mark.parametrize(
    ("text", "target", "source", "is_guessed"),
    [("Il fera beau demain matin.", "en", "fr", False), ("Hello", "fr", "en", False), ("Gracias", "en", "es", False),
     ("Computer", "en", "de", True), ("Invoice 2024", "fr", "en", True)],
)  # fmt: skip
def test_a_detected_language_is_reported_a_guess_as_one(
    house, text: str, target: str, source: str, is_guessed: bool
) -> None:
    house.backend.say = loudly
    (done,) = translate.APPLICATION.run(house.engine, TranslateRequest(text, target=target), HOST).translations
    assert (done.source, done.is_guessed) == (source, is_guessed)


@pytest.mark.parametrize(
    ("text", "target", "source"),
    [("Hola {name}, escribe a ana@example.org a las 12:30. `code()` <eos>", "pt", "es"),
     (["Bom dia a todos, tudo bem?", "Good morning to all of you."], "pt", "en")],
)  # fmt: skip
def test_the_way_is_chosen_by_the_words_alone_and_never_from_a_language_to_itself(
    text: str | list[str], target: str, source: str
) -> None:
    assert translate.direction_of(read_catalogue(), TranslateRequest(text, target=target))[0] == source
    with pytest.raises(InputError, match="already in Portuguese"):
        translate.route_for(read_catalogue(), TranslateRequest("Bom dia a todos, tudo bem com você?", target="pt"))


@pytest.mark.parametrize(
    ("text", "said"),
    [("Jó reggelt kívánok, hogy van?", r"looks Hungarian.*Download Firefox Translations hu → en \(16 MB\)"),
     ("Jó napot", "looks Hungarian.*hu → en"), ("明日は天気がいいです。", "Japanese.*ja → en"),
     ("Bon dia", r"looks Catalan.*Download Firefox Translations ca → en \(25 MB\)"),
     ("Dia dhuit", "looks Irish.*Download M2M100"), ("Kaixo", "looks Basque.*Download NLLB")],
)  # fmt: skip
def test_a_language_that_cannot_be_done_is_named_and_who_can(house, text: str, said: str) -> None:
    for model in (None, "gemma-3-270m"):
        with pytest.raises(InputError, match=said) as caught:
            translate.APPLICATION.run(house.engine, TranslateRequest(text, target="en", model=model), HOST)
        assert caught.value.param == "source"


def test_what_another_model_here_translates_is_told(house) -> None:
    asked = TranslateRequest("Jó reggelt, hogy vagy ma?", target="pt", model="firefox-en-pt")
    with pytest.raises(InputError, match=r"looks Hungarian.*Download Firefox Translations hu → en"):
        translate.APPLICATION.run(house.engine, asked, HOST)
    asked = TranslateRequest("Das Wetter wird morgen schön.", target="en", model="firefox-pt-en")
    with pytest.raises(InputError, match=r"looks German.*Gemma 3 270M Translator on this machine can"):
        translate.APPLICATION.run(house.engine, asked, HOST)
    with pytest.raises(UnsupportedError, match=r"Hungarian to English\. Download Firefox Translations hu → en"):
        translate.APPLICATION.run(house.engine, TranslateRequest("Bot", "hu", "en"), HOST)


SERVED = r"English \(en\), French \(fr\), German \(de\), Spanish \(es\), Chinese \(zh\), Portuguese \(pt\)\.$"


@pytest.mark.parametrize(
    ("asked", "said"),
    [(TranslateRequest("Hi.", "xx", "fr"), rf"^source is 'xx', which no model here .* one of {SERVED}"),
     (TranslateRequest("Hi.", "en", "auto"), rf"^target is 'auto', .*{SERVED}"),
     (TranslateRequest("Hi.", "auto", "xx"), rf"^target is 'xx', .*{SERVED}"),
     (TranslateRequest("Быстрая лиса прыгает.", "auto", "en"), r"^The text looks Russian, which no model here trans"),
     (TranslateRequest("Hi.", "de", "en", "student-en-fr"), r"translates only English to French"),
     (TranslateRequest("Hi.", "xx", "en", "student-en-fr"), r"translates only English to French"),
     (TranslateRequest("Le chat dort ici.", "auto", "en", "gemma-3-270m-translator"),
      r"^The text looks French, which Gemma 3 270M Translator does not .* can: leave the choice of the model open")],
)  # fmt: skip
def test_no_model_is_named_that_nobody_chose(house, asked: TranslateRequest, said: str) -> None:
    for request in (asked, TranslateRequest([str(asked.text)], asked.source, asked.target, asked.model)):
        with pytest.raises(PeopleError, match=said):
            translate.APPLICATION.run(house.engine, request, HOST)
    assert house.backend.seen == []


def test_of_several_texts_one_in_another_language_is_told_so_without_a_model(house) -> None:
    house.backend.say = lambda request: "The cat."
    rows = ["O gato está a dormir na cozinha.", "Die Katze schläft heute in der Küche."]
    done = translate.APPLICATION.run(house.engine, TranslateRequest(rows, "auto", "en"), HOST)
    warnings = [str(one.warning) for one in done.translations]
    assert sorted(map(bool, warnings)) == [False, True] and "and others do not" in "".join(warnings)


def test_a_batch_takes_the_model_of_what_can_be_done(house) -> None:
    house.backend.say = lambda request: "Feito."
    rows = TranslateRequest(["Jó napot", "The cat sleeps in the kitchen."], target="pt")
    result = translate.APPLICATION.run(house.engine, rows, HOST)
    assert result.model == "firefox-en-pt" and [one.text for one in result.translations] == ["Jó napot", "Feito."]
    assert "looks Hungarian" in str(result.translations[0].warning)


FRENCH = {
    "The file report.pdf is at https://x.org.": "Le fichier X1 est ici.",
    "Call +44 20 7946 0958 at 17:30.": "Appelez le X1 à 17h30.",
    "The total is 1,234.50 euros.": "Le total est de 1 234 euros.",
    "Press the red button.": "Appuyez sur {name} le bouton rouge.",
    "It is 12 degrees.": "Il fait 12 degrés, comme en 1998.",
}


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        (text, warning)
        for text, warning in zip(FRENCH, ("https://x.org", "", "1,234.50", "{name}", "1998"), strict=True)
    ],
)
def test_what_is_lost_or_invented_makes_a_second_try_and_then_a_warning(house, text: str, warning: str) -> None:
    said = {one[:5]: two for one, two in FRENCH.items()}
    house.backend.say = lambda request: said[asked(request)[:5]]
    (done,) = translate.APPLICATION.run(house.engine, TranslateRequest(text, "en", "fr"), HOST).translations
    assert len(house.backend.seen) == (2 if warning else 1)
    assert (warning in str(done.warning)) if warning else not done.warning
    assert done.doubts() == ([(0, len(done.text))] if warning else [])


def test_a_literal_that_the_second_try_keeps_is_kept(house) -> None:
    house.backend.say = lambda request: "Écrivez." if "X1" in request.prompt else "Écrivez à anna@x.org."
    (done,) = translate.APPLICATION.run(
        house.engine, TranslateRequest("Write to anna@x.org.", "en", "fr"), HOST
    ).translations
    assert done.text == "Écrivez à anna@x.org." and done.sentences[0].is_second_try and not done.warning


def test_capitals_are_translated_in_normal_case_and_set_back(house) -> None:
    house.backend.say = lambda request: "Le musée est fermé X1." if "museum" in request.prompt else "L'OTAN ?"
    text = "THE MUSEUM IS CLOSED {NAME}. NATO?"
    (done,) = translate.APPLICATION.run(house.engine, TranslateRequest(text, "en", "fr"), HOST).translations
    assert asked(house.backend.seen[0]) == "The museum is closed X1."
    assert done.text == "LE MUSÉE EST FERMÉ {NAME}. L'OTAN ?"


MAIL = (
    "Dear Ana,\n\nI am writing to you because the train that I wanted to\ntake on Monday was cancelled, and so I will "
    "come on the\nnext day instead.\n\nTom"
)


def test_lines_wrapped_in_mid_sentence_are_joined_and_wrapped_again(house) -> None:
    house.backend.say = loudly
    events = list(translate.stream(house.engine, TranslateRequest(MAIL, "en", "fr"), HOST))
    (done,) = events[-1].result.translations
    assert done.text == joined(events) == MAIL.upper()
    assert len({asked(request) for request in house.backend.seen}) == 3 and done.sentences[1].source.count("\n") == 0


@pytest.mark.parametrize(
    "text",
    ["- one thing that is long enough to be a wrapped line\n- another thing that is long enough for one",
     "The leaves come down without a sound and so they go,\nThey paint the garden gold and red and white as snow,",
     "| name of the thing in this table | what it costs in euros\n| bread | three",
     "Short lines\nare left alone\nhowever they end",
     "An old silent pond\na frog jumps into the pond\nsplash! Silence again.",
     "apples\nbananas\nbread and butter", "milk and two eggs\nbread from the shop\nbutter",
     "The rain came down upon the hill\nand all the little birds were still\nand no one heard them until\nthe moon.",
     "I walked along the river,\nand I saw the morning,\nand it was so bright.",
     "Ana Silva\nRua do Sol 12\nlisboa", "Name of the guest: Ana\nnumber of nights: two",
     "one small step for\n\nanother paragraph of it", "Open the window\nClose the door now\nLock it"],
)  # fmt: skip
def test_lists_tables_and_verses_are_not_joined(text: str) -> None:
    assert unwrapped(text) == (text, {})


@pytest.mark.parametrize(
    "text",
    ["The train leaves at nine\nand we will wait for you\nat the old station.",
     "Please send me the report\nbefore Friday.",
     "please send me the report\nbefore friday",
     "I wanted to tell you that\nthe meeting on Thursday\nhas been moved to the\nsmall room upstairs.",
     "Le musée est fermé le\nlundi, mais le jardin\nreste ouvert.",
     "Wir treffen uns morgen am\nBahnhof und fahren dann\nmit dem Zug nach Berlin.",
     "It rained. We stayed in\nand read. Then the sun\ncame out again."],
)  # fmt: skip
def test_narrow_lines_wrapped_in_mid_sentence_are_joined(text: str) -> None:
    joined_text, widths = unwrapped(text)
    assert joined_text == text.replace("\n", " ") and wrapped(joined_text, widths, "en") == text


def test_a_bad_row_never_fails_a_batch(house) -> None:
    def say(request: Generate) -> str:
        if "secret" in request.prompt:
            raise InputError("The prompt has too many tokens.")
        return loudly(request)

    house.backend.say = say
    rows = ["One is here.", " ", "A secret. And more.", "x" * 2_001, "Jó reggelt kívánok, hogy van?", "Two is here."]
    rows += [None, 7, 1.5, True, ["a"], {"b": "c"}]
    was = [*rows[:6], "", "7", "1.5", "true", "", ""]
    no_texts = set(range(6, 12))
    for source, bad in (("auto", {1, 2, 3, 4}), ("en", {1, 2, 3})):
        done = translate.APPLICATION.run(house.engine, TranslateRequest(rows, source, "fr"), HOST).translations
        assert {place for place, one in enumerate(done) if one.text == was[place] and one.warning} == bad | no_texts
        assert (done[0].text, done[5].text) == ("ONE IS HERE.", "TWO IS HERE.")
    with pytest.raises(InputError, match=r"text\[0\] must be text"):
        translate.APPLICATION.run(house.engine, TranslateRequest([None, 7], "en", "fr"), HOST)


def test_a_busy_engine_fails_the_whole_batch(house) -> None:
    def say(request: Generate) -> str:
        raise NotReadyError("No memory left.")

    house.backend.say = say
    with pytest.raises(NotReadyError):
        translate.APPLICATION.run(house.engine, TranslateRequest(["One is here.", "Two is here."], "en", "fr"), HOST)


@pytest.mark.parametrize(
    ("source", "text", "target", "is_seen"),
    [
        (
            "Please send me the report before the end of the week.",
            "Bitte senden Sie mir the report before the end.",
            "de",
            True,
        ),
        ("我们明天八点见面，然后去图书馆。", "We meet 明天八点 at the library.", "en", True),
        ("Run `pip install a b c d e` to install it.", "`pip install a b c d e` ausführen.", "de", False),
        ("The United Nations Security Council met.", "Der United Nations Security Council tagte.", "de", False),
        ("See https://example.org/one/two/three/four now", "https://example.org/one/two/three/four voir", "fr", False),
    ],
)
def test_partly_untranslated_is_seen_and_code_is_not(source: str, text: str, target: str, is_seen: bool) -> None:
    fault = find_fault(source, Generation(text, "stop", 1, 1, {}), target)
    assert ("untranslated" in str(fault)) == is_seen


def test_code_stays_and_is_not_asked_for(house) -> None:
    house.backend.say = loudly
    text = "Do this:\n```\npip install it\n```\n$ make all\nx = 1\nprint(x)\n`code`\nThen go."
    (done,) = translate.APPLICATION.run(house.engine, TranslateRequest(text, "en", "fr"), HOST).translations
    assert done.text == text.replace("Do this", "DO THIS").replace("Then go", "THEN GO")
    assert len(house.backend.seen) == 2 and not done.warning


@pytest.mark.parametrize(
    ("text", "source", "target", "written", "shown", "is_common"),
    [("Hello", "en", "fr", "Oh", "Bonjour", True),
     ("hello world!", "en", "fr", "Mon monde", "bonjour le monde\u00a0!", True),
     ("Hi", "en", "es", "Mir", "Hola", True), ("GOOD MORNING", "en", "es", "Mir", "BUENOS DÍAS", True),
     ("How are you?", "en", "es", "Cómo eres?", "¿Cómo estás?", True),
     ("¿Cómo estás?", "es", "en", "How is it?", "How are you?", True),
     ("Gracias", "es", "en", "Thanks,", "Thanks", False),
     ("Good morning", "en", "zh", "早安", "早安", False), ("你好！", "zh", "en", "You okay", "Hello!", True),
     ("I’m sorry.", "en", "de", "Ich bin traurig.", "Entschuldigung.", True),
     ("Bitte", "de", "en", "Ask", "Please", True), ("Guten Tag!", "de", "en", "Good", "Hello!", True),
     ("Guten Tag", "de", "zh", "日", "你好", True), ("Guten Tag", "de", "en", "Good day", "Hello", True),
     ("Good afternoon", "en", "de", "Gut", "Guten Tag", True), ("Buenos días", "es", "en", "A", "Good morning", True),
     ("Hello dark world", "en", "fr", "Bonjour monde sombre", "Bonjour monde sombre", False)],
)  # fmt: skip
def test_a_common_phrase_is_said_as_it_is_known_to_be_said(
    house, text: str, source: str, target: str, written: str, shown: str, is_common: bool
) -> None:
    house.backend.say = lambda request: written
    request = TranslateRequest(text, source, target, "gemma-3-270m")
    *events, last = translate.stream(house.engine, request, HOST)
    (done,) = last.result.translations
    assert done.text == shown and not done.warning and done.sentences[0].is_common == is_common
    assert (done.score is None) == is_common, "how sure the model was of another text is no figure of this one"
    assert joined(events) == shown, "what a reader saw coming is exchanged"


def test_a_glossary_goes_before_what_is_known(house) -> None:
    house.backend.say = lambda request: request.prompt.rsplit("\n", 2)[-1]
    asked_for = TranslateRequest("Hello", "en", "fr", "student-en-fr", ["hello = allô"])
    (done,) = translate.APPLICATION.run(house.engine, asked_for, HOST).translations
    assert done.text == "Allô" and not done.sentences[0].is_common


def test_common_phrases_stand_in_the_same_line_in_each_language() -> None:
    file = tomllib.loads((Path(phrases.__file__).with_suffix(".toml")).read_text(encoding="utf-8"))["phrases"]
    assert len({len(lines.strip().split("\n")) for lines in file.values()}) == 1 and set(file) >= {
        "en",
        "fr",
        "es",
        "zh",
    }


PHRASES = {
    "Thanks": [
        ("Obrigado por", -0.41),
        ("Obrigado por uma mensagem.", -0.45),
        ("Obrigado!", -0.12),
        ('"Obrigado"', -0.02),
    ],
    "Casa": [
        ("A ssss.sr.", -0.55),
        ("The house is a house.", -0.28),
        ("The house is in a!", -0.34),
        ('"House "', -0.25),
    ],
    "Cat": [("Gato", -0.33), ("Cat.", -0.25), ("O gato!", -0.2), ('"Cat"', -0.04)],
    "Olá": [("Hello, the hello", -0.11), ("Hey.", -0.22), ("Hello!", -0.22), ('"Hello "', -0.25)],
    "How are you?": [("Como você está?", -0.18), ("Como você está", -0.29), ("Como é que você.", -0.32)],
    "congratulations!": [("parabéns pela", -0.4), ("Parabéns pelo seu blog.", -0.18), ("parabéns!", -0.09)],
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [*zip(PHRASES, ("Obrigado", "House", "Gato", "Hello", "Como você está?", "parabéns!"), strict=True)],
)
def test_a_phrase_is_what_most_of_its_translations_say(text: str, expected: str) -> None:
    made = [Generation(said, "stop", 1, 1, {}, mean_logprob=score) for said, score in PHRASES[text]]
    assert is_phrase(text) and agreed(text, made).text == expected
    assert not is_phrase("Four words are many.") and not is_phrase("X1 costs") and not is_phrase("12 apples")


@pytest.mark.parametrize(
    ("request_", "error", "param"),
    [
        (TranslateRequest(""), InputError, "text"),
        (TranslateRequest(" \n"), InputError, "text"),
        (TranslateRequest(7), InputError, "text"),  # type: ignore[arg-type]
        (TranslateRequest([]), InputError, "text"),
        (TranslateRequest([" ", ""], "en"), InputError, "text[0]"),
        (TranslateRequest("x" * 2_001, "en"), TooLargeError, "text"),
        (TranslateRequest(["x"] * 51, "en"), TooLargeError, "text"),
        (TranslateRequest("Hello.", "xx"), InputError, "source"),
        (TranslateRequest("Hello.", "en", "xx"), InputError, "target"),
        (TranslateRequest("Hello.", "en", "en"), InputError, "target"),
        (TranslateRequest("Hello there, my friend.", "auto", "en"), InputError, "target"),
        (TranslateRequest("Hello.", "en", "fr", "no-such-model"), NotFoundError, "model"),
        (TranslateRequest("Hello.", "en", "fr", "sentiment-e5"), UnsupportedError, "model"),
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
        assert first[0] == second[0] and "One." in first[1]
        assert all(shot in first[0] for shot in (*SHOTS[source], *SHOTS[target]))
    asked = ask(read_catalogue().find("gemma-3-270m"), "One.", "en", "fr")
    assert asked.prompt[: asked.common_characters] == few_shot_prompt("en", "fr", "Two.")[0]


def test_each_style_of_model_is_asked_in_its_own_form() -> None:
    catalogue = read_catalogue()

    def prompt(model_id: str, target: str = "de") -> Generate:
        return ask(catalogue.find(model_id), "Hello.", "en", target)

    assert prompt("t5-small").prompt == "translate English to German: Hello."
    assert prompt("opus-mt-en-de").prompt == "Hello."
    assert prompt("opus-mt-en-zh", "zh").prompt == ">>cmn_Hans<< Hello."
    codes = prompt("m2m100-418m")
    assert (codes.prompt, codes.source, codes.target) == ("Hello.", "en", "de")
    assert prompt("gemma-3-270m-translator", "zh").prompt == "English: Hello.\n中文:"
    few = prompt("gemma-3-270m")
    assert few.sampling.stop == ("\n",) and few.is_scored and few.sampling.temperature == 0
    chat = ask(catalogue.find("smollm2-360m-instruct"), "Hello.", "en", "de")
    assert "German" in chat.messages[-1].content


def test_languages_are_those_of_the_model() -> None:
    catalogue = read_catalogue()
    assert languages_of(catalogue.find("gemma-3-270m")) == ["en", "fr", "de", "es", "zh"]
    assert languages_of(catalogue.find("opus-mt-de-fr")) == ["fr", "de"]
    assert {"it", "ja", "ar"} <= set(languages_of(catalogue.find("m2m100-418m")))


def test_metrics_know_a_perfect_and_a_wrong_translation() -> None:
    good = ["The cat sat on the mat today."]
    assert translate.APPLICATION.metrics["bleu"](good, good) == pytest.approx(100)
    assert translate.APPLICATION.metrics["chrf"](["Nothing alike"], good) < 20
    assert translate.APPLICATION.metrics["bleu"](["猫坐在垫子上。"], ["猫坐在垫子上。"], "zh") == pytest.approx(100)
