"""Inline Markdown through translators that do not know its signs; and dates, numbers and Markdown through the embedded
student that lost them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

import pytest
from fakes import HOST

from engine.applications import translate
from engine.applications.alignments import Link
from engine.applications.emphasis import edges, put_back, taken_off
from engine.applications.translate import TranslateRequest
from engine.documents.sentences import sentences_of
from engine.requests import Generate
from engine.serving.compose import House, open_house
from engine.serving.protocol import Caller
from engine.settings import current


@pytest.mark.parametrize(
    ("text", "expected"),
    [("**Careful!**", ("**", "Careful!", "**")), ("**Be careful.", ("**", "Be careful.", "")),
     ("It is hot.**", ("", "It is hot.", "**")), ("~~Old~~", ("~~", "Old", "~~")),
     ("<b>Hello</b>", ("<b>", "Hello", "</b>")),
     ("**one** or **two**", ("", "**one** or **two**", "")), ("a footnote*", ("", "a footnote*", ""))],
)  # fmt: skip
def test_signs_around_a_whole_sentence(text: str, expected: tuple[str, str, str]) -> None:
    assert edges(text) == expected


@pytest.mark.parametrize(
    ("text", "plain"),
    [("Open the **terminal** first.", "Open the terminal first."), ("*Very* ~~bad~~ good", "Very bad good"),
     ("A <b>bold</b> <span class=x>word</span> <br/>", "A bold word <br/>"),
     ("See [the guide](X1) or ***this***", "See the guide or this"), ("2 * 3 * 4", "2 * 3 * 4"),
     ("pass *args and **kwargs", "pass *args and **kwargs"), ("5*3*2 and see below*", "5*3*2 and see below*")],
)  # fmt: skip
def test_what_is_taken_off_comes_back_around_its_own_words(text: str, plain: str) -> None:
    bare, emphases = taken_off(text)
    assert bare == plain
    same = [Link(span, span, 1.0) for span in _words(plain)]
    assert put_back(plain, plain, emphases, same) == text


def test_signs_go_where_the_words_went_and_nowhere_else() -> None:
    plain, emphases = taken_off("The **old house** is ~~here~~.")
    translation = "La maison très ancienne est là."
    words = _words(translation)
    found = [
        Link(words[1], _at(plain, "house"), 0.9),
        Link(words[2], _at(plain, "is"), 0.4),
        Link(words[3], _at(plain, "old"), 0.8),
    ]
    assert put_back(translation, plain, emphases, found) == "La **maison très ancienne** est là."


def _words(text: str) -> list[tuple[int, int]]:
    ends = list(itertools.accumulate(len(word) + 1 for word in text.split(" ")))
    return [(end - len(word) - 1, end - 1) for word, end in zip(text.split(" "), ends, strict=True)]


def _at(text: str, word: str) -> tuple[int, int]:
    return text.index(word), text.index(word) + len(word)


def test_a_sentence_ends_behind_signs_too() -> None:
    text = "**Be careful. It is hot.** Go on. It is ~~bad.~~ Good."
    assert [text[start:end] for start, end in sentences_of(text)] == [
        "**Be careful.", "It is hot.**", "Go on.", "It is ~~bad.~~", "Good.",
    ]  # fmt: skip


def test_a_runtime_that_tells_no_words_reads_the_signs_the_second_time(house) -> None:
    """As those of the Hub, whose vocabularies have them."""

    def say(request: Generate) -> str:
        return "Abra o **terminal** agora." if "**" in request.prompt else "Abra o terminal agora."

    house.backend.say = say
    (done,) = translate.APPLICATION.run(
        house.engine, TranslateRequest("Open the **terminal** now.", "en", "pt"), HOST
    ).translations
    prompts = [request.prompt for request in house.backend.seen if request.task == "generate"]
    assert prompts == ["Open the terminal now.", "Open the **terminal** now."]
    assert done.text == "Abra o **terminal** agora." and not done.warning


@pytest.fixture(scope="module")
def real() -> Iterator[House]:
    opened = open_house(replace(current(), prefetch=False, threads=1))
    yield opened
    opened.engine.close()


@pytest.mark.parametrize(
    ("text", "kept"),
    [("The meeting is on 2026-05-04.", "2026-05-04"), ("The date is 04/05/2026.", "04/05/2026"),
     ("Between 2019-01-01 and 2020-12-31 nothing changed.", "2019-01-01 … 2020-12-31"),
     ("The file was saved on 2026-05-04 10:15:00.", "2026-05-04 … 10:15:00"),
     ("Call +351 912 345 678 today.", "+351 912 345 678"), ("Call +44 (0)20 7946 0958.", "+44 (0)20 7946 0958"),
     ("2 * 3 * 4 is 24.", "2 * 3 * 4 … 24"), ("Open the **terminal** first.", "**terminal**"),
     ("It is *very* important.", "*très*"), ("**Note:** the shop is closed.", "**"),
     ("See [the guide](https://example.org/guide) first.", "[ … guide](https://example.org/guide)"),
     ("**Be careful. The plate is hot.** Do not touch it.", "** … .** "), ("*Hello*", "*Bonjour*"),
     ("<ul><li>My father</li><li>My house</li></ul>", "<ul><li>Mon père</li><li>Ma maison</li></ul>"),
     ("<b>Hello</b>", "<b>Bonjour</b>"), ("Press the <b>red</b> button.", "<b>rouge</b>"),
     ("See “<a href=\"https://x.org\">the guide</a>” first.", "<a href=\"https://x.org\"> … guide … </a>"),
     ("The **invoice 2026-05-04** is due.", "**facture 2026-05-04**")],
)  # fmt: skip
def test_literals_come_through_the_embedded_student(real: House, text: str, kept: str) -> None:
    asked = TranslateRequest(text, "en", "fr", "student-en-fr")
    (done,) = translate.APPLICATION.run(real.engine, asked, Caller()).translations
    assert not done.warning
    rest = done.text
    for piece in kept.split(" … "):
        assert piece in rest
        rest = rest.partition(piece)[2]
