"""What Home and the pages offer as examples is what the embedded models get right, on these weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.applications import APPLICATIONS, sentiment, translate
from engine.applications.sentiment import SentimentRequest
from engine.applications.translate import TranslateRequest
from engine.serving.compose import House, open_house
from engine.serving.protocol import Caller
from engine.settings import current

US = Caller("tests", "host")
JUDGED = {
    sentiment.SAMPLES[0].text: "positive",
    sentiment.SAMPLES[1].text: "negative",
    "Best soup I have had in years.": "positive",
    "The waiter forgot us twice.": "negative",
    "I will take the bus tomorrow.": "neutral",
    "A little loud, but we had a wonderful evening.": "positive",
}
TRANSLATED = (
    ("musée", "neuf heures", "enfants", "pa"),
    ("looking for", "small restaurant", "near", "station"),
    ("biblioteca", "hoy", "cerrada"),
    ("tomorrow", "go", "library"),
)
"""Words that a right translation of each sample holds."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder: Path = tmp_path_factory.mktemp("visits")
    made = open_house(replace(current(), prefetch=False, storage_folder=folder))
    yield made
    made.close()


def need(home: House, application: str) -> None:
    model = APPLICATIONS[application].default_model
    if home.store.availability(model).state != "ready":
        pytest.skip(f"{model} is not on this machine")


def test_built_in_lines_are_judged_rightly(home: House) -> None:
    need(home, "sentiment")
    (lines,) = [sample.text for sample in sentiment.SAMPLES if isinstance(sample.text, list)]
    assert set(lines) <= set(JUDGED)
    result = APPLICATIONS["sentiment"].run(home.engine, SentimentRequest(list(map(str, JUDGED))), US)
    found = {text: score.label for text, score in zip(JUDGED, result.results, strict=True)}
    assert found == JUDGED


@pytest.mark.parametrize("number", range(len(TRANSLATED)))
def test_built_in_sentences_lose_no_word(home: House, number: int) -> None:
    need(home, "translate")
    assert len(translate.SAMPLES) == len(TRANSLATED)
    (done,) = APPLICATIONS["translate"].run(home.engine, translate.SAMPLES[number], US).translations
    assert all(word in done.text for word in TRANSLATED[number]) and not done.warning, done.text


@pytest.mark.parametrize(
    ("target", "typed"),
    [
        ("fr", {"Hello": "Bonjour", "Hi": "Bonjour", "Gracias": "Merci", "Hello world": "Bonjour le monde"}),
        (
            "es",
            {
                "Hello": "Hola",
                "Hi": "Hola",
                "Hello world": "Hola mundo",
                "How are you?": "¿Cómo estás?",
                "Hello, how are you?": "Hola, ¿cómo estás?",
            },
        ),
        ("pt", {"Hello": "Olá", "Hi": "Oi", "Hello world": "Olá, mundo"}),
        (
            "en",
            {
                "Gracias": "Thanks",
                "Bonjour": "Hello",
                "Olá": "Hello",
                "Bonjour, comment allez-vous ?": "Hello, how are you?",
            },
        ),
    ],
)
def test_what_people_type_first_is_translated_rightly(home: House, target: str, typed: dict[str, str]) -> None:
    need(home, "translate")
    for text, said in typed.items():
        (done,) = APPLICATIONS["translate"].run(home.engine, TranslateRequest(text, target=target), US).translations
        assert done.text == said and not done.warning, text


@pytest.mark.parametrize(
    ("application", "words"),
    [
        ("translate", ("Hello", "looking for a restaurant")),
        ("write", ("snow",)),
        ("sentiment", ("positive",)),
        ("answer", ("Karin Ostberg",)),
        ("summarize", ("bumblebees learn puzzles",)),
    ],
)
def test_home_shows_what_is_right(home: House, application: str, words: tuple[str, ...]) -> None:
    need(home, application)
    shown = APPLICATIONS[application].shown
    *_, last = APPLICATIONS[application].stream(home.engine, shown, US)
    assert all(word in str(last.result) for word in words), last.result
