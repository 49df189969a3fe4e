"""Answers over documents: passages are found by words and meaning, then one is quoted, or an answer is written."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.applications import citing
from engine.applications.answers import AnswerRequest, AnswerResult, AnswerSpan, FoundPassage
from engine.applications.follow_ups import completed
from engine.applications.reading import result_of
from engine.catalogue.models import Model
from engine.documents.search import Hit
from engine.errors import InputError, TooLargeError, not_among
from engine.messages import NOTHING, Text
from engine.requests import Embed, Event, Extract
from engine.serving.access import owner_of
from engine.serving.indexing import ENCODER
from engine.serving.protocol import Caller, Engine

if TYPE_CHECKING:
    from engine.serving.compose import House

PASSAGES = 5
"""That are found and read."""
SHARPNESS = 20
"""How fast an answer's probability counts less as its passage is less like the question than the best one is. With
this and the square of the words' share F1 over five documents is 67.6 where the likeliest answer alone has 51.2."""
MAX_DOCUMENTS = 100
STYLES = ("quote", "write")
Answering = Generator[Event, None, AnswerResult]


def answer(house: House, engine: Engine, model: Model, request: AnswerRequest, caller: Caller) -> Answering:
    """The answer over the caller's documents that the request names.

    Raises NotFoundError for documents that are not the caller's, InputError, and what the engine raises.
    """
    if request.style not in STYLES:
        raise not_among("style", request.style, STYLES)
    asked = completed(request.question, request.before[:1000], request.before_answer[:1000])
    question = asked or request.question
    hits, note = yield from find(house, engine, question, request.documents, PASSAGES, caller)
    passages = [found_of(hit) for hit in hits]
    if not passages:
        result = AnswerResult("", 1.0, 0, 0, model=model.id)
        note = Text("No passage has a word of the question. Ask in other words.")
    else:
        result = yield from _quoted(engine, model, question, passages, request.top_k, caller)
        if request.style == "write":
            result = yield from citing.write(engine, request.writer, question, passages, result, caller)
    return replace(result, passages=passages, asked=asked, warning=note)


def find(
    house: House, engine: Engine, question: str, ids: Sequence[str], count: int, caller: Caller
) -> Generator[Event, None, tuple[list[Hit], Text]]:
    """The passages of the caller's documents that fit best, and a word where not all could be searched by meaning."""
    owner, ids = owner_of(house.settings, caller), sorted(set(map(str, ids)))
    if not ids:
        raise InputError("Name at least one document to look in.", "documents")
    if len(ids) > MAX_DOCUMENTS:
        raise TooLargeError("These are over {most} documents. Name fewer.", "documents", most=MAX_DOCUMENTS)
    index = house.documents.index(owner, ids)
    vectors, have = house.indexing.vectors(owner, ids)
    vector = None
    if have:
        request = Embed(question, "query")
        with closing(engine.stream(ENCODER, request, caller)) as events:  # type: ignore[type-var]
            for event in events:
                if event.kind == "done":
                    vector = event.result.vector
                else:
                    yield event
    hits = index.search(question, count, vector, vectors)
    if have == len(index.passages):
        return hits, NOTHING
    share = have / len(index.passages)
    return hits, Text("Found by words alone so far: {share:.0%} of the passages are indexed by meaning.", share=share)


def found_of(hit: Hit) -> FoundPassage:
    """A hit, as it is answered."""
    one = hit.passage
    return FoundPassage(
        one.document, one.title, one.page, one.start, one.end, one.text, hit.score, hit.words, hit.meaning
    )


def _quoted(
    engine: Engine, model: Model, question: str, passages: Sequence[FoundPassage], top_k: int, caller: Caller
) -> Answering:
    """The likeliest answer of all passages, which counts less the less its passage fits the question; others follow."""
    requests = [Extract(question, one.text, 2) for one in passages]
    read: list[AnswerResult] = []
    with closing(engine.stream_all(model.id, requests, caller)) as items:  # type: ignore[type-var]
        for number, event in items:
            if event.kind == "done":
                read.append(result_of(event.result, passages[number].text, model.id))
            else:
                yield event
    spans = [span for number, one in enumerate(read) for span in _spans(one, number)]
    fits = fit(passages)
    spans.sort(key=lambda span: -span.score * fits[span.source])
    answered = {number for number, one in enumerate(read) if one.answer}
    best = next((span for span in spans if span.source in answered), None)
    if best is None:
        return AnswerResult("", read[0].score, 0, 0, spans[:top_k], model.id)
    rest = [span for span in spans if span is not best][: top_k - 1]
    return AnswerResult(best.answer, best.score, best.start, best.end, rest, model.id, source=best.source)


def fit(passages: Sequence[FoundPassage]) -> list[float]:
    """How well each passage fits the question beside the best one by words and the best by meaning: 0 to 1."""
    most, nearest = max(one.words for one in passages), max(one.meaning or 0.0 for one in passages)
    words = [((1 + one.words) / (1 + most)) ** 2 for one in passages]
    meaning = [1.0 if one.meaning is None else math.exp(SHARPNESS * (one.meaning - nearest)) for one in passages]
    return [one * other for one, other in zip(words, meaning, strict=True)]


def _spans(one: AnswerResult, number: int) -> list[AnswerSpan]:
    own = [AnswerSpan(one.answer, one.score, one.start, one.end)] if one.answer else []
    return [replace(span, source=number) for span in (*own, *one.alternatives)]
