"""Telling languages apart, and saying so when it cannot be told."""

from __future__ import annotations

import pytest

from engine.applications.languages import LANGUAGES, detect_language, guess_language, has_chinese
from engine.errors import InputError

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
    assert detect_language(EXAMPLES[code], LANGUAGES) == code


def test_a_chinese_word_does_not_make_an_english_text_chinese() -> None:
    assert guess_language("The character 中 means middle in this language.")[0] == "en"
    assert (
        has_chinese("我用 Python 写程序") and not has_chinese("The character 中 means middle") and not has_chinese("12")
    )


def test_an_unclear_text_asks_for_the_language() -> None:
    with pytest.raises(InputError, match=r"Choose the source language\.") as caught:
        detect_language("ok 12", ["en", "fr"])
    assert caught.value.param == "source"


def test_a_language_the_model_does_not_know_is_named() -> None:
    with pytest.raises(InputError, match="looks Italian; this model knows English, French") as caught:
        detect_language(EXAMPLES["it"], ["en", "fr"])
    assert caught.value.param == "source"
