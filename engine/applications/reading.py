"""One passage read for an answer: spans that end where words do, lines of forms, and passages of a few words."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Generator
from dataclasses import replace

from engine.applications.answers import AnswerResult, AnswerSpan
from engine.applications.forms import Field, field_asked_for
from engine.catalogue.models import Model
from engine.requests import Event, Extract, Extraction
from engine.serving.protocol import Caller, Engine

TINY_WORDS, LEAD = 6, "It is said that "
"""Words of a passage that is read once more with a lead, where no answer was found without."""
AROUND = 30
"""Characters around an alternative that show where it stands."""
MAX_FIGURE_WORDS = 4
"""Of a form's value that is a figure, which is answered whole."""
SIGNS_BEFORE, SIGNS_BEHIND = "€£$¥₹§#+-−~<>°@", "€£$¥₹%‰°+"
"""What belongs to a word or number though it is none."""


def read_passage(
    engine: Engine, model: Model, question: str, passage: str, top_k: int, caller: Caller
) -> Generator[Event, None, AnswerResult]:
    """The passage's answer; only the waiting shows before. Raises what the engine raises."""
    result = yield from _found(engine, model, Extract(question, passage, top_k), caller)
    line = field_asked_for(question, passage)
    if line and not line.start <= result.start < result.end <= line.end:
        result = yield from _of_line(engine, model, question, line, result, caller)
    if line:
        result = _whole_figure(line, passage, result)
    if not result.answer and len(passage.split()) <= TINY_WORDS and "en" in model.languages:
        result = yield from _of_tiny(engine, model, question, passage, result, caller)
    return result


def _found(engine: Engine, model: Model, request: Extract, caller: Caller) -> Generator[Event, None, AnswerResult]:
    result = AnswerResult("", 0.0, 0, 0)
    for event in engine.stream(model.id, request, caller):
        if event.kind == "done":
            result = result_of(event.result, request.passage, model.id)
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


def result_of(found: Extraction, passage: str, model_id: str) -> AnswerResult:
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
    while start and _is_of_word(passage[start]) and _is_of_word(passage[start - 1]) and not is_han(passage[start]):
        start -= 1
    while (
        end < len(passage) and _is_of_word(passage[end]) and _is_of_word(passage[end - 1]) and not is_han(passage[end])
    ):
        end += 1
    return start, end


def _is_of_word(character: str) -> bool:
    return character.isalnum() or unicodedata.category(character) in ("Mn", "Mc")


def is_han(character: str) -> bool:
    return "\u3040" <= character <= "\u9fff"


def context_of(passage: str, start: int, end: int) -> tuple[str, str]:
    """Some whole words before and behind a place in a passage, on one line."""
    before, behind = passage[max(0, start - AROUND) : start], passage[end : end + AROUND]
    if start > AROUND and _is_of_word(passage[start - AROUND - 1]):
        before = re.sub(r"^\w+", "", before)
    if end + AROUND < len(passage) and _is_of_word(passage[end + AROUND]):
        behind = re.sub(r"\w+$", "", behind)
    return before.replace("\n", " "), behind.replace("\n", " ")
