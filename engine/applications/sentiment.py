"""Sentiment: how positive, neutral or negative a text is, or which of its own labels a fine-tuned model gives it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from engine.applications import Application, labels
from engine.applications.emoji import polarity, shares, without
from engine.applications.languages import NAMED, SURE, guess_language, read_tables
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
MIN_LETTERS, BROKEN = 4, 0.6
"""Letters from which on, and pieces for each letter above which, a text is no words: English has about 0.25."""
_ENGLISH = """
    the and this that have with you they their would from which there were been to but are than very just its it's his
    who what about will can isn't doesn't don't it she them these those when where how why much too only more most some
    any all
"""
ENGLISH = frozenset(_ENGLISH.split())
MIN_ENGLISH, MANY_ROWS = 2, 20
"""Of these words a text needs so many to be English without a look: hardly a sentence in another language has two.
Among many rows of which half have, one is enough."""
_REPEATED = re.compile(r"([^\W\d_])\1{3,}")


@dataclass(frozen=True)
class SentimentRequest:
    """One text or several; of several, one that is no text (a number, null), empty or too long has a `warning`."""

    text: str | list[Any]
    model: str | None = None
    by_sentence: bool = False
    """Whether each sentence of a text is judged too, where it has several."""
    labels: list[str] = field(default_factory=list)
    """Labels of one's own in place of the model's, without training: "late", or "late: the parcel came too late"."""


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


@dataclass(frozen=True)
class SentimentResult:
    """Scores in the order of the texts."""

    results: list[SentimentScore]
    model: str


def stream(engine: Engine, request: SentimentRequest, caller: Caller) -> Iterator[Event]:
    """Judge the texts, in batches; only the waiting shows before the last event, whose result is a SentimentResult.

    A row of several that is no text is not judged. Raises InputError or TooLargeError, and what the engine raises.
    """
    own = [name for name, _ in labels.checked(request.labels)] if request.labels else []
    model = engine.catalogue.find(labels.ENCODER) if own else APPLICATION.choose(engine.catalogue, request.model)
    rows = _rows(engine, request.text)
    names = tuple(own or model.labels)
    judged = {number: _unread(names, row.text) for number, row in enumerate(rows) if isinstance(row, PeopleError)}
    texts = {number: row for number, row in enumerate(rows) if isinstance(row, str)}
    pieces = list(texts.items())
    pieces += [(number, one) for number, text in texts.items() for one in _sentences(request, text)]
    scores = _by_labels if own else _by_model
    found = yield from scores(engine, model, request, [text for _, text in pieces], caller)
    judged |= {number: found[place] for place, (number, _) in enumerate(pieces[: len(texts)])}
    for (number, text), one in zip(pieces[len(texts) :], found[len(texts) :], strict=True):
        judged[number].sentences.append(SentenceScore(text, one.label, one.score, one.scores))
    yield Event("done", result=SentimentResult([judged[number] for number in range(len(rows))], model.id))


def _by_model(
    engine: Engine, model: Model, request: SentimentRequest, texts: Sequence[str], caller: Caller
) -> Generator[Event, None, list[SentimentScore]]:
    """What a classifier says of each text; those of a length are put beside each other."""
    order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
    found: dict[int, SentimentScore] = {}
    asked = [Classify(_readable(model, texts[place])) for place in order]
    plain = _plainly_english(texts) if "en" in (model.languages or ("en",)) else [False] * len(texts)
    for index, event in engine.stream_all(model.id, asked, caller):
        if event.kind == "done":
            place = order[index]
            found[place] = _judged(engine, model, texts[place], event.result, is_plain=plain[place])
        yield event if event.kind in ("queued", "loading") else Event("queued")
    return [found[place] for place in range(len(texts))]


def _by_labels(
    engine: Engine, model: Model, request: SentimentRequest, texts: Sequence[str], caller: Caller
) -> Generator[Event, None, list[SentimentScore]]:
    """Which of the request's own labels each text is most like."""
    shares: list[dict[str, float]] = []
    for event in labels.stream_shares(engine, texts, request.labels, caller):
        if event.kind == "done":
            shares = event.result
        else:
            yield event
    best = [max(row, key=lambda name: row[name]) for row in shares]
    return [SentimentScore(label, row[label], row) for label, row in zip(best, shares, strict=True)]


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


def _judged(engine: Engine, model: Model, text: str, result: Classification, *, is_plain: bool) -> SentimentScore:
    """With what emoji say; a text that the model cannot read is as likely one as another."""
    score = _score(result, model, NOTHING if is_plain else _caution(text, model.languages))
    mood = polarity(text)
    if set(score.scores) != set(LABELS):
        return score if is_plain else replace(score, warning=score.warning or _unreadable(engine, model, text))
    if mood is not None:
        rest = without(text)
        told = shares(mood)
        scores = _pooled(score.scores, told) if _has_words(rest) else told
        label = max(scores, key=lambda name: scores[name])
        return SentimentScore(label, scores[label], scores, score.warning)
    if not is_plain and (warning := _unreadable(engine, model, text)):
        return SentimentScore("neutral", 1 / 3, dict.fromkeys(LABELS, 1 / 3), warning)
    return score


def _pooled(of_text: Mapping[str, float], of_emoji: Mapping[str, float]) -> dict[str, float]:
    """Both opinions as one: their product, with less weight for the emoji (a logarithmic opinion pool)."""
    raw = {label: of_text[label] * of_emoji[label] ** EMOJI_WEIGHT for label in LABELS}
    total = sum(raw.values())
    return {label: value / total for label, value in raw.items()}


def _plainly_english(texts: Sequence[str]) -> list[bool]:
    """For each text whether a few words tell its language, so that nothing else must: of many rows that is most of the
    work."""
    counts = [len(ENGLISH & set(text.lower().split())) for text in texts]
    is_most = len(texts) >= MANY_ROWS and sum(count >= MIN_ENGLISH for count in counts) * 2 >= len(texts)
    return [count >= (1 if is_most else MIN_ENGLISH) for count in counts]


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
    shown=SentimentRequest("A little loud, but we had a wonderful evening.", by_sentence=True),
    request_type=SentimentRequest,
    result_type=SentimentResult,
    stream=stream,
    samples=SAMPLES,
    metrics={"accuracy": accuracy},
    page="sentiment.py",
    warm_up=read_tables,
)
