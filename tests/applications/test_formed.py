"""Forms on a scripted backend: what is asked for line by line, what code keeps, tries again and drops; and chats."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from fakes import HOST, FakeBackend

from engine.applications import formed, slogans, write
from engine.applications.chapters import items_of
from engine.applications.write import Turn, WriteRequest, WriteResult
from engine.catalogue.models import read_catalogue
from engine.errors import InputError, PeopleError, TooLargeError, UnsupportedError
from engine.inspections import Piece, Tokens
from engine.requests import Generate

CATALOGUE = read_catalogue()
HAIKU = WriteRequest("autumn rain", "poem", form="haiku", seed=1)
LINES = ("Rain falls on the roof", "and wakes the dog by the door", "who listens, then sleeps")


@pytest.fixture
def guided(house, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A house whose backend takes grammars, and knows every word as one token."""
    monkeypatch.setattr(type(house.backend), "tasks", FakeBackend.tasks | {"grammar"})

    def tokenize(job: Any) -> None:
        words = job.request.text.split(" ")
        job.finish(Tokens(tuple(Piece(" " * (place > 0) + word, place) for place, word in enumerate(words)), 1000))

    house.backend._tokenize = tokenize
    return house


def run(house: Any, request: WriteRequest) -> WriteResult:
    """The result; what was streamed is its text in the end."""
    shown, *events = "", *write.stream(house.engine, request, HOST)
    for event in events:
        shown = event.text if event.kind == "replace" else shown + event.text
    result: WriteResult = events[-1].result
    assert shown == result.text
    return result


def place(request: Generate) -> int:
    """How many lines a request for a line has before it."""
    return request.begun.count("\n") if request.messages and request.messages[-1].role == "assistant" else 0


def test_a_haiku_is_asked_for_line_by_line(guided: Any) -> None:
    guided.backend.say = lambda request: LINES[place(request)] + "\n"
    result = run(guided, HAIKU)
    assert result.text == "\n".join(LINES) and result.verse and result.verse.is_kept
    assert (result.verse.retries, result.verse.candidates, result.verse.is_guided) == (0, 24, True)
    assert [line.syllables for line in result.verse.lines] == [5, 7, 5] and result.settings["seed"] == 1
    first = guided.backend.seen[0]
    assert "5" not in first.grammar or first.grammar.startswith("root ::= word (sep word)")
    assert first.is_scored and [turn.role for turn in first.messages] == ["user", "assistant"] * 2 + ["user"]
    assert first.messages[-1].content == "Write a haiku about autumn rain."
    seeds = [one.sampling.seed for one in guided.backend.seen]
    assert len(set(seeds)) == len(seeds) and guided.backend.seen[-1].begun == "\n".join(LINES[:2]) + "\n"


