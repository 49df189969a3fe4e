"""Question answering: the words of a passage that answer a question, or the honest word that it does not say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.applications import Application, Stream
from engine.applications.answers import AnswerRequest, AnswerResult
from engine.applications.judges import worse_in
from engine.applications.languages import NAMED, detect_language, names_of
from engine.applications.reading import is_han, read_passage
from engine.catalogue.models import Model
from engine.errors import InputError
from engine.evaluation.metrics import mean_exact_match, mean_f1
from engine.messages import NOTHING, Text
from engine.requests import Event, clean_text
from engine.serving.protocol import Caller, Engine

if TYPE_CHECKING:
    from engine.serving.compose import House

MAX_CONTEXT_CHARACTERS = 200_000
MAX_QUESTION_CHARACTERS = 1_000
MAX_TOP_K = 20
MIN_WORDS = 4
"""Words of a passage whose language can be told; Chinese and Japanese, written without spaces, by their letters."""
_VERBS = {
    "en": "is|are|was|were|am|do|does|did|can|could|will|would|has|have|had|should|may|might|must|shall",
    "fr": "est-ce que|a-t-(?:il|elle|on)|est-(?:il|elle|ce)|sont-(?:ils|elles)|peut-on",
    "de": "ist|sind|war|waren|hat|haben|hatte|kann|konnte|können|wird|werden|wurde|darf|muss|soll|gibt es|gab es",
    "es": "¿?(?:es|está|están|son|era|fue|fueron|ha|han|hay|puede|pueden|tiene|tienen)",
}
_YES_OR_NO = re.compile(
    rf"\s*(?:(?:{'|'.join(_VERBS.values())})(?:n['’]t)?\s|est-ce qu['’])"
    r"(?!.*\b(?:or|ou|oder|o|who|what|when|where|which|why|how)\b)|.*(?:是不是|有没有|是否|吗\s*[？?]?\s*$)",
    re.IGNORECASE,
)
"""A question that wants a yes or a no; "… or …?" names its answers, and "Can you tell me who …?" is another."""


def stream(engine: Engine, request: AnswerRequest, caller: Caller) -> Iterator[Event]:
    """Find the answer in a passage; only the waiting shows before the last event, whose result is an AnswerResult.

    Offsets are characters of the context exactly as given. Raises InputError or TooLargeError naming the field, and
    what the engine raises.
    """
    model, question = _checked(engine, request)
    clean_text(request.context, "context", MAX_CONTEXT_CHARACTERS)
    # The context goes on as it came, not as cleaned: offsets must fit the caller's own string. Half a character pair,
    # which a tokenizer refuses, becomes one question mark.
    readable = request.context.encode("utf-8", "replace").decode("utf-8")
    result = yield from read_passage(engine, model, question, readable, request.top_k, caller)
    yield Event("done", result=replace(result, warning=caution(model, question, readable)))


def _with_documents(house: House) -> Stream:
    """As `stream`, which also looks in the documents of the house where the request names some."""

    def over(engine: Engine, request: AnswerRequest, caller: Caller) -> Iterator[Event]:
        if not request.documents:
            yield from stream(engine, request, caller)
            return
        from engine.applications import over_documents

        model, question = _checked(engine, request)
        if request.context.strip():
            raise InputError("Give a passage or documents, not both.", "context")
        result = yield from over_documents.answer(house, engine, model, replace(request, question=question), caller)
        passage = result.passages[result.source].text if result.passages else ""
        warning = result.warning or (caution(model, question, passage) if request.style == "quote" else NOTHING)
        yield Event("done", result=replace(result, warning=warning))

    return over


def _checked(engine: Engine, request: AnswerRequest) -> tuple[Model, str]:
    """The reader and the question. Raises InputError, TooLargeError, and as `Application.choose`."""
    model = APPLICATION.choose(engine.catalogue, request.model)
    question = clean_text(request.question, "question", MAX_QUESTION_CHARACTERS)
    if not isinstance(request.top_k, int) or not 1 <= request.top_k <= MAX_TOP_K:
        raise InputError(
            "{field} is {value}; choose a number from {low} to {high}.",
            param="top_k", field="top_k", value=repr(request.top_k), low=1, high=MAX_TOP_K,
        )  # fmt: skip
    return model, question


def caution(model: Model, question: str, passage: str) -> Text:
    """Why not to rely on an answer from that passage; NOTHING where there is no reason."""
    if _YES_OR_NO.match(question):
        return Text("This model quotes the passage; it does not say yes or no. See where the passage speaks of it.")
    if not model.languages or (len(passage.split()) < MIN_WORDS and not any(map(is_han, passage))):
        return NOTHING
    guess = detect_language(passage, model.languages)
    if guess.is_allowed:
        return worse_in(model, guess.code)
    return Text(
        "The passage looks {language}; the model learned from {known} and may be wrong here.",
        language=NAMED[guess.code], known=names_of(model.languages),
    )  # fmt: skip


_HARBOUR = (
    "The harbour of Lindholm was built in 1742 by the engineer Karin Ostberg, after a storm had destroyed the wooden "
    "pier. For two centuries it served the herring fleet. In 1968 the last cannery closed, and the sheds stood empty "
    "until a group of musicians turned them into concert halls. Today about 90,000 visitors come every summer, most of "
    "them by ferry."
)

SAMPLES = (
    AnswerRequest("Who built the harbour?", _HARBOUR),
    AnswerRequest("When did the last cannery close?", _HARBOUR),
    AnswerRequest("How deep is the water?", _HARBOUR),
)

APPLICATION = Application(
    id="answer",
    title=Text("Answer"),
    summary=Text("Find the words of a passage that answer a question, or learn that it does not say."),
    icon="quiz",
    order=40,
    architectures=frozenset({"extraction"}),
    default_model="answer-e5",
    picker="reader",
    example={"question": "Who built the harbour?"},
    shown=SAMPLES[0],
    request_type=AnswerRequest,
    result_type=AnswerResult,
    stream=stream,
    with_house=_with_documents,
    samples=SAMPLES,
    metrics={"f1": mean_f1, "exact_match": mean_exact_match},
    page="answer.py",
)
