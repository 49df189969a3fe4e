"""Sentiment: how positive, neutral or negative a text is, or which of its own labels a fine-tuned model gives it."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from engine.applications import Application, carriers, emotions, labels
from engine.applications.carriers import CarriedBy
from engine.applications.emoji import polarity, shares, without
from engine.applications.judges import Reading, caution, read, unreadable
from engine.applications.languages import read_tables
from engine.applications.rows import clean_rows
from engine.applications.segments import split
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
MAX_SENTENCES = 500
"""Of a text that are judged by themselves."""


@dataclass(frozen=True)
class SentimentRequest:
    """One text or several; of several, one that is no text (a number, null), empty or too long has a `warning`."""

    text: str | list[Any]
    model: str | None = None
    by_sentence: bool = False
    """Whether each sentence of a text is judged too, where it has several."""
    labels: list[str] = field(default_factory=list)
    """Labels of one's own in place of the model's, without training: "late", or "late: the parcel came too late"."""
    emotions: bool = False
    """Whether the emotions of each text are named too, where their model is here."""
    with_words: bool = False
    """Whether the words that carried each judgement are told, which takes as long again for each word."""


@dataclass(frozen=True)
class SentenceScore:
    """A sentence of a text, by itself."""

    text: str
    label: str
    score: float
    scores: dict[str, float]


@dataclass(frozen=True)
class SentimentScore:
    """The likeliest label, its probability, and the probability of each; `warning` says when not to trust it."""

    label: str
    score: float
    scores: dict[str, float]
    warning: Text = NOTHING
    sentences: list[SentenceScore] = field(default_factory=list)
    """In the text's order, where they were asked for and there are several."""
    model: str = ""
    """Which judged it."""
    emotions: dict[str, float] = field(default_factory=dict)
    """Those that were found, with their probabilities, where they were asked for; several may be true."""
    words: list[CarriedBy] = field(default_factory=list)
    """That carried the label, where they were asked for, those worth most first."""

    @property
    def is_judged(self) -> bool:
        """False of a row that stands in its place unread: too long, or nothing in it."""
        return bool(self.model)


@dataclass(frozen=True)
class SentimentResult:
    """Scores in the order of the texts, and the model that judged them."""

    results: list[SentimentScore]
    model: str


def stream(engine: Engine, request: SentimentRequest, caller: Caller) -> Iterator[Event]:
    """Judge the texts, in batches; only the waiting shows before the last event, whose result is a SentimentResult.

    A row of several that is no text is not judged. Raises InputError or TooLargeError, and what the engine raises.
    """
    own = [name for name, _ in labels.checked(request.labels)] if request.labels else []
    rows = _rows(engine, request.text)
    texts = {number: row for number, row in enumerate(rows) if isinstance(row, str)}
    pieces = list(texts.items())
    pieces += [(number, one) for number, text in texts.items() for one in _sentences(request, text)]
    found = yield from _scores(engine, request, [text for _, text in pieces], caller)
    if request.emotions:
        felt = yield from emotions.stream(engine, list(texts.values()), caller)
        found[: len(texts)] = [replace(one, emotions=told) for one, told in zip(found[: len(texts)], felt, strict=True)]
    names = tuple(own) or (engine.catalogue.find(request.model).labels if request.model else ())
    judged = {number: _unread(names, row.text) for number, row in enumerate(rows) if isinstance(row, PeopleError)}
    judged |= {number: found[place] for place, (number, _) in enumerate(pieces[: len(texts)])}
    for (number, text), one in zip(pieces[len(texts) :], found[len(texts) :], strict=True):
        judged[number].sentences.append(SentenceScore(text, one.label, one.score, one.scores))
    if request.with_words:
        yield from _told_words(engine, request, texts, judged, caller)
    yield Event("done", result=SentimentResult([judged[number] for number in range(len(rows))], found[0].model))


def _told_words(
    engine: Engine, request: SentimentRequest, texts: Mapping[int, str], judged: dict[int, SentimentScore],
    caller: Caller,
) -> Generator[Event]:  # fmt: skip
    """Put to each judgement the words that carried it; so many texts at a time as a request may have."""
    asked = [(number, one) for number, text in texts.items() for one in carriers.without_each(text)]
    made: list[SentimentScore] = []
    for start in range(0, len(asked), engine.settings.max_rows):
        some = asked[start : start + engine.settings.max_rows]
        rests = [one.rest for _, one in some]
        made += yield from _scores(engine, request, rests, caller)
    found: dict[int, list[tuple[carriers.Without, Mapping[str, float]]]] = {number: [] for number in texts}
    for (number, one), rest in zip(asked, made, strict=True):
        found[number].append((one, rest.scores))
    for number, left_out in found.items():
        of_text = judged[number]
        judged[number] = replace(of_text, words=carriers.carried(of_text.label, of_text.score, left_out))


def _scores(
    engine: Engine, request: SentimentRequest, texts: Sequence[str], caller: Caller
) -> Generator[Event, None, list[SentimentScore]]:
    """Of each text, by the request's own labels where it has any."""
    return (yield from (_by_labels if request.labels else _by_model)(engine, request, texts, caller))


