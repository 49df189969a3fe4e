"""Answers on a scripted backend: offsets in the caller's own string, no answer, limits."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fakes import HOST

from engine.applications import answer
from engine.applications.answer import MAX_CONTEXT_CHARACTERS
from engine.applications.answers import AnswerRequest
from engine.applications.reading import context_of
from engine.errors import InputError, PeopleError, TooLargeError, UnsupportedError
from engine.requests import Extraction, Span
from engine.serving.compose import open_house
from engine.settings import current

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
    spans = (Span("tower", 4, 9, 0.6), Span("high", 18, 22, 0.2), Span("90 m", 13, 17, 0.1))
    house.backend.extraction = Extraction(spans, 0.1, 0.5)
    result = answer.APPLICATION.run(house.engine, AnswerRequest("What?", "The tower is 90 m high"), HOST)
    assert (result.answer, result.score, result.start, result.end) == ("tower", 0.6, 4, 9)
    assert [span.answer for span in result.alternatives] == ["high", "90 m"]
    assert result.model == "answer-e5"


def test_no_answer_is_empty_and_still_lists_what_came_closest(house) -> None:
    house.backend.extraction = Extraction((Span("tower", 4, 9, 0.2),), 0.7, 0.5)
    result = answer.APPLICATION.run(house.engine, AnswerRequest("Who?", "The tower is 90 m high"), HOST)
    assert (result.answer, result.start, result.end, result.score) == ("", 0, 0, 0.7)
    assert [span.answer for span in result.alternatives] == ["tower"]


FORM = "Tenant: Ana Costa\nDeposit: 1700 EUR\n- Start of rent: 1 May 2026\n\nNote: paid in cash"


@pytest.mark.parametrize(
    ("question", "value"),
    [("How much is the deposit?", "1700 EUR"), ("Who is the tenant?", "Ana Costa"),
     ("When does the rent start, the start of rent?", "1 May 2026"), ("Who is the landlord?", "")],
)  # fmt: skip
def test_a_line_of_a_form_is_answered_from_that_line(house, question: str, value: str) -> None:
    def extract(job) -> None:
        said = job.request.passage
        start = said.find(value) if value and said.startswith("The ") else -1
        spans = (Span(value, start, start + len(value), 0.8),) if start >= 0 else ()
        job.finish(Extraction(spans, 0.1 if spans else 0.9, 0.5))

    house.backend._extract = extract
    result = answer.APPLICATION.run(house.engine, AnswerRequest(question, FORM), HOST)
    assert result.answer == FORM[result.start : result.end] == value
    assert len(house.backend.seen) == (2 if value else 1)


@pytest.mark.parametrize(
    ("line", "found", "expected"),
    [("Deposit: 1700 EUR", "1700", "1700 EUR"), ("Deposit: EUR 1,700", "1,700", "EUR 1,700"),
     ("Deposit: 5%", "5", "5%"),
     ("Deposit: 1700 EUR in cash before the first night", "1700", "1700 EUR"),
     ("Deposit: paid to Ana Costa in Porto", "Ana Costa", "Ana Costa")],
)  # fmt: skip
def test_a_figure_in_a_form_keeps_its_unit(house, line: str, found: str, expected: str) -> None:
    def extract(job) -> None:
        start = job.request.passage.find(found)
        job.finish(Extraction((Span(found, start, start + len(found), 0.8),), 0.1, 0.5))

    house.backend._extract = extract
    text = f"Rent: 850 EUR\n{line}"
    result = answer.APPLICATION.run(house.engine, AnswerRequest("Deposit?", text), HOST)
    assert result.answer == text[result.start : result.end] == expected


def test_around_an_alternative_stand_whole_words() -> None:
    passage = "After a storm had destroyed the old wooden pier,\nKarin Ostberg built a new harbour of stone there."
    start = passage.index("Karin")
    before, behind = context_of(passage, start, start + len("Karin Ostberg"))
    assert (before, behind) == (" the old wooden pier, ", " built a new harbour of stone ")
    assert context_of("Ana came.", 0, 3) == ("", " came.")


def test_a_tiny_passage_is_read_once_more_with_some_words_before_it(house) -> None:
    def extract(job) -> None:
        said = job.request.passage
        start = said.find("Tom") if said.startswith("It is said") and "Who" in job.request.question else -1
        job.finish(
            Extraction((Span("Tom", start, start + 3, 0.8),) if start >= 0 else (), 0.1 if start >= 0 else 0.9, 0.5)
        )

    house.backend._extract = extract
    result = answer.APPLICATION.run(house.engine, AnswerRequest("Who won?", "Tom won."), HOST)
    assert (result.answer, result.start, result.end, result.score) == ("Tom", 0, 3, 0.8)
    assert answer.APPLICATION.run(house.engine, AnswerRequest("Where?", "Tom won."), HOST).answer == ""


def test_there_is_no_answer_only_where_that_is_likelier(house) -> None:
    house.backend.extraction = Extraction((Span("Ana", 0, 3, 0.48),), 0.41, 0.3)
    result = answer.APPLICATION.run(house.engine, AnswerRequest("Who came?", "Ana came."), HOST)
    assert (result.answer, result.score) == ("Ana", 0.48)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [(0, 3, "Ana"), (1, 3, "Ana"), (4, 6, "paid"), (9, 15, "€1,700"), (9, 17, "€1,700"), (16, 18, ""), (22, 26, "50%"),
     (28, 30, "Zürich")],
)  # fmt: skip
def test_spans_end_at_words_and_signs_alone_are_none(house, start: int, end: int, expected: str) -> None:
    passage = "Ana paid €1,700 . (or 50%) Zürich."
    house.backend.extraction = Extraction((Span(passage[start:end], start, end, 0.9),), 0.1, 0.5)
    result = answer.APPLICATION.run(house.engine, AnswerRequest("What?", passage), HOST)
    assert result.answer == passage[result.start : result.end] == expected


def test_unlikely_alternatives_are_not_shown(house) -> None:
    spans = (Span("tower", 4, 9, 0.6), Span("high", 18, 22, 0.2), Span("90 m", 13, 17, 0.04))
    house.backend.extraction = Extraction(spans, 0.1, 0.5)
    result = answer.APPLICATION.run(house.engine, AnswerRequest("What?", "The tower is 90 m high"), HOST)
    assert [one.answer for one in result.shown] == ["high"] and len(result.alternatives) == 2


@pytest.mark.parametrize(
    ("question", "passage", "said"),
    [("Did Ana come?", "Ana came.", "yes or no"), ("Isn't it red?", "It is red.", "yes or no"),
     ("Is it red or blue?", "It is red.", ""), ("Who came?", "Ana came.", ""),
     ("Can you tell me who came?", "Ana came.", ""), ("Est-ce qu'elle vient ?", "Ana vient.", "yes or no"),
     ("Est-elle à Lyon ?", "À Lyon.", "yes or no"), ("Ist er rot?", "Er ist rot.", "yes or no"),
     ("¿Está en París?", "En París.", "yes or no"), ("铁塔在巴黎吗？", "铁塔在巴黎。", "yes or no"),
     ("Istanbul?", "In Istanbul.", ""), ("Quand est-ce qu'elle vient ?", "Demain.", ""),
     ("Qui est venu ?", "Ana est venue hier soir par le train de Paris.", ""),
     ("Chi è venuto?", "Anna è venuta ieri sera con il treno da Bologna.", "looks Italian"),
     ("Ki jött?", "Tegnap este Anna jött vonattal Budapestről.", "looks Hungarian"),
     ("谁写了这本书？", "这本书是老舍在北京写的。", ""), ("誰？", "花子が来ました。", "looks Japanese")],
)  # fmt: skip
def test_what_the_model_cannot_do_is_told(house, question: str, passage: str, said: str) -> None:
    result = answer.APPLICATION.run(house.engine, AnswerRequest(question, passage), HOST)
    assert said in str(result.warning) if said else not result.warning


def test_the_embedded_reader_knows_forms_and_tiny_passages() -> None:
    house = open_house(replace(current(), prefetch=False, threads=1))
    form = "Address: 12 Rua Nova, Porto\nDeposit: 1700 EUR\nRent: 850 EUR"
    cases = [
        ("How much is the deposit?", form, "1700 EUR"), ("Deposit?", form, "1700 EUR"),
        ("Deposit?", "Deposit: 1700 EUR", "1700 EUR"), ("What is the rent?", form, "850 EUR"),
        ("Who came?", "Ana came.", "Ana"), ("Who won?", "Tom won.", "Tom"), ("How deep is the water?", "Ana came.", ""),
    ]  # fmt: skip
    try:
        said = [answer.APPLICATION.run(house.engine, AnswerRequest(one, text), HOST).answer for one, text, _ in cases]
    finally:
        house.engine.close()
    assert said == [expected for _, _, expected in cases]


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


@pytest.mark.parametrize(
    ("passage", "said"),
    [
        ("The harbour was built in 1742 by the engineer Karin Ostberg.", ""),
        ("Le port fut construit en 1742 par l'ingénieure Karin Ostberg.", ""),
        ("这个港口由工程师林海于1742年建成，后来成为渔业中心。", "In Chinese the model is wrong more often"),
        ("Il porto fu costruito nel 1742 dall'ingegnere Karin Ostberg.", "Italian"),
    ],
    ids=["en", "fr", "zh", "it"],
)
def test_a_language_in_which_it_does_worse_is_named(house, passage: str, said: str) -> None:
    known = house.engine.catalogue.models
    known["answer-e5"] = replace(known["answer-e5"], languages=("en", "fr", "de", "es", "zh"), best_in=("en", "fr"))
    result = answer.APPLICATION.run(house.engine, AnswerRequest("1742?", passage), HOST)
    assert result.model == "answer-e5" and (said in str(result.warning) if said else not result.warning)
