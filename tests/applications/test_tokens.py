"""Where the tokens of a written text stand, how likely they were, and what could have stood there."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from fakes import HOST

from engine.applications import write
from engine.applications.tokens import MOST_RIVALS, Rival, WrittenToken, lay, typical_probability
from engine.applications.write import WriteRequest
from engine.errors import InputError
from engine.requests import Token

HALF = math.log(0.5)


@pytest.mark.parametrize(
    ("text", "pieces", "start", "placed"),
    [("The sea.", ["The", " sea", "."], 0, [(0, "The"), (3, " sea"), (7, ".")]),
     ("Once The sea", ["The", " sea"], 5, [(5, "The"), (8, " sea")]),
     ("The sea", ["The", "<end>", " sea"], 0, [(0, "The"), (3, " sea")]),
     ("The", ["The", " sea", " sang"], 0, [(0, "The")]),
     ("", ["The"], 0, []), ("海啊", ["海", "啊"], 0, [(0, "海"), (1, "啊")])],
    ids=["plain", "after-ours", "control", "cut-back", "empty", "chinese"],
)  # fmt: skip
def test_tokens_stand_where_their_text_does(
    text: str, pieces: list[str], start: int, placed: list[tuple[int, str]]
) -> None:
    found = lay(text, [Token(piece, 1, HALF) for piece in pieces], start)
    assert [(one.start, one.text) for one in found] == placed
    assert all(text[one.start :].startswith(one.text) and one.probability == pytest.approx(0.5) for one in found)


def test_parts_of_a_character_are_one_and_what_is_no_text_is_no_rival() -> None:
    tokens = [Token("A", 1, HALF, ((" B", HALF), ("", HALF), ("\udce2", HALF)))]
    tokens += [Token("", 2, None, raw=b"\xe2\x82"), Token("€", 3, HALF, (("x", HALF),), raw=b"\xac")]
    first, second = lay("A€", tokens)
    assert first.rivals == [Rival(" B", pytest.approx(0.5))]
    assert (second.text, second.start, second.probability, second.rivals) == ("€", 1, None, [])


def test_the_typical_probability_is_the_geometric_mean_of_those_known() -> None:
    tokens = [WrittenToken("a", 0, 0.5), WrittenToken("b", 1, None), WrittenToken("c", 2, 0.125)]
    assert typical_probability(tokens) == pytest.approx(0.25)
    assert typical_probability([]) is typical_probability(tokens[1:2]) is None


def test_a_text_comes_with_its_tokens_where_they_are_asked_for(house) -> None:
    request = WriteRequest("the sea", "free", max_new_tokens=3, rivals=10)
    result = write.APPLICATION.run(house.engine, request, HOST)
    assert result.tokens and "".join(one.text for one in result.tokens) == result.text
    assert house.backend.seen[-1].top_logprobs == 10
    plain = write.APPLICATION.run(house.engine, replace(request, rivals=0), HOST)
    assert plain.text == result.text and plain.tokens == []


def test_tokens_that_end_a_sentence_count_too_and_our_own_words_are_none(house) -> None:
    house.backend.say = lambda request: (" late." if request.begun.endswith("It was") else " It was", "length")
    request = WriteRequest("un roi", "story", language="fr", max_new_tokens=40, is_finished=True, rivals=2)
    result = write.APPLICATION.run(house.engine, request, HOST)
    assert result.text == "Il était une fois It was late."
    assert "".join(one.text for one in result.tokens) == " It was late." and result.tokens[0].start == 17


@pytest.mark.parametrize("rivals", [-1, MOST_RIVALS + 1])
def test_no_more_rivals_than_there_are_to_tell(house, rivals: int) -> None:
    with pytest.raises(InputError, match="rivals takes a number from 0 to 20"):
        write.APPLICATION.run(house.engine, WriteRequest("x", rivals=rivals), HOST)