def _by_model(
    engine: Engine, request: SentimentRequest, texts: Sequence[str], caller: Caller
) -> Generator[Event, None, list[SentimentScore]]:
    """What the classifier says of each text; those of a length are put beside each other.

    A pass holds rows of as many tokens: by their characters alone it would hold a few of them.
    """
    model, readings = APPLICATION.choose(engine.catalogue, request.model), read(texts)
    places = range(len(readings))  # one alone is not counted: that asks the process of the models once more
    order = sorted(places, key=lambda place: _length(engine, model, readings[place].text)) if places[1:] else places
    found: dict[int, SentimentScore] = {}
    asked = [Classify(_readable(model, readings[place].text)) for place in order]
    for index, event in engine.stream_all(model.id, asked, caller):
        if event.kind == "done":
            place = order[index]
            found[place] = replace(_judged(engine, model, readings[place], event.result), model=model.id)
        yield event if event.kind in ("queued", "loading") else Event("queued")
    return [found[place] for place in range(len(readings))]


def _length(engine: Engine, model: Model, text: str) -> tuple[int, int]:
    """Tokens, which nobody counts while the model is not loaded, and characters."""
    return engine.count_tokens(model.id, text) or 0, len(text)


def _by_labels(
    engine: Engine, request: SentimentRequest, texts: Sequence[str], caller: Caller
) -> Generator[Event, None, list[SentimentScore]]:
    """Which of the request's own labels each text is most like."""
    shares: list[dict[str, float]] = []
    for event in labels.stream_shares(engine, texts, request.labels, caller):
        if event.kind == "done":
            shares = event.result
        else:
            yield event
    best = [max(row, key=lambda name: row[name]) for row in shares]
    return [
        SentimentScore(label, row[label], row, model=labels.ENCODER) for label, row in zip(best, shares, strict=True)
    ]


def _sentences(request: SentimentRequest, text: str) -> list[str]:
    """The sentences of a text that are judged by themselves."""
    found = [one.text for one in split(text) if one.text] if request.by_sentence else []
    return found[:MAX_SENTENCES] if len(found) > 1 else []


def _rows(engine: Engine, text: str | list[Any]) -> Sequence[str | PeopleError]:
    limits = ("text", engine.settings.max_text_characters, engine.settings.max_rows)
    return clean_texts(text, *limits) if isinstance(text, str) else clean_rows(text, *limits)


def _unread(own: tuple[str, ...], why: Text) -> SentimentScore:
    """What stands for a row that is not judged: no label is likelier than another."""
    label, names = ("", own) if own else ("neutral", LABELS)
    return SentimentScore(label, 1 / len(names), dict.fromkeys(names, 1 / len(names)), why)


def _score(result: Classification, model: Model, warning: Text) -> SentimentScore:
    """Labels that a person trained stay as they are, even those that we have words of our own for."""
    scores = dict(result.scores) if model.labels else in_our_labels(result.scores)
    label = max(scores, key=lambda name: scores[name])
    return SentimentScore(label, scores[label], scores, warning)


def _readable(model: Model, text: str) -> str:
    """What the model reads: emoji with a known polarity are counted apart, where there is other text."""
    return text if model.labels else (without(text) or text)


def _judged(engine: Engine, model: Model, reading: Reading, result: Classification) -> SentimentScore:
    """With what emoji say; a text that the model cannot read is as likely one as another."""
    text, is_known = reading.text, reading.is_plain and "en" in (model.languages or ("en",))
    score = _score(result, model, caution(reading, model))
    mood = polarity(text)
    if set(score.scores) != set(LABELS):
        return score if is_known else replace(score, warning=score.warning or unreadable(engine, model, text))
    if mood is not None:
        rest = without(text)
        told = shares(mood)
        scores = _pooled(score.scores, told) if any(map(str.isalpha, rest)) else told
        label = max(scores, key=lambda name: scores[name])
        return SentimentScore(label, scores[label], scores, score.warning)
    if not is_known and (warning := unreadable(engine, model, text)):
        return SentimentScore("neutral", 1 / 3, dict.fromkeys(LABELS, 1 / 3), warning)
    return score


def _pooled(of_text: Mapping[str, float], of_emoji: Mapping[str, float]) -> dict[str, float]:
    """Both opinions as one: their product, with less weight for the emoji (a logarithmic opinion pool)."""
    raw = {label: of_text[label] * of_emoji[label] ** EMOJI_WEIGHT for label in LABELS}
    total = sum(raw.values())
    return {label: value / total for label, value in raw.items()}


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


@lru_cache(256)
def _our_label(label: str) -> str | None:
    if stars := re.fullmatch(r"([1-5]) stars?", label.lower()):
        return LABELS[(int(stars[1]) > 2) + (int(stars[1]) > 3)]
    return NAMES.get(label.lower().replace("_", " "))


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
    default_model="sentiment-e5",
    picker="judge",
    example={"review": "A little loud, but we had a wonderful evening."},
    shown=SentimentRequest("A little loud, but we had a wonderful evening.", by_sentence=True),
    request_type=SentimentRequest,
    result_type=SentimentResult,
    stream=stream,
    samples=SAMPLES,
    metrics={"accuracy": accuracy},
    page="sentiment.py",
    warm_up=read_tables,
)
