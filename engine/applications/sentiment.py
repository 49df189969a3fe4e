"""Sentiment: how positive, neutral or negative a text is, or which of its own labels a fine-tuned model gives it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from engine.applications import Application
from engine.applications.emoji import polarity, shares, without
from engine.applications.languages import NAMED, SURE, guess_language, read_tables
from engine.applications.rows import clean_rows
from engine.catalogue.models import Model
from engine.errors import PeopleError
from engine.evaluation.metrics import accuracy
from engine.messages import NOTHING, Text
from engine.requests import Classification, Classify, Event, clean_texts
from engine.serving.protocol import Caller, Engine

LABELS = ("negative", "neutral", "positive")
NAMES = {
    **dict.fromkeys(("negative", "neg", "very negative", "bearish"), "negative"),
    **dict.fromkeys(("neutral", "neu", "mixed"), "neutral"),
    **dict.fromkeys(("positive", "pos", "very positive", "bullish"), "positive"),
}
"""What models call them."""
EMOJI_WEIGHT = 0.8
"""Power of what emoji say beside words."""
MIN_LETTERS, BROKEN = 4, 0.6
"""Letters from which on, and pieces for each letter above which, a text is no words: English has about 0.25."""
_REPEATED = re.compile(r"([^\W\d_])\1{3,}")


@dataclass(frozen=True)
class SentimentRequest:
    """One text or several; of several, one that is no text (a number, null), empty or too long has a `warning`."""

    text: str | list[Any]
    model: str | None = None


@dataclass(frozen=True)
class SentimentScore:
    """The likeliest label, its probability, and the probability of each; `warning` says when not to trust it."""

    label: str
    score: float
    scores: dict[str, float]
    warning: Text = NOTHING


@dataclass(frozen=True)
class SentimentResult:
    """Scores in the order of the texts."""

    results: list[SentimentScore]
    model: str


def stream(engine: Engine, request: SentimentRequest, caller: Caller) -> Iterator[Event]:
    """Judge the texts, in batches; only the waiting shows before the last event, whose result is a SentimentResult.

    A row of several that is no text is not judged. Raises InputError or TooLargeError, and what the engine raises.
    """
    model = APPLICATION.choose(engine.catalogue, request.model)
    rows = _rows(engine, request.text)
    judged = {number: _unread(model, row.text) for number, row in enumerate(rows) if isinstance(row, PeopleError)}
    texts = {number: row for number, row in enumerate(rows) if isinstance(row, str)}
    order = sorted(texts, key=lambda number: len(texts[number]))
    asked = [Classify(_readable(model, texts[number])) for number in order]
    for place, event in engine.stream_all(model.id, asked, caller):
        if event.kind == "done":
            number = order[place]
            judged[number] = _judged(engine, model, texts[number], event.result)
        yield event if event.kind in ("queued", "loading") else Event("queued")
    yield Event("done", result=SentimentResult([judged[number] for number in range(len(rows))], model.id))


def _rows(engine: Engine, text: str | list[Any]) -> Sequence[str | PeopleError]:
    limits = ("text", engine.settings.max_text_characters, engine.settings.max_rows)
    return clean_texts(text, *limits) if isinstance(text, str) else clean_rows(text, *limits)


def _unread(model: Model, why: Text) -> SentimentScore:
    """What stands for a row that is not judged: no label is likelier than another."""
    label, labels = ("", model.labels) if model.labels else ("neutral", LABELS)
    return SentimentScore(label, 1 / len(labels), dict.fromkeys(labels, 1 / len(labels)), why)


def _score(result: Classification, model: Model, warning: Text) -> SentimentScore:
    """Labels that a person trained stay as they are, even those that we have words of our own for."""
    scores = dict(result.scores) if model.labels else in_our_labels(result.scores)
    label = max(scores, key=lambda name: scores[name])
    return SentimentScore(label, scores[label], scores, warning)


def _readable(model: Model, text: str) -> str:
    """What the model reads: emoji with a known polarity are counted apart, where there is other text."""
    return text if model.labels else (without(text) or text)


def _judged(engine: Engine, model: Model, text: str, result: Classification) -> SentimentScore:
    """With what emoji say; a text that the model cannot read is as likely one as another."""
    score = _score(result, model, _caution(text, model.languages))
    mood = polarity(text)
    if set(score.scores) != set(LABELS):
        return replace(score, warning=score.warning or _unreadable(engine, model, text))
    if mood is not None:
        rest = without(text)
        told = shares(mood)
        scores = _pooled(score.scores, told) if _has_words(rest) else told
        label = max(scores, key=lambda name: scores[name])
        return SentimentScore(label, scores[label], scores, score.warning)
    if warning := _unreadable(engine, model, text):
        return SentimentScore("neutral", 1 / 3, dict.fromkeys(LABELS, 1 / 3), warning)
    return score


def _pooled(of_text: Mapping[str, float], of_emoji: Mapping[str, float]) -> dict[str, float]:
    """Both opinions as one: their product, with less weight for the emoji (a logarithmic opinion pool)."""
    raw = {label: of_text[label] * of_emoji[label] ** EMOJI_WEIGHT for label in LABELS}
    total = sum(raw.values())
    return {label: value / total for label, value in raw.items()}


def _unreadable(engine: Engine, model: Model, text: str) -> Text:
    """Why the model cannot read a text, in a sentence; empty where it can."""
    letters = [letter for letter in text if letter.isalpha()]
    if not _has_words(text):
        return Text("There are no words in it that the model knows, so it cannot tell.")
    latin = sum("LATIN" in unicodedata.name(letter, "") for letter in letters)
    if model.languages == ("en",) and latin * 2 < len(letters):
        return Text("The model does not know this script, so it cannot tell.")
    repeated = sum(len(match[0]) for match in _REPEATED.finditer(text))
    pieces = engine.count_tokens(model.id, text) or 0
    if repeated * 2 >= len(letters) or (len(letters) > MIN_LETTERS and pieces > len(letters) * BROKEN):
        return Text("The model finds no words in it, so it cannot tell.")
    return NOTHING


def _has_words(text: str) -> bool:
    return any(letter.isalpha() for letter in text)


def in_our_labels(scores: Mapping[str, float]) -> dict[str, float]:
    """Probabilities of negative, neutral, positive from a model's own labels (two, three, or one to five stars).

    Labels that say nothing about sentiment are kept as they are.
    """
    mapped = dict.fromkeys(LABELS, 0.0)
    for label, score in scores.items():
        name = _our_label(label)
        if name is None:
            return dict(scores)
        mapped[name] += score
    return mapped


def _our_label(label: str) -> str | None:
    if stars := re.fullmatch(r"([1-5]) stars?", label.lower()):
        return LABELS[(int(stars[1]) > 2) + (int(stars[1]) > 3)]
    return NAMES.get(label.lower().replace("_", " "))


def _caution(text: str, languages: tuple[str, ...]) -> Text:
    if not languages or (len(text.split()) < 3 and text.isascii()):
        return NOTHING
    language, probability = guess_language(text)
    if probability < SURE or language in languages:
        return NOTHING
    return Text(
        "This looks {language}; the model learned from {known} and may be wrong here.",
        language=NAMED[language], known=NAMED[languages[0]],
    )  # fmt: skip


SAMPLES = (
    SentimentRequest("The plot is thin, but the actors are so charming that I left the cinema smiling."),
    SentimentRequest("The parcel came two weeks late and the box was crushed."),
    SentimentRequest(
        [
            "Best soup I have had in years.",
            "The waiter forgot us twice.",
            "I will take the bus tomorrow.",
            "A little loud, but we had a wonderful evening.",
        ]
    ),
)

APPLICATION = Application(
    id="sentiment",
    title=Text("Sentiment"),
    summary=Text("Judge how positive, neutral or negative texts are, one or thousands."),
    icon="sentiment_satisfied",
    order=30,
    architectures=frozenset({"classification"}),
    default_model="sentiment-minilm",
    picker="judge",
    example={"review": "A little loud, but we had a wonderful evening."},
    shown=SentimentRequest("A little loud, but we had a wonderful evening."),
    request_type=SentimentRequest,
    result_type=SentimentResult,
    stream=stream,
    samples=SAMPLES,
    metrics={"accuracy": accuracy},
    page="sentiment.py",
    warm_up=read_tables,
)
