"""Writing on a scripted backend: how each kind is asked of chat and base models, what acted, limits."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fakes import HOST

from engine.applications import write
from engine.applications.tidy import Tidy
from engine.applications.write import OPENINGS, ORDERS, TOKENS, Turn, WriteRequest, ask
from engine.catalogue.models import read_catalogue
from engine.errors import InputError, NotFoundError, PeopleError, TooLargeError, UnsupportedError
from engine.requests import Generate, Sampling
from pages.parts.decoding import PRESETS

CATALOGUE = read_catalogue()
WHALE = WriteRequest("a whale in the bay.", "story", "adventure", "hopeful")


def asked(request: WriteRequest, model_id: str = "smollm2-135m-instruct") -> Generate:
    return ask(CATALOGUE.find(model_id), request, 1_000)


def test_a_chat_model_gets_one_plain_order() -> None:
    (turn,) = asked(WHALE).messages
    assert turn.role == "user"
    assert turn.content == "Write a hopeful short adventure story about a whale in the bay."
    eerie = asked(replace(WHALE, kind="poem", tone="eerie", genre="", language="fr"))
    assert eerie.messages[0].content == "Write an eerie poem in French about a whale in the bay."


def test_a_chat_model_sees_slogans_first_and_ends_at_the_line() -> None:
    request = asked(WriteRequest("a bakery", "slogan", tone="cheerful"))
    assert [turn.role for turn in request.messages] == ["user", "assistant"] * 3 + ["user"]
    assert request.messages[-1].content == "Write a cheerful slogan of at most ten words for a bakery."
    assert request.sampling.stop == ("\n",) and request.sampling.max_new_tokens == TOKENS["slogan"]


def test_a_chat_model_sees_verse_first() -> None:
    for kind in ("poem", "lyrics"):
        request = asked(WriteRequest("snow", kind))  # type: ignore[arg-type]
        assert [turn.role for turn in request.messages] == ["user", "assistant", "user"]
        assert request.messages[1].content.count("\n") >= 3
        assert request.messages[-1].content.endswith(" about snow.")


def test_what_is_written_is_carried_on() -> None:
    request = replace(WHALE, continuation="It rose slowly and")
    assert (asked(request).messages[-1].role, asked(request).messages[-1].content) == (
        "assistant",
        "It rose slowly and",
    )
    assert asked(request, "gemma-3-270m").prompt.endswith(".\n\nIt rose slowly and")
    chat = asked(WriteRequest("Why?", "chat", system="Be brief.", continuation="Boats are"))
    assert [turn.content for turn in chat.messages] == ["Be brief.", "Why?", "Boats are"]
    free = WriteRequest("Once upon", "free", continuation=" a time")
    assert asked(free).prompt == asked(free, "gpt2").prompt == "Once upon a time"


@pytest.mark.parametrize("language", OPENINGS)
@pytest.mark.parametrize("kind", ORDERS)
def test_a_base_model_is_led_by_an_opening_in_the_language(language: str, kind: str) -> None:
    text = "das {Meer}" if language == "de" else "sea {0}"
    prompt = asked(WriteRequest(text, kind, language=language), "gemma-3-270m").prompt  # type: ignore[arg-type]
    assert text[1:] in prompt and "{text}" not in prompt and "{title}" not in prompt


def test_text_events_join_to_the_result_and_the_settings_are_those_that_acted(house) -> None:
    house.backend.say = lambda request: "The whale sang."
    events = list(write.stream(house.engine, replace(WHALE, temperature=0, top_p=0.5, seed=4), HOST))
    result = events[-1].result
    assert "".join(event.text for event in events if event.kind == "text") == result.text == "The whale sang."
    assert result.settings["temperature"] == 0 and result.settings["top_p"] == 1.0 and result.settings["seed"] == 4
    assert result.settings["max_new_tokens"] == TOKENS["story"]
    assert (result.model, result.finish_reason, result.new_tokens) == ("smollm2-135m-instruct", "stop", 15)


def test_the_first_words_that_are_ours_belong_to_the_text_of_a_base_model(house) -> None:
    house.backend.say = lambda request: " vivait un roi." if request.prompt.endswith("Il était une fois") else "?"
    request = WriteRequest("un roi", "story", language="fr")
    events = list(write.stream(house.engine, request, HOST))
    assert events[-1].result.text == "Il était une fois vivait un roi."
    assert "".join(event.text for event in events if event.kind == "text") == events[-1].result.text
    house.backend.say = lambda request: " Il était vieux." if request.prompt.endswith("vivait un roi.") else "?"
    more = write.APPLICATION.run(house.engine, replace(request, continuation=events[-1].result.text), HOST)
    assert more.text == " Il était vieux."


def test_songs_of_the_model_tuned_on_verse_begin_with_their_first_verse(house) -> None:
    house.backend.say = lambda request: "Rain." if request.messages[-1].content == "[Verse 1]\n" else "[Verse 2]"
    request = WriteRequest("rain", "lyrics")
    events = list(write.stream(house.engine, request, HOST))
    assert events[-1].result.text == "[Verse 1]\nRain."
    assert "".join(event.text for event in events if event.kind == "text") == events[-1].result.text
    assert write.lead(house.engine.catalogue.find("verse-smollm2"), replace(request, continuation="So far")) == ""


def test_the_default_model_follows_kind_and_language(house) -> None:
    house.backend.say = lambda request: "Fin."
    models = [
        write.APPLICATION.run(house.engine, WriteRequest("x", kind, language=language), HOST).model  # type: ignore[arg-type]
        for kind, language in (("poem", "en"), ("story", "en"), ("poem", "fr"), ("free", "en"))
    ]
    assert models == ["verse-smollm2", "smollm2-135m-instruct", "gemma-3-270m", "gemma-3-270m"]


def test_presets_are_allowed_and_neutral_filters_nothing() -> None:
    for preset in PRESETS.values():
        Sampling(**preset).resolved()  # type: ignore[arg-type]
    neutral = Sampling(**PRESETS["Neutral"])  # type: ignore[arg-type]
    assert (neutral.temperature, neutral.top_p, neutral.top_k, neutral.min_p, neutral.repetition_penalty) == (
        1,
        1,
        0,
        0,
        1,
    )


def test_the_classic_example_is_there() -> None:
    (classic,) = (sample for sample in write.SAMPLES if sample.model == "gpt2")
    assert (classic.text, classic.temperature, classic.max_new_tokens) == ("Once upon a time", 0.7, 200)


@pytest.mark.parametrize(
    ("written", "shown"),
    [("It was <start_of_image>late.", "It was late."), ("A <strong>bold</strong> word<br/>", "A bold word"),
     ("It isnâ€™t â€œtrueâ€\x9d.", "It isn’t “true”."), ("It isnâ€", "It isn"), ("A\ufffd star", "A star"),
     ("<|im_end|>Hello<unused7>[multimodal]</s>", "Hello"), ("1 < 2 and 3 > 2, [sic] <3", "1 < 2 and 3 > 2, [sic] <3"),
     ("Pâtés, château, NÃO, ÂGE", "Pâtés, château, NÃO, ÂGE"), ("cafÃ© noir", "café noir")],
)  # fmt: skip
def test_no_token_markup_or_broken_character_is_shown(house, written: str, shown: str) -> None:
    house.backend.say = lambda request: written
    events = list(write.stream(house.engine, WriteRequest("a whale"), HOST))
    assert events[-1].result.text == shown
    assert "".join(event.text for event in events if event.kind == "text") == shown
    assert Tidy("see <b>this</b>").whole("A <b>bold</b> word") == "A <b>bold</b> word"


def test_a_control_token_that_a_person_asks_about_stands_in_the_answer(house) -> None:
    house.backend.say = lambda request: "After <eos> comes </s>, never <pad>."
    turns = [Turn("user", "What is </s>?"), Turn("assistant", "An end.")]
    asked = WriteRequest("And <eos>?", "chat", turns=turns)
    assert write.APPLICATION.run(house.engine, asked, HOST).text == "After <eos> comes </s>, never ."


@pytest.mark.parametrize(
    ("kind", "first", "then", "text", "ending"),
    [("story", "One day. It was", " late. And so", "One day. It was late.", "6 tokens more"),
     ("story", "One day. It was late.", " never", "One day. It was late.", ""),
     ("story", "It was one fine day. It was", " late and so on", "It was one fine day.", "cut back"),
     ("story", "All in one long sentence", " that goes on", "All in one long sentence", "stops in mid-sentence"),
     ("free", "Ana. A word that is in the midd", "le of it", "Ana. A word that is in the midd", "stops in mid-sent"),
     ("poem", "The snow\nis on", " the hill\nand", "The snow\nis on the hill", "10 tokens more"),
     ("slogan", "Wake up to", " it.", "Wake up to", ""),
     ("chat", "Boats float. They are", " light. And so", "Boats float. They are light.", "7 tokens more"),
     ("chat", "Boats float well. They are", " light and so on", "Boats float well.", "cut back"),
     ("chat", "Boats and then more", " boats and", "Boats and then more", "ask it to go on")],
)  # fmt: skip
def test_a_text_ends_with_a_sentence_where_the_page_asks(
    house, kind: str, first: str, then: str, text: str, ending: str
) -> None:
    house.backend.say = lambda request: (then if request.begun.endswith(first) else first, "length")
    asked_for = WriteRequest("a whale", kind, max_new_tokens=100)  # type: ignore[arg-type]
    assert write.APPLICATION.run(house.engine, asked_for, HOST).text == first and len(house.backend.seen) == 1
    *events, last = write.stream(house.engine, replace(asked_for, is_finished=True), HOST)
    shown = ""
    for event in events:
        shown = event.text if event.kind == "replace" else shown + event.text
    assert shown == last.result.text == text
    assert (ending in str(last.result.ending)) if ending else not last.result.ending
    if len(house.backend.seen) > 2:
        assert house.backend.seen[-1].sampling.max_new_tokens == 15


@pytest.mark.parametrize(
    ("kind", "written", "reason", "text", "ending"),
    [("story", "It was one fine day. It wa", "stop", "It was one fine day.", "cut back"),
     ("story", "It was. And they lived. The End", "stop", "It was. And they lived. The End", ""),
     ("story", "Rather unheard gramm", "stop", "Rather unheard gramm", "stops in mid-sentence"),
     ("story", "It was one fine day. It wa", "deadline", "It was one fine day.", "cut back"),
     ("free", "one, two, three", "stop", "one, two, three", ""),
     ("poem", "The snow\nis here", "stop", "The snow\nis here", "")],
)  # fmt: skip
def test_a_story_that_breaks_off_by_itself_ends_with_a_sentence_or_says_so(
    house, kind: str, written: str, reason: str, text: str, ending: str
) -> None:
    house.backend.say = lambda request: (written, reason)
    result = write.APPLICATION.run(house.engine, WriteRequest("x", kind, is_finished=True), HOST)  # type: ignore[arg-type]
    assert result.text == text and len(house.backend.seen) == 1
    assert (ending in str(result.ending)) if ending else not result.ending


@pytest.mark.parametrize(
    ("model", "kind", "language", "is_refused"),
    [("smollm2-135m-instruct", "story", "fr", True), ("smollm2-135m-instruct", "story", "en", False),
     ("gemma-3-270m", "poem", "fr", False), ("gemma-3-270m", "poem", "it", True), ("gpt2", "slogan", "de", True),
     ("gemma-3-270m", "free", "it", False), (None, "story", "ja", True)],
)  # fmt: skip
def test_a_language_the_model_cannot_write_is_refused(
    house, model: str | None, kind: str, language: str, is_refused: bool
) -> None:
    house.backend.say = lambda request: "Fin."
    request = WriteRequest("x", kind, language=language, model=model)  # type: ignore[arg-type]
    if not is_refused:
        assert write.APPLICATION.run(house.engine, request, HOST).text.endswith("Fin.")
        return
    with pytest.raises(UnsupportedError, match="does not write") as caught:
        write.APPLICATION.run(house.engine, request, HOST)
    assert caught.value.param == "language" and caught.value.status == 422 and not house.backend.seen


@pytest.mark.parametrize(
    ("request_", "error", "param"),
    [
        (replace(WHALE, text=""), InputError, "text"),
        (replace(WHALE, text="x" * 2_001), TooLargeError, "text"),
        (replace(WHALE, continuation="x" * 2_001), TooLargeError, "continuation"),
        (replace(WHALE, kind="novel"), InputError, "kind"),  # type: ignore[arg-type]
        (replace(WHALE, language="xx"), InputError, "language"),
        (replace(WHALE, tone="x" * 61), TooLargeError, "tone"),
        (replace(WHALE, genre=3), InputError, "genre"),  # type: ignore[arg-type]
        (replace(WHALE, temperature=3.0), InputError, "temperature"),
        (replace(WHALE, max_new_tokens=0), InputError, "max_new_tokens"),
        (replace(WHALE, top_p=0.0), InputError, "top_p"),
        (replace(WHALE, seed=-1), InputError, "seed"),
        (replace(WHALE, stop="end"), InputError, "stop"),  # type: ignore[arg-type]
        (replace(WHALE, model="no-such-model"), NotFoundError, "model"),
        (replace(WHALE, model="sentiment-e5"), UnsupportedError, "model"),
    ],
)
def test_errors_name_their_field(house, request_: WriteRequest, error: type[PeopleError], param: str) -> None:
    with pytest.raises(error) as caught:
        write.APPLICATION.run(house.engine, request_, HOST)
    assert caught.value.param == param