@pytest.mark.parametrize(
    ("said", "text", "retries"),
    [(["Rain falls on the roof tonight again"], "Rain falls on the roof", 0),
     (["Rain falls on it and"] * 2 + ["Rain falls on the roof"], "Rain falls on the roof", 1),
     (["Rain, the"] * 2 + ["Rain falls on the roof"], "Rain falls on the roof", 1),
     (["A haiku of rain"], "A haiku of rain", 4), (["..."], "…", 4)],
)  # fmt: skip
def test_what_does_not_fit_is_cut_or_asked_for_again(guided: Any, said: list[str], text: str, retries: int) -> None:
    calls: list[int] = []

    def say(request: Generate) -> str:
        if place(request):
            return LINES[place(request)]
        calls.append(1)
        return said[min(len(said) - 1, (len(calls) - 1) // 4)]

    guided.backend.say = say
    result = run(guided, HAIKU)
    assert result.verse and result.verse.lines[0].text == text and result.verse.retries == retries
    assert result.verse.is_kept is (text != "…")


def test_a_short_line_is_gone_on_with(guided: Any) -> None:
    def say(request: Generate) -> str:
        if request.begun == "Rain falls":
            return " on the roof\n"
        return LINES[place(request)] if place(request) else "Rain falls\n"

    guided.backend.say = say
    result = run(guided, HAIKU)
    assert result.text.startswith("Rain falls on the roof\n") and result.verse and result.verse.is_kept


def test_a_couplet_ends_on_a_word_that_rhymes(guided: Any) -> None:
    def say(request: Generate) -> str:
        if "(" in request.grammar and "word" not in request.grammar:
            return " below.\n"
        return "The winter night is full of snow,\n" if not place(request) else "it covers fields and roads and towns\n"

    guided.backend.say = say
    result = run(guided, replace(HAIKU, form="couplet"))
    assert result.verse and result.verse.is_kept and result.text.endswith(" below.")
    assert [line.rhyme for line in result.verse.lines] == ["A", "A"]
    asked = [one.grammar for one in guided.backend.seen if '"below"' in getattr(one, "grammar", "")]
    assert asked and all('"snow"' not in one and '"ho"' not in one for one in asked), "no word rhymes with itself"


def test_a_form_that_is_missed_says_so(guided: Any) -> None:
    guided.backend.say = lambda request: "The winter night is full of snow,\n"
    result = run(guided, replace(HAIKU, form="couplet"))
    assert result.verse and not result.verse.is_kept
    assert "does not rhyme with line 1" in [str(one) for line in result.verse.lines for one in line.faults]


def test_a_runtime_without_grammars_hits_or_misses(house: Any) -> None:
    def refuse(request: Generate) -> None:
        if request.grammar:
            raise UnsupportedError("{title} cannot keep to a grammar.", param="model", title="It")

    house.backend.gate, house.backend.say = refuse, lambda request: LINES[place(request)]
    result = run(house, HAIKU)
    assert result.verse and result.verse.is_kept and not result.verse.is_guided
    assert house.backend.seen[-1].sampling.stop == ("\n",)


def test_a_chinese_quatrain_has_its_marks(guided: Any) -> None:
    lines = ("白日依山尽", "黄河入海流", "欲穷千里目", "更上一层楼")
    own = ("春雨落长街", "行人上小楼", "灯前思旧友", "江水向东流")

    def say(request: Generate) -> str:
        number = request.prompt.rpartition("春雨\n")[2].count("\n")
        return own[number][-1] + "\n" if "(" in request.grammar else own[number] + "\n"

    guided.backend.say = say
    result = run(guided, WriteRequest("春雨", "poem", form="quatrain5", language="zh"))
    assert (
        result.text == "春雨落长街，\n行人上小楼。\n灯前思旧友，\n江水向东流。"
        and result.verse
        and result.verse.is_kept
    )
    assert lines[0] in guided.backend.seen[0].prompt and result.model == "gemma-3-270m"


def test_a_sonnet_has_stanzas(guided: Any) -> None:
    ends = (
        "snow",
        "light",
        "below",
        "night",
        "day",
        "sea",
        "way",
        "free",
        "moon",
        "rain",
        "June",
        "plain",
        "air",
        "there",
    )

    def say(request: Generate) -> str:
        number = place(request)
        free = "(" in request.grammar and "word" not in request.grammar
        return f" {ends[number]}\n" if free else f"the line of number walks along the {ends[number]}\n"

    guided.backend.say = say
    text = run(guided, replace(HAIKU, form="sonnet")).text
    assert [len(stanza.split("\n")) for stanza in text.split("\n\n")] == [4, 4, 4, 2]


def test_ten_slogans_without_doubles_and_stock(guided: Any) -> None:
    words = [
        *("Bread before dawn", "Warm crust, early bird", "Rise with us", "The oven never sleeps"),
        *("Flour power at five", "Your morning starts here", "Hot rolls for cold streets", "Butter days ahead"),
        *("Knead we say more", "Fresh from four o'clock", "Sunrise tastes better", "Dough that means business"),
    ]
    said = ["Unlock the magic of bread", "Bread before dawn!", "", "word " * 30, *words]
    calls: list[int] = []

    def say(request: Generate) -> str:
        calls.append(1)
        return said[(len(calls) - 1) % len(said)]

    guided.backend.say = say
    result = run(guided, WriteRequest("a bakery", "slogan", form="slogans"))
    lines = result.text.split("\n")
    assert len(lines) == 10 and lines[0].startswith("1. ") and "Unlock" not in result.text
    assert "1 too alike, 1 with stock phrases, 2 other than slogans" in str(result.note)
    assert guided.backend.seen[0].messages[-1].content == "Write a slogan of at most eight words for a bakery."


@pytest.mark.parametrize(
    ("one", "other", "wanted"),
    [("Every step counts.", "every step counts!", True), ("Every step counts", "Every single step counts", True),
     ("Bread before dawn", "The oven never sleeps", False), ("Go", "Go", True), ("", "Go", False),
     ("Sweet treat.", "Sweet treats!", True),
     ("每一步都算数", "每一步都算", True), ("每一步都算数", "唤醒清晨", False)],
)  # fmt: skip
def test_slogans_that_say_the_same(one: str, other: str, wanted: bool) -> None:
    assert slogans.are_alike(one, other) is wanted


def test_fewer_slogans_than_ten_are_said(guided: Any) -> None:
    guided.backend.say = lambda request: "Bread before dawn"
    result = run(guided, WriteRequest("a bakery", "slogan", form="slogans"))
    assert result.text == "1. Bread before dawn" and str(result.note).startswith("1 of 32 kept; dropped: 31 too alike")


@pytest.mark.parametrize(("language", "headings"), [("en", "[Verse 2]"), ("fr", "[Couplet 2]"), ("zh", "[第2段]")])
def test_a_song_has_verses_and_one_chorus(guided: Any, language: str, headings: str) -> None:
    calls: list[int] = []

    def say(request: Generate) -> str:
        calls.append(1)
        return "".join(
            f"the {'abcdefghijkl'[len(calls) - 1]} wind goes {number}\n" for number in ("low", "by", "so", "on")
        )

    guided.backend.say = say
    result = run(guided, WriteRequest("a train", "lyrics", form="song", language=language))
    parts = result.text.split("\n\n")
    assert len(parts) == 4 and parts[1] == parts[3] and parts[2].startswith(headings) and len(calls) == 12
    assert all(len(part.split("\n")) == 5 for part in parts) and "12 candidates" in str(result.note)


def story(guided: Any, tell: Callable[[int], str]) -> None:
    calls: list[int] = []

    def say(request: Generate) -> str:
        if '"1. "' in request.grammar:
            return "1. Ana finds a boat.\n2. Ana sails to the island.\n"
        if "name" in request.grammar:
            return "- Ana, a girl of ten\n- Old Tom, the keeper\n"
        calls.append(1)
        return tell(len(calls))

    guided.backend.say = say


def test_a_long_story_is_planned_and_told(guided: Any) -> None:
    told = ("Ana walked down to the harbour early.", "Waves carried everything towards grey cliffs. And th")
    story(guided, lambda number: told[number - 1])
    result = run(guided, WriteRequest("a lighthouse", form="chapters", chapters=2, system="Be brief."))
    assert result.text == (
        "Outline\n1. Ana finds a boat.\n2. Ana sails to the island.\n\nCharacters\n- Ana, a girl of ten\n"
        "- Old Tom, the keeper\n\nChapter 1\n\nAna walked down to the harbour early.\n\n"
        "Chapter 2\n\nWaves carried everything towards grey cliffs."
    )
    second = guided.backend.seen[-1].messages
    assert second[0].content == "Be brief." and "in which: Ana sails to the island." in second[-1].content
    assert "harbour early" in second[-2].content and "Old Tom" in second[-2].content
    assert str(result.note) == "outline, characters and 2 chapters"


def test_a_chapter_that_repeats_is_told_again(guided: Any) -> None:
    same = "Ana walked down towards the harbour early."
    story(guided, lambda number: same if number < 3 else "Waves carried everything.")
    result = run(guided, WriteRequest("a lighthouse", form="chapters", chapters=2))
    assert result.text.count(same) == 1 and result.text.endswith("Waves carried everything.")
    assert "1 chapter told again, since it repeated" in str(result.note)


def test_a_base_model_goes_on_from_headings(guided: Any) -> None:
    story(guided, lambda number: f"Es war Abend {number}.")
    result = run(guided, WriteRequest("ein Leuchtturm", form="chapters", chapters=2, language="de"))
    assert "Gliederung" in result.text and "Kapitel 2" in result.text
    assert guided.backend.seen[-1].prompt.endswith("Kapitel 2: Ana sails to the island.\n\n")


def test_items_of_a_list() -> None:
    assert items_of("1. one\n2) two\n\n- three\nfour", 3) == ["one", "two", "three"] and items_of("", 3) == []


@pytest.mark.parametrize(
    ("changes", "error", "param"),
    [({"form": "ode"}, InputError, "form"), ({"kind": "story"}, InputError, "form"),
     ({"language": "zh", "form": "couplet"}, UnsupportedError, "form"),
     ({"form": "quatrain5"}, UnsupportedError, "form"),
     ({"language": "it", "form": "haiku"}, UnsupportedError, "form"), ({"chapters": 1}, InputError, "chapters"),
     ({"chapters": 9}, InputError, "chapters"), ({"system": "x" * 2_001}, TooLargeError, "system"),
     ({"turns": [Turn("user", "x")] * 101, "kind": "chat", "form": ""}, InputError, "turns"),
     ({"text": " "}, InputError, "text"),
     ({"continuation": "x"}, InputError, "continuation"),
     ({"turns": [Turn("user", "x" * 2_001)], "kind": "chat", "form": ""}, TooLargeError, "messages[0].content"),
     ({"kind": "chat", "form": "", "model": "gemma-3-270m"}, UnsupportedError, "model")],
)  # fmt: skip
def test_what_cannot_be_is_refused_before_anything_is_asked(
    house: Any, changes: dict[str, Any], error: type[PeopleError], param: str
) -> None:
    with pytest.raises(error) as caught:
        write.APPLICATION.run(house.engine, replace(HAIKU, **changes), HOST)
    assert caught.value.param == param and not house.backend.seen


def test_each_form_is_offered_where_it_can_be_measured() -> None:
    for kind, forms in formed.BY_KIND.items():
        for form in forms:
            assert form in formed.TITLES and formed.languages_of(form)
            formed.check(kind, form, formed.languages_of(form)[0], 3)


def test_a_chat_is_asked_with_system_and_turns(house: Any) -> None:
    house.backend.say = lambda request: "Boats."
    request = WriteRequest("Why?", "chat", system="Be brief.", turns=[Turn("user", "Hi"), Turn("assistant", "Hello")])
    assert write.APPLICATION.run(house.engine, request, HOST).text == "Boats."
    said = [(turn.role, turn.content) for turn in house.backend.seen[0].messages]
    assert said == [("system", "Be brief."), ("user", "Hi"), ("assistant", "Hello"), ("user", "Why?")]


def test_a_system_prompt_acts_in_every_kind_of_a_chat_model(house: Any) -> None:
    house.backend.say = lambda request: "Snow."
    write.APPLICATION.run(house.engine, WriteRequest("snow", "story", system="Be brief."), HOST)
    assert re.match("Be brief", house.backend.seen[0].messages[0].content)
    write.APPLICATION.run(house.engine, replace(HAIKU, form="", system="Rhyme."), HOST)
    assert house.backend.seen[1].messages[0].role == "system"
