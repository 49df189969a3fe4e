"""Answers on a scripted backend: offsets in the caller's own string, no answer, limits."""

from __future__ import annotations

import pytest
from fakes import HOST

from engine.applications import answer
from engine.applications.answer import MAX_CONTEXT_CHARACTERS, AnswerRequest
from engine.errors import InputError, PeopleError, TooLargeError, UnsupportedError
from engine.requests import Extraction, Span

MESSY = "\ufeffRe\u0301sume\u0301 🙂\r\n\x07The tower is 90 m high.\r\n👩‍👩‍👧 It is red."


def test_offsets_fit_the_context_exactly_as_it_was_sent(house) -> None:
    result = answer.APPLICATION.run(house.engine, AnswerRequest("What is tower?", MESSY), HOST)
    assert result.answer == "tower" and MESSY[result.start : result.end] == "tower"
    assert house.backend.seen[0].passage == MESSY


def test_half_a_character_pair_does_not_move_the_offsets(house) -> None:
    context = "\ud83d broken, but the tower stands"
    result = answer.APPLICATION.run(house.engine, AnswerRequest("What is tower?", context), HOST)
    assert context[result.start : result.end] == result.answer == "tower"


def test_the_best_span_is_the_answer_and_the_others_are_alternatives(house) -> None:
    spans = (Span("tower", 4, 9, 0.6), Span("high", 19, 23, 0.2), Span("90 m", 13, 17, 0.1))
    house.backend.extraction = Extraction(spans, 0.1, 0.5)
    result = answer.APPLICATION.run(house.engine, AnswerRequest("What?", "The tower is 90 m high"), HOST)
    assert (result.answer, result.score, result.start, result.end) == ("tower", 0.6, 4, 9)
    assert [span.answer for span in result.alternatives] == ["high", "90 m"]
    assert result.model == "answer-minilm"


def test_no_answer_is_empty_and_still_lists_what_came_closest(house) -> None:
    house.backend.extraction = Extraction((Span("tower", 4, 9, 0.2),), 0.7, 0.5)
    result = answer.APPLICATION.run(house.engine, AnswerRequest("Who?", "The tower is 90 m high"), HOST)
    assert (result.answer, result.start, result.end, result.score) == ("", 0, 0, 0.7)
    assert [span.answer for span in result.alternatives] == ["tower"]


def test_passages_far_over_the_usual_limit_are_read(house) -> None:
    context = "word " * 20_000 + "tower"
    result = answer.APPLICATION.run(house.engine, AnswerRequest("What is tower?", context), HOST)
    assert context[result.start : result.end] == "tower"


@pytest.mark.parametrize(
    ("request_", "error", "param"),
    [
        (AnswerRequest("", "Some text."), InputError, "question"),
        (AnswerRequest("What?" * 300, "Some text."), TooLargeError, "question"),
        (AnswerRequest("What?", "  \n"), InputError, "context"),
        (AnswerRequest("What?", "x" * (MAX_CONTEXT_CHARACTERS + 1)), TooLargeError, "context"),
        (AnswerRequest("What?", None), InputError, "context"),  # type: ignore[arg-type]
        (AnswerRequest("What?", "Some text.", 0), InputError, "top_k"),
        (AnswerRequest("What?", "Some text.", 21), InputError, "top_k"),
        (AnswerRequest("What?", "Some text.", "3"), InputError, "top_k"),  # type: ignore[arg-type]
        (AnswerRequest("What?", "Some text.", 3, "gpt2"), UnsupportedError, "model"),
    ],
)
def test_errors_name_their_field(house, request_: AnswerRequest, error: type[PeopleError], param: str) -> None:
    with pytest.raises(error) as caught:
        answer.APPLICATION.run(house.engine, request_, HOST)
    assert caught.value.param == param
    assert house.backend.seen == []


def test_metrics_take_the_best_reference_and_reward_saying_nothing() -> None:
    f1, exact = answer.APPLICATION.metrics["f1"], answer.APPLICATION.metrics["exact_match"]
    assert f1(["the red tower", ""], [["tower", "red tower"], []]) == 1.0
    assert exact(["tower", "bridge"], [["The tower."], ["the old bridge"]]) == 0.5
