"""From pieces to words, on a made alignment and, where it is in the cache, on the embedded student's own."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.applications.alignments import links
from engine.requests import Alignment, Generate, Sampling, Token
from engine.serving.compose import open_house
from engine.serving.protocol import Caller
from engine.settings import current

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


def test_names_come_from_themselves() -> None:
    house = open_house(replace(current(), prefetch=False, threads=1))
    try:
        if house.store.availability("firefox-en-pt").state != "ready":
            pytest.skip("firefox-en-pt is not in the cache")
        texts = [
            f"Yesterday {one} was compared with {other} by the newspaper."
            for one, other in zip(NAMES, NAMES[3:] + NAMES[:3], strict=True)
        ]
        asked = [Generate(text, sampling=Sampling(60, 0.0), align=True) for text in texts]
        right = seen = 0
        for text, result in zip(texts, house.engine.run("firefox-en-pt", asked, Caller()), strict=True):
            for link in links(text, result.tokens, result.alignment):
                word = result.text[slice(*link.target)]
                if word in NAMES:
                    seen += 1
                    right += text[slice(*link.source)] == word
        assert seen >= 15 and right >= 0.9 * seen
    finally:
        house.engine.close()
