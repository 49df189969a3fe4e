"""Question answering: the words of a passage that answer a question, or the honest word that it does not say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from engine.applications import Application
from engine.errors import InputError
from engine.evaluation.metrics import mean_exact_match, mean_f1
from engine.messages import Text
from engine.requests import Event, Extract, Extraction, Span, clean_text
from engine.serving.protocol import Caller, Engine

MAX_CONTEXT_CHARACTERS = 200_000
MAX_QUESTION_CHARACTERS = 1_000
MAX_TOP_K = 20


@dataclass(frozen=True)
class AnswerRequest:
    """A question, the passage to look in, and how many candidates to return (1 to 20)."""

    question: str
    context: str
    top_k: int = 3
    model: str | None = None


@dataclass(frozen=True)
class AnswerSpan:
    """A candidate: `context[start:end] == answer`; `score` is its probability among all spans and no answer."""

    answer: str
    score: float
    start: int
    end: int


@dataclass(frozen=True)
class AnswerResult:
    """The answer, empty when the passage holds none (`score` is then the probability of that), and candidates."""

    answer: str
    score: float
    start: int
    end: int
    alternatives: list[AnswerSpan] = field(default_factory=list)
    model: str = ""


def stream(engine: Engine, request: AnswerRequest, caller: Caller) -> Iterator[Event]:
    """Find the answer; only the waiting shows before the last event, whose result is an AnswerResult.

    Offsets are characters of the context exactly as given. Raises InputError or TooLargeError naming the field, and
    what the engine raises.
    """
    model = APPLICATION.choose(engine.catalogue, request.model)
    question = clean_text(request.question, "question", MAX_QUESTION_CHARACTERS)
    clean_text(request.context, "context", MAX_CONTEXT_CHARACTERS)
    if not isinstance(request.top_k, int) or not 1 <= request.top_k <= MAX_TOP_K:
        raise InputError(
            "{field} is {value}; choose a number from {low} to {high}.",
            param="top_k", field="top_k", value=repr(request.top_k), low=1, high=MAX_TOP_K,
        )  # fmt: skip
    # The context goes on as it came, not as cleaned: offsets must fit the caller's own string. Half a character pair,
    # which a tokenizer refuses, becomes one question mark.
    readable = request.context.encode("utf-8", "replace").decode("utf-8")
    for event in engine.stream(model.id, Extract(question, readable, request.top_k), caller):
        yield Event("done", result=_result(event.result, model.id)) if event.kind == "done" else event


def _result(found: Extraction, model_id: str) -> AnswerResult:
    spans = [_candidate(span) for span in found.spans]
    if not found.has_answer:
        return AnswerResult("", found.null_score, 0, 0, spans, model_id)
    best, *rest = spans
    return AnswerResult(best.answer, best.score, best.start, best.end, rest, model_id)


def _candidate(span: Span) -> AnswerSpan:
    return AnswerSpan(span.text, span.score, span.start, span.end)


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
    default_model="answer-minilm",
    picker="reader",
    example={"question": "Who built the harbour?"},
    shown=SAMPLES[0],
    request_type=AnswerRequest,
    result_type=AnswerResult,
    stream=stream,
    samples=SAMPLES,
    metrics={"f1": mean_f1, "exact_match": mean_exact_match},
    page="answer.py",
)
