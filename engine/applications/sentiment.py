"""Sentiment: how positive, neutral or negative a text is, or which of its own labels a fine-tuned model gives it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from engine.applications import Application
from engine.applications.languages import LANGUAGES, SURE, guess_language, read_tables
from engine.catalogue.models import Model
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
    warning: Text = NOTHING


@dataclass(frozen=True)
class SentimentResult:
    """Scores in the order of the texts."""

    results: list[SentimentScore]
    model: str


def stream(engine: Engine, request: SentimentRequest, caller: Caller) -> Iterator[Event]:
    """Judge the texts, in batches; only the waiting shows before the last event, whose result is a SentimentResult.

    Raises InputError or TooLargeError naming the row, and what the engine raises.
    """
    model = APPLICATION.choose(engine.catalogue, request.model)
    texts = clean_texts(request.text, "text", engine.settings.max_text_characters, engine.settings.max_rows)
    order = sorted(range(len(texts)), key=lambda number: len(texts[number]))
    judged: dict[int, SentimentScore] = {}
    for place, event in engine.stream_all(model.id, [Classify(texts[number]) for number in order], caller):
        if event.kind == "done":
            number = order[place]
            judged[number] = _score(event.result, model, _caution(texts[number], model.languages))
        yield event if event.kind in ("queued", "loading") else Event("queued")
    yield Event("done", result=SentimentResult([judged[number] for number in range(len(texts))], model.id))


def _score(result: Classification, model: Model, warning: Text) -> SentimentScore:
    """Labels that a person trained stay as they are, even those that we have words of our own for."""
    scores = dict(result.scores) if model.labels else in_our_labels(result.scores)
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
    return NAMES.get(label.lower().replace("_", " "))


def _caution(text: str, languages: tuple[str, ...]) -> Text:
    if not languages or (len(text.split()) < 3 and text.isascii()):
        return NOTHING
    language, probability = guess_language(text)
    if probability < SURE or language in languages:
        return NOTHING
    return Text(
        "This looks {language}; the model learned from {known} and may be wrong here.",
        language=LANGUAGES[language], known=LANGUAGES[languages[0]],
    )  # fmt: skip


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

APPLICATION = Application(
    id="sentiment",
    title=Text("Sentiment"),
    summary=Text("Judge how positive, neutral or negative texts are, one or thousands."),
    icon="sentiment_satisfied",
    order=30,
    architectures=frozenset({"classification"}),
    default_model="sentiment-minilm",
    picker="judge",
    example={"review": "Not bad at all, though a little loud."},
    request_type=SentimentRequest,
    result_type=SentimentResult,
    stream=stream,
    samples=SAMPLES,
    metrics={"accuracy": accuracy},
    page="sentiment.py",
    prepare=read_tables,
)
