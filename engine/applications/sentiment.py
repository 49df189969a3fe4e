"""Sentiment: how positive, neutral or negative a text is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from engine.applications.languages import LANGUAGES, SURE, guess_language
from engine.core import Engine
from engine.errors import InputError, UnsupportedError
from engine.requests import Classification, Classify, Event, clean_text

DEFAULT_MODEL = "sentiment-minilm"
LABELS = ("negative", "neutral", "positive")


@dataclass(frozen=True)
class SentimentRequest:
    """One text or several."""

    text: str | list[str]
    model: str | None = None


@dataclass(frozen=True)
class SentimentScore:
    """The likeliest label, its probability, and the probability of each; `warning` says when not to trust it."""

    label: str
    score: float
    scores: dict[str, float]
    warning: str = ""


@dataclass(frozen=True)
class SentimentResult:
    """Scores in the order of the texts."""

    results: list[SentimentScore]
    model: str


def stream(engine: Engine, request: SentimentRequest) -> Iterator[Event]:
    """Judge the texts, in batches; nothing but waiting events before the result.

    Raises InputError or TooLargeError naming the row, and what the engine raises.
    """
    model = engine.catalogue.find(request.model or DEFAULT_MODEL)
    if model.architecture != "classification":
        raise UnsupportedError(f"{model.title} does not classify texts. Choose another model.", param="model")
    texts = _checked(engine, request)
    scores: list[SentimentScore] = []
    for index, event in engine.stream_all(model.id, [Classify(text) for text in texts]):
        if event.kind == "done":
            scores.append(_score(event.result, _caution(texts[index], model.languages)))
        else:
            yield event
    yield Event("done", result=SentimentResult(scores, model.id))


def run(engine: Engine, request: SentimentRequest) -> SentimentResult:
    """The last of `stream`."""
    *_, last = stream(engine, request)
    result: SentimentResult = last.result
    return result


def confidence_in_words(score: float) -> str:
    """A probability in words that people read rightly."""
    return "very sure" if score >= 0.85 else "fairly sure" if score >= 0.6 else "unsure"


def _checked(engine: Engine, request: SentimentRequest) -> list[str]:
    limit = engine.settings.max_text_characters
    if isinstance(request.text, str):
        return [clean_text(request.text, "text", limit)]
    if not 1 <= len(request.text) <= engine.settings.max_rows:
        raise InputError(
            f"text takes from 1 to {engine.settings.max_rows:,} texts; there are {len(request.text):,}.", param="text"
        )
    return [clean_text(text, f"text[{number}]", limit) for number, text in enumerate(request.text)]


def _score(result: Classification, warning: str) -> SentimentScore:
    scores = in_our_labels(result.scores)
    label = max(scores, key=lambda name: scores[name])
    return SentimentScore(label, scores[label], scores, warning)


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
    return next((ours for ours in LABELS if ours.startswith(label.lower()[:3])), None)


def _caution(text: str, languages: tuple[str, ...]) -> str:
    if not languages or (len(text.split()) < 3 and text.isascii()):
        return ""
    language, probability = guess_language(text)
    if probability < SURE or language in languages:
        return ""
    return f"This looks {LANGUAGES[language]}; the model learned from {LANGUAGES[languages[0]]} and may be wrong here."


SAMPLES = (
    SentimentRequest("The plot is thin, but the actors are so charming that I left the cinema smiling."),
    SentimentRequest("The parcel came two weeks late and the box was crushed."),
    SentimentRequest(
        [
            "Best soup I have had in years.",
            "The waiter forgot us twice.",
            "We sat at a table by the window.",
            "Not bad at all, though a little loud.",
        ]
    ),
)
