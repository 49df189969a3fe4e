"""From pieces to words, on a made alignment and, where it is in the cache, on the embedded student's own; and what
else could stand for a word."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from engine.applications.alignments import links
from engine.applications.sentences import Sentence, Translation
from engine.applications.words import alternatives, exchanged, is_doubtful, words_of
from engine.requests import Alignment, Generate, Sampling, Token
from engine.serving.compose import House, open_house
from engine.serving.protocol import Caller
from engine.settings import current

STUDENT = "firefox-en-pt"
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


def test_a_sentence_is_exchanged_for_another() -> None:
    sentences = [Sentence("One.", "Um.", 0.5), Sentence("Two.", "Um.", 0.5), Sentence("Three.", "Três.", 0.5)]
    before = Translation("Um. Um.\n\nTrês.\n", 0.5, "en", sentences)
    assert before.places() == [(0, 3), (4, 7), (9, 14)]
    after = exchanged(before, 1, "Dois.")
    assert after.text == "Um. Dois.\n\nTrês.\n"
    assert [one.text for one in after.sentences] == ["Um.", "Dois.", "Três."] and after.sentences[1].score is None


def test_other_words_for_a_word_and_the_rest_made_anew(house: House) -> None:
    text = "A antiga margem perto do rio foi fechada na primavera passada."
    sentence = Sentence("The old bank near the river was closed last spring.", text, 0.9)
    found = alternatives(house.engine, STUDENT, sentence, text.index("margem"), Caller())
    assert len(found) == 3 and len({one.word for one in found}) == 3
    assert all(one.text.startswith(f"A antiga {one.word}") and one.word != "margem" for one in found)
    first = alternatives(house.engine, STUDENT, sentence, 0, Caller())
    assert first and all(one.text.startswith(one.word) for one in first)
