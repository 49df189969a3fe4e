"""From pieces to words, on a made alignment and, where it is in the cache, on the embedded student's own; and what
else could stand for a word."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from engine.applications import words
from engine.applications.alignments import begins_word, links
from engine.applications.sentences import Sentence, Translation
from engine.applications.translate import TranslateResult
from engine.applications.wordings import PART as WORDINGS
from engine.applications.wordings import WordingsRequest
from engine.applications.words import (
    ENCODER,
    Way,
    alternatives,
    exchanged,
    find_words,
    is_doubtful,
    others,
    rewritten,
    words_of,
)
from engine.catalogue.models import read_catalogue
from engine.errors import PeopleError, UnsupportedError
from engine.messages import Text
from engine.requests import Alignment, Generate, Generation, Sampling, Scoring, Token
from engine.serving.compose import House, open_house
from engine.serving.protocol import Caller
from engine.settings import current

STUDENT, GEMMA = "firefox-en-pt", "gemma-3-270m"
NAMES = ["Lisbon", "Berlin", "Maria", "Picasso", "Madrid", "Toyota", "Brasil", "Google", "Pedro", "Obama"]


def test_pieces_are_summed_in_the_source_and_averaged_in_the_target() -> None:
    tokens = [Token("O", 2, -0.1), Token(" ga", 3, -0.5), Token("to", 4, -2.0), Token("!", 5, -0.1)]
    alignment = Alignment(
        ((0, 3), (3, 5), (5, 7), (7, 8)),  # The| c|at|!
        ((0.8, 0.1, 0.0, 0.0, 0.1), (0.4, 0.3, 0.3, 0.0, 0.0), (0.1, 0.2, 0.6, 0.1, 0.0), (0.0, 0.0, 0.0, 1.0, 0.0)),
    )
    first, second = links("The cat!", tokens, alignment)
    assert (first.target, first.source) == ((0, 1), (0, 3))
    assert (second.target, second.source) == ((2, 6), (4, 7))
    assert second.share == pytest.approx(0.7) and second.probability == pytest.approx(0.1353, abs=1e-3)


def test_nothing_is_linked_to_nothing() -> None:
    assert links("", [], Alignment((), ())) == []
    assert links("...", [Token("Oi", 2)], Alignment(((0, 3),), ((0.5, 0.5),))) == []


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    house = open_house(replace(current(), prefetch=False, threads=1))
    if house.store.availability(STUDENT).state != "ready":
        pytest.skip("firefox-en-pt is not in the cache")
    yield house
    house.close()


def test_names_come_from_themselves(house: House) -> None:
    texts = [
        f"Yesterday {one} was compared with {other} by the newspaper."
        for one, other in zip(NAMES, NAMES[3:] + NAMES[:3], strict=True)
    ]
    asked = [Generate(text, sampling=Sampling(60, 0.0), align=True) for text in texts]
    right = seen = 0
    for text, result in zip(texts, house.engine.run(STUDENT, asked, Caller()), strict=True):
        for link in links(text, result.tokens, result.alignment):
            word = result.text[slice(*link.target)]
            if word in NAMES:
                seen += 1
                right += text[slice(*link.source)] == word
    assert seen >= 15 and right >= 0.9 * seen


def test_words_of_a_translation_with_their_sources_and_doubts(house: House) -> None:
    sentences = [
        Sentence("My sister bought a heavy coat.", "Minha irmã comprou um casaco pesado.", 0.9),
        Sentence("", "", None),
        Sentence("My sister bought a heavy coat.", "Minha irmã comprou um elefante pesado.", 0.9),
    ]
    first, nothing, wrong = words_of(house.engine, STUDENT, sentences, Caller())
    pairs = {sentences[0].text[slice(*one.target)]: sentences[0].source[slice(*one.source)] for one in first}
    assert pairs == {
        "Minha": "My", "irmã": "sister", "comprou": "bought", "um": "a", "casaco": "coat", "pesado": "heavy",
    }  # fmt: skip
    assert not nothing and not any(map(is_doubtful, first))
    assert "elefante" in [sentences[2].text[slice(*one.target)] for one in wrong if is_doubtful(one)]


def test_pieces_are_the_words_of_a_script_without_spaces() -> None:
    tokens = [Token("我们", 2, -0.1), Token("明天", 3, -0.5), Token("去", 4, -2.0), Token("。", 5, -0.1)]
    alignment = Alignment(((0, 2), (2, 7)), ((0.9, 0.1, 0.0), (0.1, 0.9, 0.0), (0.6, 0.4, 0.0), (0.0, 0.0, 1.0)))
    found = links("We going", tokens, alignment)
    assert [(one.target, one.source) for one in found] == [((0, 2), (0, 2)), ((2, 4), (3, 8)), ((4, 5), (0, 2))]


def test_latin_words_among_chinese_stay_whole_and_pieces_of_one_word_are_one() -> None:
    pieces = ["用", "in", "vo", "ice", "坐", "火", "车", "20", "。"]
    spans = ((0, 4), (4, 12), (12, 18), (18, 24), (24, 27))  # with| invoice| go by| train| 20
    rows = [0, 1, 1, 1, 2, 3, 3, 4, 5]
    weights = tuple(tuple(float(place == row) for place in range(6)) for row in rows)
    tokens = [Token(piece, number, -0.1 * number) for number, piece in enumerate(pieces)]
    found = links("with invoice go by train 20", tokens, Alignment(spans, weights))
    text = "".join(pieces)
    assert [text[slice(*one.target)] for one in found] == ["用", "invoice", "坐", "火车", "20"]
    assert found[3].source == (19, 24) and found[3].probability == pytest.approx(math.exp(-0.6))


@pytest.mark.parametrize(
    ("text", "places"), [("My sister's 3.50!", [0, 3, 12]), ("用invoice 火车", [0, 1, 9, 10]), ("…", [])]
)
def test_where_words_begin(text: str, places: list[int]) -> None:
    assert [place for place in range(len(text)) if begins_word(text, place)] == places


class Scripted:
    """Gives these rivals for the next piece, and goes on with these pieces after each; of the last it is not sure."""

    catalogue = read_catalogue()

    def __init__(self, rivals: dict[str, float], after: dict[str, list[tuple[str, float]]], reason: str = "length"):
        self.rivals, self.after, self.reason = rivals, after, reason

    def run(self, model_id: str, requests: list[Generate], caller: Caller) -> list[Generation]:
        return [self._made(request) for request in requests]

    def _made(self, request: Generate) -> Generation:
        if request.sampling.max_new_tokens == 1:
            rivals = tuple((text, math.log(share)) for text, share in self.rivals.items())
            return Generation("", "length", 1, 1, {}, tokens=(Token("?", 0, -0.1, rivals),))
        pieces = next(self.after[rival] for rival in self.after if request.prompt.endswith(rival))
        tokens = tuple(Token(text, 0, math.log(share)) for text, share in pieces)
        return Generation("".join(text for text, _ in pieces), self.reason, 1, 4, {}, tokens=tokens)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("target", "text", "word", "rivals", "expected"),
    [("en", "My sister paid.", "sister", {" Sister": [(" is", 0.5)], " sibl": [("ing", 0.9), (" paid", 0.5)],
                                          " great": [("-grand", 0.5), ("moth", 0.5)], " 3": [(" of", 0.5)]},
      ["sibling"]),
     ("en", "We have 20 cats.", "20", {" 30": [(" cats", 0.5)], " twenty": [(" cats", 0.5)]}, []),
     ("zh", "我的姐姐来。", "姐姐", {"妹": [("妹", 0.95), ("来", 0.3)], "家": [("来", 0.2), ("。", 0.9)],
                                  "小": [("妹", 0.9), ("的", 0.9), ("姐", 0.9), ("了", 0.9)]}, ["妹妹", "家"]),
     ("zh", "二十人坐火车来。", "二", {"三": [("十", 0.9), ("人", 0.9)], "人": [("坐", 0.1)]}, []),
     ("zh", "我坐火车来。", "火", {"火": [("车", 0.9), ("来", 0.1)], "飞": [("机", 0.9), ("来", 0.1)]}, ["飞机"])],
)  # fmt: skip
def test_only_whole_other_words_are_offered(
    target: str, text: str, word: str, rivals: dict[str, list[tuple[str, float]]], expected: list[str]
) -> None:
    engine: Any = Scripted({**dict.fromkeys(rivals, 0.2), "稀": 0.001}, rivals)
    way = Way("gemma-3-270m-translator", "zh" if target == "en" else "en", target)
    found = alternatives(engine, way, Sentence("x", text, None), text.index(word), Caller())
    assert [one.word for one in found] == expected
    assert all(one.beginning == text[: text.index(word)] + one.word for one in found)


def test_nobody_waits_while_the_encoder_is_read() -> None:
    asked: list[str] = []
    tokens: list[int | None] = [None, None, 0]
    engine: Any = SimpleNamespace(
        settings=SimpleNamespace(is_small=False), catalogue=SimpleNamespace(is_ready=lambda id: True),
        count_tokens=lambda id, text: tokens.pop(0), load=lambda id, caller: asked.append(id),
        run=lambda id, requests, caller: [Scoring(())] * len(requests),
    )  # fmt: skip
    done = Translation("Hola.", None, "de", [Sentence("Hallo.", "Hola.", None)])
    result = TranslateResult([done], "student-en-es", via=GEMMA)
    assert find_words(engine, result, Caller()) is None and find_words(engine, result, Caller()) is None
    assert asked == [ENCODER] * 2, "loading what is being loaded does nothing"
    assert find_words(engine, result, Caller()) == [[]]


def test_the_encoder_tells_words_of_who_cannot(house: House) -> None:
    """Of a model without an alignment, and of two models one after the other; as the student tells its own."""
    if not house.catalogue.is_ready(ENCODER):
        pytest.skip("the encoder is not in the cache")
    sentences = [Sentence("My sister bought a heavy coat.", "Minha irmã comprou um casaco pesado.", 0.9)]
    (own,), (found,) = (words_of(house.engine, id, sentences, Caller()) for id in (STUDENT, ""))
    assert [(one.target, one.source) for one in found] == [(one.target, one.source) for one in own]
    assert all(one.probability is None and one.share > 0.5 for one in found)
    chinese = [Sentence("我们明天去图书馆。", "We will go to the library tomorrow.", None)]
    (found,) = words_of(house.engine, "", chinese, Caller())
    pairs = {chinese[0].text[slice(*one.target)]: chinese[0].source[slice(*one.source)] for one in found}
    assert pairs["We"] == "我们" and pairs["tomorrow"] == "明天"
    names = [f"Yesterday {one} met {other}." for one, other in zip(NAMES, NAMES[3:] + NAMES[:3], strict=True)]
    for text, links_of in zip(names, words_of(house.engine, "", [Sentence(one, one, None) for one in names], Caller()),
                              strict=True):  # fmt: skip
        assert all(one.source == one.target for one in links_of), text


def test_a_language_model_goes_on_from_another_word_too(house: House) -> None:
    if not house.catalogue.is_ready(GEMMA):
        pytest.skip("Gemma is not in the cache")
    sentence = Sentence("My sister bought a heavy coat.", "Ma sœur a acheté un manteau lourd.", 0.9)
    way = Way(GEMMA, "en", "fr")
    start = sentence.text.index("manteau")
    found = alternatives(house.engine, way, sentence, start, Caller())
    assert found and all(one.beginning.startswith("Ma sœur a acheté un ") and one.text == "" for one in found)
    assert all(one.beginning.endswith(one.word) and one.word != "manteau" for one in found)
    text = rewritten(house.engine, way, sentence, found[0].beginning, Caller())
    assert text.startswith(found[0].beginning) and "\n" not in text
    more = others(house.engine, way, sentence, 2, Caller())
    assert len(set(more)) == len(more) > 0 and sentence.text not in more


def test_other_translations_of_a_sentence_and_all_of_it_by_the_application(house: House) -> None:
    request = WordingsRequest(
        "The old bank near the river was closed.", "A antiga margem perto do rio foi fechada.", "en", "pt", STUDENT,
        start=9, beginning="A velha", others=2,
    )  # fmt: skip
    found = WORDINGS.run(house.engine, request, Caller())
    assert [one.text for one in found.words][:3] == ["A", "antiga", "margem"]
    assert request.text[found.words[2].source_start : found.words[2].source_end] == "bank"
    assert found.choices and found.choices[0].text.startswith("A antiga ")
    assert found.rewritten.startswith("A velha ") and len(found.others) == 2 and request.translation not in found.others


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"source": "xx"}, "source"),
        ({"target": "en"}, "target"),
        ({"translation": " "}, "translation"),
        ({"text": ""}, "text"),
        ({"start": 400}, "start"),
        ({"start": -1}, "start"),
        ({"start": 1}, "start"),
        ({"source": "fr"}, "model"),
        ({"source": "auto"}, "source"),
        ({"via": "student-fr-en", "source": "de"}, "via"),
        ({"via": "firefox-pt-en", "source": "pt", "target": "fr"}, "model"),
        ({"source": "fr", "model": "gemma-3-270m-translator", "target": "en"}, "model"),
        ({"others": 6}, "others"),
        ({"model": "sentiment-e5"}, "model"),
        ({"via": "sentiment-e5"}, "model"),
    ],
)
def test_what_is_wrong_with_it_is_told(house: House, changes: dict[str, Any], field: str) -> None:
    with pytest.raises(PeopleError) as error:
        WORDINGS.run(house.engine, replace(WordingsRequest("Hello.", "Olá.", "en", "pt", STUDENT), **changes), Caller())
    assert error.value.param == field


def test_a_way_that_no_model_went_is_422_and_languages_are_those_served(house: House) -> None:
    right = WordingsRequest("Hello.", "Olá.", "en", "pt", STUDENT)
    for changes in ({"start": 1}, {"source": "fr"}, {"via": STUDENT}):
        with pytest.raises(UnsupportedError, match=r"Ask without it|Send what /api/translate told"):
            WORDINGS.run(house.engine, replace(right, **changes), Caller())  # type: ignore[arg-type]
    with pytest.raises(PeopleError, match=r"choose one of (\w\w, )*pt\.$") as error:
        WORDINGS.run(house.engine, replace(right, source="auto"), Caller())
    assert "th" not in str(error.value).partition("one of ")[2].rstrip(".").split(", ")


def test_through_english_the_second_model_goes_on(house: House) -> None:
    if not house.catalogue.is_ready("firefox-pt-en"):
        pytest.skip("firefox-pt-en is not in the cache")
    sentence = Sentence("Minha irmã comprou um casaco pesado.", "Ma sœur a acheté un manteau lourd.", 0.9)
    way = Way("student-en-fr", "pt", "fr", "firefox-pt-en")
    found = alternatives(house.engine, way, sentence, sentence.text.index("manteau"), Caller())
    assert found and all(one.text.startswith("Ma sœur a acheté un ") for one in found)


def test_a_sentence_is_exchanged_for_another() -> None:
    sentences = [Sentence("One.", "Um.", 0.5), Sentence("Two.", "Um.", 0.5), Sentence("Three.", "Três.", 0.5)]
    before = Translation("Um. Um.\n\nTrês.\n", 0.5, "en", sentences)
    assert before.places() == [(0, 3), (4, 7), (9, 14)]
    after = exchanged(before, 1, "Dois.", "pt")
    assert after.text == "Um. Dois.\n\nTrês.\n"
    assert [one.text for one in after.sentences] == ["Um.", "Dois.", "Três."] and after.sentences[1].score is None


def test_what_a_sentence_is_exchanged_for_is_checked() -> None:
    sentences = [Sentence("It costs 5 €.", "Custa 50 €.", 0.5, Text("A fault.")), Sentence("Two.", "Dois.", 0.5)]
    before = Translation("Custa 50 €. Dois.", 0.5, "en", sentences, Text("A fault."))
    wrong, right = (exchanged(before, 0, text, "pt") for text in ("Custa 500 €.", "Custa 5 €."))
    assert "5 €" in str(wrong.warning) and wrong.sentences[0].is_doubtful
    assert not right.warning and not right.sentences[0].warning


def test_no_other_wording_has_another_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    found = ["Custa 500 €.", "Ele custa 5 €.", "Custa £5."]
    monkeypatch.setattr(words, "_Writer", lambda *about: SimpleNamespace(searched=lambda count: found))
    way, sentence = Way(STUDENT, "en", "pt"), Sentence("It costs 5 €.", "Custa 5 €.", 0.9)
    assert others(None, way, sentence, 3, Caller()) == ["Ele custa 5 €."]  # type: ignore[arg-type]
    found[1] = "Custa 5."
    assert others(None, way, sentence, 3, Caller()) == []  # type: ignore[arg-type]


def test_other_words_for_a_word_and_the_rest_made_anew(house: House) -> None:
    text = "A antiga margem perto do rio foi fechada na primavera passada."
    sentence = Sentence("The old bank near the river was closed last spring.", text, 0.9)
    way = Way(STUDENT, "en", "pt")
    found = alternatives(house.engine, way, sentence, text.index("margem"), Caller())
    assert len(found) == 3 and len({one.word for one in found}) == 3
    assert all(one.text.startswith(f"A antiga {one.word}") and one.word != "margem" for one in found)
    first = alternatives(house.engine, way, sentence, 0, Caller())
    assert first and all(one.text.startswith(one.word) for one in first)
