"""Question answering: the words of a passage that answer a question, or the honest word that it does not say."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, replace

from engine.applications import Application
from engine.applications.forms import Field, field_asked_for
from engine.applications.languages import NAMED, detect_language, names_of
from engine.catalogue.models import Model
from engine.errors import InputError
from engine.evaluation.metrics import mean_exact_match, mean_f1
from engine.messages import NOTHING, Text
from engine.requests import Event, Extract, Extraction, clean_text
from engine.serving.protocol import Caller, Engine

MAX_CONTEXT_CHARACTERS = 200_000
MAX_QUESTION_CHARACTERS = 1_000
MAX_TOP_K = 20
MIN_SHOWN = 0.05
"""Probability from which on an alternative is worth a look."""
TINY_WORDS, LEAD = 6, "It is said that "
"""Words of a passage that is read once more with a lead, where no answer was found without."""
AROUND = 30
"""Characters around an alternative that show where it stands."""
MAX_FIGURE_WORDS = 4
"""Of a form's value that is a figure, which is answered whole."""
MIN_WORDS = 4
"""Words of a passage whose language can be told; Chinese and Japanese, written without spaces, by their letters."""
SIGNS_BEFORE, SIGNS_BEHIND = "€£$¥₹§#+-−~<>°@", "€£$¥₹%‰°+"
"""What belongs to a word or number though it is none."""
_YES_OR_NO = re.compile(
    r"\s*(?:is|are|was|were|am|do|does|did|can|could|will|would|has|have|had|should|may|might|must|shall)(?:n['’]t)?\s"
    r"(?!.*\bor\b)", re.IGNORECASE,
)  # fmt: skip
"""A question that wants a yes or a no; "… or …?" names its answers."""


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
    warning: Text = NOTHING
    """Why not to rely on it: the kind of question, or the language of the passage."""

    @property
    def shown(self) -> list[AnswerSpan]:
        """The alternatives that are likely enough to be worth a look."""
        return [one for one in self.alternatives if one.score >= MIN_SHOWN]


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
    result = yield from _found(engine, model, Extract(question, readable, request.top_k), caller)
    line = field_asked_for(question, readable)
    if line and not line.start <= result.start < result.end <= line.end:
        result = yield from _of_line(engine, model, question, line, result, caller)
    if line:
        result = _whole_figure(line, readable, result)
    if not result.answer and len(readable.split()) <= TINY_WORDS and "en" in model.languages:
        result = yield from _of_tiny(engine, model, question, readable, result, caller)
    yield Event("done", result=replace(result, warning=_caution(model, question, readable)))


def _found(engine: Engine, model: Model, request: Extract, caller: Caller) -> Generator[Event, None, AnswerResult]:
    result = AnswerResult("", 0.0, 0, 0)
    for event in engine.stream(model.id, request, caller):
        if event.kind == "done":
            result = _result(event.result, request.passage, model.id)
        else:
            yield event
    return result


def _of_line(
    engine: Engine, model: Model, question: str, line: Field, before: AnswerResult, caller: Caller
) -> Generator[Event, None, AnswerResult]:
    """The answer from a line of a form, which the model reads as a sentence; else what it said before."""
    found = yield from _found(engine, model, Extract(question, line.sentence, 1), caller)
    place = line.place_of(found.start, found.end) if found.answer else None
    if place is None:
        return before
    start, end = place
    others = [one for one in before.alternatives if one.end <= start or one.start >= end]
    return AnswerResult(line.value[start - line.start : end - line.start], found.score, start, end, others, model.id)


def _whole_figure(line: Field, passage: str, found: AnswerResult) -> AnswerResult:
    """A figure from a line of a form with all that the line says of it, such as its currency."""
    start, end = found.start, found.end
    if not (line.start <= start < end <= line.end and re.search(r"\d", found.answer)):
        return found
    if len(line.value.split()) <= MAX_FIGURE_WORDS:
        start, end = line.start, line.end
    elif unit := re.compile(r"(?<=\d)[^\S\n]?(?:[€£$¥₹%‰]|[^\W\d_]+)").match(passage, end, line.end):
        end = unit.end()
    return replace(found, answer=passage[start:end], start=start, end=end)


def _of_tiny(
    engine: Engine, model: Model, question: str, passage: str, before: AnswerResult, caller: Caller
) -> Generator[Event, None, AnswerResult]:
    """The answer from a passage of a few words, which readers of paragraphs know with some more before them."""
    found = yield from _found(engine, model, Extract(question, LEAD + passage, 1), caller)
    start, end = found.start - len(LEAD), found.end - len(LEAD)
    return replace(found, start=start, end=end, alternatives=[]) if found.answer and start >= 0 else before


def _result(found: Extraction, passage: str, model_id: str) -> AnswerResult:
    """There is no answer only where that is likelier than the best span, and than the model's own threshold."""
    spans: dict[tuple[int, int], AnswerSpan] = {}
    for one in found.spans:
        start, end = _at_words(passage, one.start, one.end)
        if start < end:
            spans.setdefault((start, end), AnswerSpan(passage[start:end], one.score, start, end))
    best, rest = next(iter(spans.values()), None), list(spans.values())[1:]
    if best is None or not (found.has_answer or best.score > found.null_score):
        return AnswerResult("", found.null_score, 0, 0, list(spans.values()), model_id)
    return AnswerResult(best.answer, best.score, best.start, best.end, rest, model_id)


def _at_words(passage: str, start: int, end: int) -> tuple[int, int]:
    """A span that ends where words do, without signs around it; empty where it has no word."""
    while start < end and not _is_of_word(passage[start]) and passage[start] not in SIGNS_BEFORE:
        start += 1
    while end > start and not _is_of_word(passage[end - 1]) and passage[end - 1] not in SIGNS_BEHIND:
        end -= 1
    if not any(map(_is_of_word, passage[start:end])):
        return start, start
    while start and _is_of_word(passage[start]) and _is_of_word(passage[start - 1]) and not _is_han(passage[start]):
        start -= 1
    while (
        end < len(passage) and _is_of_word(passage[end]) and _is_of_word(passage[end - 1]) and not _is_han(passage[end])
    ):
        end += 1
    return start, end


def _is_of_word(character: str) -> bool:
    return character.isalnum() or unicodedata.category(character) in ("Mn", "Mc")


def _is_han(character: str) -> bool:
    return "\u3040" <= character <= "\u9fff"


def context_of(passage: str, start: int, end: int) -> tuple[str, str]:
    """Some whole words before and behind a place in a passage, on one line."""
    before, behind = passage[max(0, start - AROUND) : start], passage[end : end + AROUND]
    if start > AROUND and _is_of_word(passage[start - AROUND - 1]):
        before = re.sub(r"^\w+", "", before)
    if end + AROUND < len(passage) and _is_of_word(passage[end + AROUND]):
        behind = re.sub(r"\w+$", "", behind)
    return before.replace("\n", " "), behind.replace("\n", " ")


def _caution(model: Model, question: str, passage: str) -> Text:
    if _YES_OR_NO.match(question):
        return Text("This model quotes the passage; it does not say yes or no. See where the passage speaks of it.")
    if not model.languages or (len(passage.split()) < MIN_WORDS and not any(map(_is_han, passage))):
        return NOTHING
    guess = detect_language(passage, model.languages)
    if guess.is_allowed:
        return NOTHING
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
