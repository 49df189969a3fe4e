"""Answers over documents: quoted where they stand, or written and checked; questions that lean on the one before."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from benches import Bench, embedded_models
from fakes import FakeBackend

from engine.applications import answer, citing, over_documents, suggesting
from engine.applications.answers import AnswerRequest, AnswerResult
from engine.applications.follow_ups import completed, leans
from engine.documents import Document, Page, Paragraph
from engine.documents.passages import Passage
from engine.errors import ForbiddenError, InputError, NotFoundError, PeopleError, UnsupportedError
from engine.requests import Embedding, Generation
from engine.serving.access import owner_of
from engine.serving.protocol import Caller
from engine.settings import Settings

HOST = Caller("me", "host")
HARBOUR = "The harbour of Lindholm was built in 1742 by Karin Ostberg. It served the herring fleet."
OTHER = "Music is played in sheds. Nobody counts the visitors of concerts."


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench(*embedded_models(), queue_length=64)
    yield made
    made.house.close()


def bring(bench: Bench, *texts: str, owner: str = "home") -> str:
    pages = tuple(Page(n, (Paragraph(text),)) for n, text in enumerate(texts, 1))
    return bench.house.documents.add(owner, Document("Report", pages, True), "report.pdf").id


def asked(bench: Bench, request: AnswerRequest, caller: Caller = HOST) -> AnswerResult:
    *_, last = answer.APPLICATION.of(bench.house)(bench.house.engine, request, caller)
    result: AnswerResult = last.result
    return result


def test_an_answer_is_quoted_with_its_place_on_its_page(bench: Bench) -> None:
    id = bring(bench, OTHER, HARBOUR)
    found = asked(bench, AnswerRequest("Which fleet was served by the harbour of Lindholm?", documents=[id]))
    one = found.passages[found.source]
    assert found.answer == "Lindholm" and one.page == 2 and one.text[found.start : found.end] == "Lindholm"
    assert one.title == "Report" and one.meaning is None and "Found by words alone" in str(found.warning)


def test_with_an_index_it_is_found_by_meaning_too(bench: Bench) -> None:
    id = bring(bench, OTHER, HARBOUR)
    bench.house.indexing.begin("home", id, HOST)
    assert bench.house.indexing.wait([id], 30)
    found = asked(bench, AnswerRequest("Anything about a harbour?", documents=[id]))
    assert len(found.passages) == 2 and all(one.meaning == 1.0 for one in found.passages)
    assert "words alone" not in str(found.warning)


def test_no_answer_and_no_passage_are_told_apart(bench: Bench) -> None:
    id = bring(bench, HARBOUR)
    found = asked(bench, AnswerRequest("Is the harbour deep?", documents=[id]))
    assert found.answer == "" and found.score == 0.95 and found.passages
    found = asked(bench, AnswerRequest("Quantum chromodynamics?", documents=[id]))
    assert found.answer == "" and not found.passages and "Ask in other words" in str(found.warning)


@pytest.mark.parametrize(
    ("request_", "error", "words"),
    [
        (AnswerRequest("Who?", "text", documents=["x"]), InputError, "not both"),
        (AnswerRequest("Who?", documents=["x"]), NotFoundError, "not here any more"),
        (AnswerRequest("Who?", documents=["x"] * 3, style="sing"), InputError, "choose one of"),  # type: ignore[arg-type]
        (AnswerRequest(" ", documents=["x"]), InputError, "question is empty"),
        (AnswerRequest("Who?", documents=[str(n) for n in range(101)]), PeopleError, "over 100 documents"),
        (AnswerRequest("Who?", "", documents=[]), InputError, "context is empty"),
    ],
    ids=["both", "unknown", "style", "empty", "many", "nothing"],
)
def test_what_cannot_be_asked(bench: Bench, request_: AnswerRequest, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        asked(bench, request_)


def test_anothers_documents_are_not_there() -> None:
    bench = Bench(*embedded_models(), queue_length=64, is_public=True, can_visitors_upload=True)
    mine, yours = Caller("one", "visitor", address="1.2.3.4"), Caller("two", "visitor", address="1.2.3.4")
    id = bring(bench, HARBOUR, owner=owner_of(bench.house.settings, mine))
    assert asked(bench, AnswerRequest("Where is Lindholm?", documents=[id]), mine).answer == "Lindholm"
    with pytest.raises(NotFoundError):
        asked(bench, AnswerRequest("Where is Lindholm?", documents=[id]), yours)
    with pytest.raises(ForbiddenError, match="API key"):
        asked(bench, AnswerRequest("Where is Lindholm?", documents=[id]), Caller("1.2.3.4", address="1.2.3.4"))
    bench.house.close()


def test_whose_documents_are_whose() -> None:
    assert owner_of(Settings(), Caller("tab")) == owner_of(Settings(), Caller("other")) == "home"
    trusted = Settings(is_network_trusted=True)
    assert owner_of(trusted, Caller("a")) != owner_of(trusted, Caller("b"))
    assert owner_of(trusted, Caller("1.2.3.4", address="1.2.3.4")).endswith("1.2.3.4")
    with pytest.raises(ForbiddenError):
        owner_of(Settings(is_public=True), Caller(""))


class Writer(FakeBackend):
    """Writes what it was told to."""

    said = ""

    def _generate(self, job: Any) -> None:
        for word in self.said.split(" "):
            job.emit(f"{word} ")
        job.finish(Generation(self.said, "stop", 1, 1, job.request.sampling.as_dict()))


class Letters(FakeBackend):
    """Vectors by which letters a text has."""

    def _embed(self, job: Any) -> None:
        counts = [job.request.text.casefold().count(letter) for letter in "abcdefghijklmnopqrstuvwxyz0123456789"]
        size = sum(count * count for count in counts) ** 0.5 or 1.0
        job.finish(Embedding([count / size for count in counts]))


def written(bench: Bench, said: str) -> AnswerResult:
    writer = Writer()
    writer.said = said
    bench.plan |= {"smollm2-135m-instruct": writer, "multilingual-e5-small": Letters()}
    id = bring(bench, HARBOUR, OTHER)
    return asked(bench, AnswerRequest("Who built the harbour of Lindholm?", documents=[id], style="write"))


def test_a_written_answer_cites_and_what_no_passage_says_is_refused(bench: Bench) -> None:
    found = written(
        bench,
        "According to the sources, the harbour of Lindholm was built by Karin Ostberg [2]. It was built in 1999 by "
        "Karin Ostberg. Who built it? Elephants dance quietly under purple moons.",
    )
    kept, *refused = found.sentences
    assert found.answer == kept.text == "The harbour of Lindholm was built by Karin Ostberg." and kept.is_kept
    one = found.passages[kept.sources[0]]
    assert one.text[kept.start : kept.end].endswith("Karin Ostberg.") and found.source == kept.sources[0]
    assert [one.is_kept for one in refused] == [False] * 3 and found.score == 0.25
    assert str(refused[0].why) == "The passage lacks 1999." and "asks" in str(refused[1].why)
    assert str(refused[2].why) == "No passage says this."


def test_an_answer_of_which_nothing_is_borne_out_is_empty(bench: Bench) -> None:
    found = written(bench, "Zzz qqq xxx jjj vvv.")
    assert found.answer == "" and found.score == 0 and not found.sentences[0].is_kept and found.passages


def test_kept_sentences_come_as_text_with_their_marks(bench: Bench) -> None:
    writer = Writer()
    writer.said = "The harbour of Lindholm was built by Karin Ostberg. Zzz qqq xxx jjj."
    bench.plan |= {"smollm2-135m-instruct": writer, "multilingual-e5-small": Letters()}
    request = AnswerRequest("Who built the harbour?", documents=[bring(bench, HARBOUR)], style="write")
    events = list(answer.APPLICATION.of(bench.house)(bench.house.engine, request, HOST))
    text = "".join(event.text for event in events if event.kind == "text")
    assert text == "The harbour of Lindholm was built by Karin Ostberg. [1]"


def test_who_does_not_write_is_refused(bench: Bench) -> None:
    request = AnswerRequest(
        "Who built the harbour?", documents=[bring(bench, HARBOUR)], style="write", writer="sentiment-e5"
    )
    with pytest.raises(UnsupportedError, match="does not write"):
        asked(bench, request)


def test_writers_are_asked_in_their_own_form() -> None:
    bench = Bench(*embedded_models())
    chat, plain = (bench.engine.catalogue.find(id) for id in ("smollm2-135m-instruct", "gemma-3-270m"))
    assert citing.asked(chat, "Who?", "Text.", "words").messages[-1].content.endswith("Words to use: words")
    assert citing.asked(plain, "Who?", "Text.", "").prompt.endswith("Question: Who?\nAnswer:")
    bench.house.close()


@pytest.mark.parametrize(
    ("question", "before", "answer", "whole"),
    [
        ("When was she born?", "Who built it?", "Karin Ostberg", "Who built it? Karin Ostberg. When was she born?"),
        ("And when?", "Who built the pier?", "", "Who built the pier? And when?"),
        ("那它在哪里？", "港口叫什么？", "林德", "港口叫什么？ 林德. 那它在哪里？"),
        ("Et pourquoi ?", "Qui a construit le port ?", "", "Qui a construit le port ? Et pourquoi ?"),
        ("Why?", "Who built the pier?", "a " * 9, "Who built the pier? Why?"),
        ("Who built the tower of London?", "Who built the pier?", "Karin", ""),
        ("When was it finished in Lindholm?", "Who built the pier?", "Karin", ""),
        ("When?", "", "", ""),
    ],
    ids=range(8),
)
def test_questions_that_lean_are_completed(question: str, before: str, answer: str, whole: str) -> None:
    assert completed(question, before, answer) == whole


def test_names_stand_alone() -> None:
    assert not leans("What is the population of Kalmar?") and leans("What about the sheds?")


def test_a_completed_question_is_told(bench: Bench) -> None:
    request = AnswerRequest(
        "Which year was it?", documents=[bring(bench, HARBOUR)], before="Who built Lindholm?", before_answer="Karin"
    )
    found = asked(bench, request)
    assert found.asked == "Who built Lindholm? Karin. Which year was it?" and found.passages


def test_only_questions_that_their_passage_answers_are_suggested(bench: Bench) -> None:
    writer = Writer()
    writer.said = "Who was it that built Lindholm?"
    bench.plan["smollm2-135m-instruct"] = writer
    engine = bench.house.engine

    def passages(text: str) -> list[Passage]:
        return suggesting.passages_in(bench.house, [bring(bench, text)], HOST)

    events = list(suggesting.suggest(engine, passages(HARBOUR), "answer-e5", HOST))
    assert events[-1].result.questions == ["Who was it that built Lindholm?"]
    assert [event.text for event in events if event.kind == "text"] == ["Who was it that built Lindholm?\n"]
    writer.said = "Is it true that elephants dance?"
    *_, last = suggesting.suggest(engine, passages(OTHER), "answer-e5", HOST)
    assert last.result.questions == []
    with pytest.raises(InputError, match="at least one document"):
        suggesting.passages_in(bench.house, [], HOST)


def test_a_short_text_is_asked_about_piece_by_piece(bench: Bench) -> None:
    text = " ".join(f"Lindholm number {number} has a harbour with three long piers of wood." for number in range(6))
    (whole,) = passages = suggesting.passages_of_text(bench.house.engine, text)
    pieces = suggesting.parted(passages)
    assert len(pieces) == 3 and all(text[one.start : one.end] == one.text for one in pieces)
    (short,) = suggesting.parted(suggesting.passages_of_text(bench.house.engine, "Too short. Yes."))
    assert short.text == "Too short. Yes."
    writer = Writer()
    writer.said = "Who was it that built Lindholm?"
    bench.plan["smollm2-135m-instruct"] = writer
    *_, last = suggesting.suggest(bench.house.engine, passages, "answer-e5", HOST)
    asked = [str(request) for request in writer.seen]
    assert last.result.questions == [writer.said] and len(asked) == 3 and "number 5" in asked[2] and whole.text == text
    with pytest.raises(InputError):
        suggesting.passages_of_text(bench.house.engine, " ")


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("1. Who built it there? And so on", "Who built it there?"), ("No question.", ""), ("Why?", ""),
        ("谁建了这个港口？", "谁建了这个港口？"), ("Who " * 40 + "?", ""),
    ],
    ids=range(5),
)  # fmt: skip
def test_questions_of_sensible_length(text: str, question: str) -> None:
    assert suggesting.bare(text) == question


def test_found_passages_bear_their_scores(bench: Bench) -> None:
    id = bring(bench, HARBOUR)
    *_, last = _drained(over_documents.find(bench.house, bench.house.engine, "harbour", [id], 3, HOST))
    hits, note = last
    assert over_documents.found_of(hits[0]).words > 0 and "0%" in str(note)


def _drained(generator: Any) -> list[Any]:
    while True:
        try:
            next(generator)
        except StopIteration as stop:
            return [stop.value]
