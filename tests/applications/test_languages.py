"""Telling languages apart, and saying so when it cannot be told."""

from __future__ import annotations

import pytest

from engine.applications.languages import LANGUAGES, detect_language, guess_language, has_chinese
from engine.applications.prompts import SHOTS

EXAMPLES = {
    "en": "The weather will be fine tomorrow.",
    "fr": "Il fera beau demain matin.",
    "de": "Morgen wird das Wetter schön.",
    "es": "Mañana hará buen tiempo por aquí.",
    "zh": "明天天气很好。",
    "it": "Domani il tempo sarà molto bello.",
    "ru": "Завтра будет хорошая погода.",
    "ja": "明日は天気がいいです。",
    "ko": "내일은 날씨가 좋을 것입니다.",
}


@pytest.mark.parametrize("code", EXAMPLES)
def test_short_sentences_are_told_apart(code: str) -> None:
    assert detect_language(EXAMPLES[code], LANGUAGES).code == code


def test_a_chinese_word_does_not_make_an_english_text_chinese() -> None:
    assert guess_language("The character 中 means middle in this language.")[0] == "en"
    assert (
        has_chinese("我用 Python 写程序") and not has_chinese("The character 中 means middle") and not has_chinese("12")
    )


@pytest.mark.parametrize(
    ("text", "code"),
    [("Hello", "en"), ("Hi", "en"), ("Gracias", "es"), ("Hello world", "en"), ("thanks", "en"), ("Bonjour", "fr"),
     ("Danke", "de"), ("HELLO", "en"), ("Buenos días", "es"), ("Casa", "es"), ("ok 12", "en"),
     ("Merci beaucoup", "fr")],
)  # fmt: skip
def test_what_people_try_first_is_guessed_among_what_can_be_done(text: str, code: str) -> None:
    guess = detect_language(text, ["en", "fr", "de", "es", "zh"])
    assert (guess.code, guess.is_allowed) == (code, True)


@pytest.mark.parametrize(
    ("text", "code"),
    [("Jó reggelt kívánok, hogy van?", "hu"), ("Köszönöm", "hu"), ("明日は天気がいいです。", "ja"),
     ("El gat dorm a la cuina.", "ca"), ("Tá an cat ina chodladh sa chistin.", "ga"), ("안녕하세요", "ko"),
     ("Domani il tempo sarà molto bello.", "it"), ("Olá", "pt"), ("שלום", "he"), ("привет", "ru")],
)  # fmt: skip
def test_another_language_is_named(text: str, code: str) -> None:
    guess = detect_language(text, ["en", "fr", "de", "es", "zh"])
    assert (guess.code, guess.is_allowed) == (code, False)


def test_close_relatives_do_not_hide_a_language_that_can_be_done() -> None:
    for code, sentences in SHOTS.items():
        for sentence in sentences:
            assert detect_language(sentence, list(SHOTS)).code == code
            assert detect_language(sentence, [*SHOTS, "pt", "it", "nl"]).code == code
