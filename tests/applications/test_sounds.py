"""How words sound: syllables and rhymes in each language of forms, and what small models are fond of."""

from __future__ import annotations

import pytest

from engine.applications import habits, measures
from engine.applications.habits import habits_of
from engine.applications.measures import FORMS, is_kept, measure
from engine.applications.rhymes import chinese_rhyme, chinese_rhymes, do_rhyme, english_rhymes, last_word, tone_of
from engine.applications.syllables import count, of_word
from engine.applications.verse import words_of_ours

COUNTED = {
    "en": "snow1 morning2 every3 city2 whispers2 quiet2 poem2 hour2 flower2 orange2 dog's1 house's2 unblorked2 the1",
    "de": "Abend2 Feuer2 Bäume2 Nacht1 leise2 Regen2 Theater3 ruhig2 Haus1 Schneeflocke3 Himmel2 Idee2 bauen2",
    "fr": "nuit1 poésie3 lumière2 hiver2 neige1 oiseau2 ville1 théâtre2 fenêtre2 souvenir3 l'eau1 étoile2 nuage2 pays2",
    "es": "noche2 país2 cielo2 ciudad2 río2 agua2 poesía4 luna2 aire2 guitarra3 queso2 hay1 muy1 leer2 ruido2 otoño3",
    "pt": "noite2 céu1 coração3 cidade3 água2 lua2 rio2 pão1 saudade3 mães1 dia2",
    "zh": "春雨2 初雪落长街5",
}
RHYMED = {
    "en": "snow/below light/night flower/hour city/pity",
    "de": "Nacht/Macht Haus/Maus leise/Reise Garten/warten Wald/bald Rad/Tat Feuer/teuer Bäume/Träume Meer/sehr",
    "fr": "nuit/bruit hiver/mer fleur/cœur eau/oiseau blanc/vent maison/saison parler/aimé étoile/voile bois/roi",
    "es": "luna/cuna canción/corazón cielo/suelo río/frío viento/lento día/María amor/flor jardín/fin",
    "zh": "霜/乡 流/楼 光/霜 春/人 知/时 飞/归 花/家",
}
NOT_RHYMED = {
    "en": "love/move light/light orange/door xqz/xqz",
    "de": "Nacht/Licht Leben/Regen Haus/Haus",
    "fr": "nuit/jour hiver/parler",
    "es": "casa/mesa luna/luna",
    "zh": "雪/花 山/水 光/光",
}


@pytest.mark.parametrize("language", COUNTED)
def test_syllables(language: str) -> None:
    words = [(word[:-1], int(word[-1])) for word in COUNTED[language].split()]
    assert [(word, count(word, language)) for word, _ in words] == words
    assert count(" ".join(word for word, _ in words), language) == sum(number for _, number in words)


def test_a_line_without_words_has_none() -> None:
    assert count("", "en") == count(" … 12 !", "de") == count("abc", "zh") == 0
    assert of_word("pfrt", "de") == 1 and last_word("") == last_word("?!") == ""


@pytest.mark.parametrize("language", RHYMED)
def test_rhymes(language: str) -> None:
    for pairs, wanted in ((RHYMED, True), (NOT_RHYMED, False)):
        for pair in pairs[language].split():
            one, other = pair.split("/")
            assert do_rhyme(f"{one},", f"a {other}." if language != "zh" else f"，{other}。", language) is wanted, pair
    assert not do_rhyme("eins", "keins", "it")


def test_words_that_rhyme() -> None:
    assert {"below", "go", "know"} <= set(english_rhymes()["OW"])
    assert "楼" in chinese_rhymes()["尤"] and "柳" not in chinese_rhymes()["尤"]
    assert (tone_of("天"), tone_of("雨"), tone_of("a")) == ("1", "3", "") and chinese_rhyme("") == ""


@pytest.mark.parametrize("language", [name for name in words_of_ours() if name != "en"])
def test_examples_of_ours_keep_their_forms(language: str) -> None:
    for form, examples in words_of_ours()[language]["examples"].items():
        for title, text in examples:
            lines = measure(FORMS[form], text.split("\n"), language)
            assert is_kept(FORMS[form], lines), (title, [str(one) for line in lines for one in line.faults])


@pytest.mark.parametrize(
    ("form", "text", "faults"),
    [("haiku", "A leaf lets go now,\nturning once above the pond,\nthen it floats away.", []),
     ("haiku", "A leaf\nturning once above the pond,\nthen it floats away.", ["2 syllables, not 5 to 5"]),
     ("haiku", "A leaf lets go now,\nturning once above the pond,", []),
     ("couplet", "The night is cold and full of snow\nand winds begin to blow.", []),
     ("couplet", "The night is cold and full of snow\nand stars are bright.", ["4 syllables, not 6 to 11",
                                                                        "does not rhyme with line 1"]),
     ("couplet", "The night is cold and full of snow\nand still the hill is white with snow.",
      ["does not rhyme with line 1"]),
     ("limerick", "A baker who lived by the quay\nhad flour in his beard and his tea.\nHe sneezed at the door,\n"
                  "it snowed on the floor,\nand nobody laughed more than he.", [])],
)  # fmt: skip
def test_faults_are_told_by_line(form: str, text: str, faults: list[str]) -> None:
    lines = measure(FORMS[form], text.split("\n"), "en")
    assert [str(one) for line in lines for one in line.faults] == faults
    assert is_kept(FORMS[form], lines) is (not faults and len(lines) == len(FORMS[form].lines))


def test_a_quatrain_rhymes_in_a_level_tone() -> None:
    good = measure(FORMS["quatrain5"], ["白日依山尽，", "黄河入海流。", "欲穷千里目，", "更上一层楼。"], "zh")
    assert is_kept(FORMS["quatrain5"], good) and good[1].tones == "平平仄仄平" and good[3].rhyme == "A"
    bad = measure(FORMS["quatrain5"], ["白日依山尽", "黄河入海柳", "欲穷千里目", "更上一层楼"], "zh")
    assert [str(one) for one in bad[1].faults] == ["ends in an oblique tone"] and not bad[3].faults
    assert measures.partners(FORMS["quatrain5"], 3) == [1]


@pytest.mark.parametrize(
    ("text", "language", "facts", "found"),
    [("In twilight's tender whispers", "en", {}, ["stock", "stock"]), ("The bread is warm", "en", {}, []),
     ("snow on snow, and snow", "en", {}, ["repeat", "repeat"]), ("The haiku is done", "en", {}, ["talk"]),
     ("The haiku is done", "en", {"about": "a haiku"}, []), ("The cat", "en", {"before": ["The dog"]}, ["begins"]),
     ("a leaf lets go now", "en", {"examples": "A leaf lets go now, at last"}, ["copy"]),
     ("the old harbour at night sleeps", "en", {"about": "the old harbour at night"}, ["task"]),
     ("Es war einmal ein Haus", "de", {}, ["stock"]), ("仿佛是梦", "zh", {}, ["stock"]),
     ("疑是地上霜", "zh", {"examples": "疑是地上霜。"}, ["copy"]), ("", "en", {}, []), ("любовь", "ru", {}, [])],
)  # fmt: skip
def test_habits_of_small_models(text: str, language: str, facts: dict[str, object], found: list[str]) -> None:
    assert [one.id for one in habits_of(text, language, **facts)] == found  # type: ignore[arg-type]
    assert (habits.cost_of(habits_of(text, language, **facts)) > 0) is bool(found)  # type: ignore[arg-type]


def test_weak_ends_of_lines() -> None:
    assert habits.is_weak("the", "en") and not habits.is_weak("theme", "en") and not habits.is_weak("snow", "it")
