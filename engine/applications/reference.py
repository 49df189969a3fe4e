"""A translation beside somebody's own: BLEU, chrF and TER as sacreBLEU counts them, the whole and by sentence.

No page of its own: Translate shows it, and the API tells it as `/api/translate/reference`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from engine.applications import Application
from engine.applications.languages import NAMED
from engine.applications.segments import split
from engine.applications.sentences import Translation
from engine.applications.translate import APPLICATION as TRANSLATE
from engine.documents import estimate_words
from engine.errors import InputError, TooLargeError, not_among
from engine.evaluation.metrics import MetricScore, translation_scores
from engine.messages import NOTHING, Text
from engine.requests import Event, clean_text, clean_texts
from engine.serving.protocol import Caller, Engine

MAX_TER_WORDS, MAX_TER_SECONDS = 100, 3.0
"""Of a sentence, and of the processor's time for all, up to which TER is told: it takes the square of a length."""
LEFT_OUT = Text("TER is left out: it takes too long. Compare a part, or a text and a reference with as many sentences.")


@dataclass(frozen=True)
class ReferenceRequest:
    """A translation, whole or as its sentences, and a reference in the same language, an ISO 639-1 code."""

    text: str | list[str]
    reference: str
    target: str
    sources: list[str] = field(default_factory=list)
    """Of the sentences, where they are told apart; they only come back beside them."""


@dataclass(frozen=True)
class Pair:
    """A sentence, its translation, and the reference's sentence, with the metrics by name."""

    source: str
    text: str
    reference: str
    scores: dict[str, float]


@dataclass(frozen=True)
class Comparison:
    """The whole text's metrics, and each sentence's where the reference has as many."""

    scores: list[MetricScore]
    pairs: list[Pair]
    note: Text = NOTHING
    """Why a metric is missing."""


def compare(translation: Translation, reference: str, target: str, max_characters: int) -> Comparison:
    """A translation with a reference in the same language. Raises InputError, TooLargeError for an unusable one."""
    words = clean_text(reference, "reference", max_characters)
    if not (request := request_of(translation, words, target)).text:
        raise InputError("There is no translation to compare with. Translate a text first.", "reference")
    return _compared(list(request.text), request.sources, words, target)


def request_of(translation: Translation, reference: str, target: str) -> ReferenceRequest:
    """What asks the same of the API."""
    told = [one for one in translation.sentences if one.text.strip()]
    return ReferenceRequest([one.text for one in told], reference, target, [one.source for one in told])


def stream(engine: Engine, request: ReferenceRequest, caller: Caller) -> Iterator[Event]:
    """Its one event's result is a Comparison. Raises InputError or TooLargeError naming the field."""
    settings = engine.settings
    if request.target not in NAMED:
        raise not_among("target", request.target, NAMED)
    made = clean_texts(request.text, "text", settings.max_text_characters, settings.max_rows)
    reference = clean_text(request.reference, "reference", settings.max_text_characters)
    for name, texts in (("text", made), ("sources", request.sources)):
        if sum(map(len, texts)) > settings.max_text_characters:
            raise TooLargeError(
                "{field} has over {limit:,} characters. Send a part of it.", name, field=name,
                limit=settings.max_text_characters,
            )  # fmt: skip
    if isinstance(request.text, str):
        made = _cut(made[0], request.target) or made
    sources = request.sources if len(request.sources) == len(made) else [""] * len(made)
    yield Event("done", result=_compared(made, sources, reference, request.target))


def _compared(made: Sequence[str], sources: Sequence[str], reference: str, target: str) -> Comparison:
    given, began, pairs = _cut(reference, target), time.thread_time(), list[Pair]()
    if len(given) != len(made):
        made, given = [" ".join(made)], [" ".join(given)]
        sources = []
    has_ter = True
    for source, text, other in zip(sources, made, given, strict=False):
        has_ter &= _is_short(text, other) and time.thread_time() - began < MAX_TER_SECONDS
        pairs.append(_pair(source, text, other, target, has_ter=has_ter))
    has_ter &= _is_short(made[0], given[0]) or bool(pairs)
    return Comparison(translation_scores(made, given, target, has_ter=has_ter), pairs, NOTHING if has_ter else LEFT_OUT)


def _is_short(*texts: str) -> bool:
    """Whether TER can be told of these."""
    return all(estimate_words(text) <= MAX_TER_WORDS for text in texts)


def _cut(text: str, target: str) -> list[str]:
    return [segment.text for segment in split(text, target) if segment.text]


def _pair(source: str, text: str, reference: str, target: str, *, has_ter: bool) -> Pair:
    found: Sequence[MetricScore] = translation_scores([text], [reference], target, has_ter=has_ter)
    return Pair(source, text, reference, {one.name: one.score for one in found})


PART = Application(
    id="translate/reference",
    title=Text("Against a reference"),
    summary=Text("BLEU, chrF and TER of a translation, the whole and by sentence."),
    icon="rule",
    architectures=TRANSLATE.architectures,
    default_model=TRANSLATE.default_model,
    request_type=ReferenceRequest,
    result_type=Comparison,
    stream=stream,
    samples=(ReferenceRequest("Le chat dort. Il pleut.", "Le chat dort. Il pleut beaucoup.", "fr"),),
)
