"""Summaries: sentences of the text that say most of it, or a model's own words, with what in the text supports them."""

from __future__ import annotations

import random
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from engine.applications import Application
from engine.applications.extracts import Place, Vectors, count_words, extract, is_near, sentences_of
from engine.applications.languages import NAMED, SPACELESS, SURE, guess_language, read_tables
from engine.applications.support import Source, sources_of, unsupported
from engine.applications.written import Draft, Order, joined, words_of_ours, write
from engine.catalogue.models import Model
from engine.errors import ConflictError, InputError, NotReadyError, not_between
from engine.evaluation.metrics import mean_rouge, rouge
from engine.messages import NOTHING, Text, counted
from engine.requests import MAX_SEED, SAMPLING_LIMITS, Embed, Event, clean_text
from engine.serving.protocol import Caller, Engine

MAX_CHARACTERS = 200_000
"""Of a text whose sentences are chosen, about 30,000 words."""
MAX_WRITTEN_CHARACTERS = 60_000
"""Of a text that a model reads whole, in parts."""
MIN_WORDS, MAX_WORDS, WORDS = 10, 500, 60
"""Of a summary: least, most, and unless told otherwise."""
ENCODER, WRITER, MULTILINGUAL_WRITER = "multilingual-e5-small", "smollm2-135m-instruct", "gemma-3-270m"
CHUNK = 64
"""Sentences that are embedded between two signs of progress."""


@dataclass(frozen=True)
class SummarizeRequest:
    """A text, and how long its summary is to be (10 to 500 words; of Chinese and Japanese, characters).

    An encoder as `model` chooses sentences of the text; any other writes, with a temperature where it samples. `words`
    may be null for a model that learned a length of its own. `reference` is a summary to compare with by ROUGE.
    """

    text: str
    words: int | None = WORDS
    is_bulleted: bool = False
    model: str | None = None
    temperature: float = 0.3
    seed: int | None = None
    reference: str = ""


@dataclass(frozen=True)
class SummarySentence:
    """One sentence, the sentences of the text that support it, and names and numbers that the text does not have."""

    text: str
    sources: list[Source] = field(default_factory=list)
    unsupported: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class SummarizeResult:
    """The summary. `is_quoted` says that its sentences are the text's own; offsets of sources are of the clean text."""

    text: str
    words: int
    sentences: list[SummarySentence]
    model: str
    is_quoted: bool
    language: str
    parts: int = 1
    """Of a long text, which were summarised first."""
    settings: dict[str, Any] = field(default_factory=dict)
    rouge: dict[str, float] = field(default_factory=dict)
    """F1 against the reference, 0 to 1; empty without one."""
    note: Text = NOTHING
    """Why its length is another than was asked for."""
    warning: Text = NOTHING
    """Why not to rely on it."""


def writer_for(text: str) -> str:
    """The embedded model that writes best in the language of the text."""
    return WRITER if not text.strip() or guess_language(text)[0] == "en" else MULTILINGUAL_WRITER


def stream(engine: Engine, request: SummarizeRequest, caller: Caller) -> Iterator[Event]:
    """Summarise; the last event's result is a SummarizeResult.

    Raises InputError or TooLargeError naming the field, and what the engine raises.
    """
    model = APPLICATION.choose(engine.catalogue, request.model)
    text = clean_text(request.text, "text", _longest(engine, model))
    reference = clean_text(request.reference, "reference", engine.settings.max_text_characters, can_be_empty=True)
    _check(request)
    language = guess_language(text)[0]
    places = sentences_of(text, language)
    if not places:
        raise InputError("{field} has no sentence to summarise. Give it a text in sentences.", "text", field="text")
    make = _quoted if model.architecture == "embedding" else _written
    result = yield from make(engine, model, request, text, language, places, caller)
    if reference.strip():
        result = replace(result, rouge=rouge(joined([one.text for one in result.sentences], language), [reference]))
    yield Event("replace", text=result.text)
    yield Event("done", result=result)


def _longest(engine: Engine, model: Model) -> int:
    longest = MAX_CHARACTERS if model.architecture == "embedding" else MAX_WRITTEN_CHARACTERS
    return min(longest, engine.settings.max_text_characters) if engine.settings.is_public else longest


def _check(request: SummarizeRequest) -> None:
    if request.words is not None and not (isinstance(request.words, int) and MIN_WORDS <= request.words <= MAX_WORDS):
        raise not_between("words", MIN_WORDS, MAX_WORDS)
    low, high = SAMPLING_LIMITS["temperature"]
    if not low <= request.temperature <= high:
        raise InputError(
            "{field} is {value}; choose a value from {low} to {high}.",
            param="temperature", field="temperature", value=request.temperature, low=low, high=high,
        )  # fmt: skip


def _quoted(
    engine: Engine, model: Model, request: SummarizeRequest, text: str, language: str, places: list[Place],
    caller: Caller,
) -> Generator[Event, None, SummarizeResult]:  # fmt: skip
    """Sentences of the text, chosen by what an encoder makes of them."""
    vectors = yield from _embedded(engine, model.id, [place.text for place in places], caller)
    words = request.words or WORDS
    chosen = extract(places, vectors, words, language)
    sentences = [SummarySentence(one.text, [_itself(places[one.number])]) for one in chosen]
    result = _result(request, sentences, model, language, places)
    return replace(result, is_quoted=True)


def _itself(place: Place) -> Source:
    return Source(place.text, place.start, place.end, 1.0)


def _written(
    engine: Engine, model: Model, request: SummarizeRequest, text: str, language: str, places: list[Place],
    caller: Caller,
) -> Generator[Event, None, SummarizeResult]:  # fmt: skip
    """A model's own words, with their sources."""
    seed = random.randrange(MAX_SEED) if request.seed is None else request.seed
    order = Order(model, request.words, language, request.temperature, seed)
    draft, parts = yield from write(engine, order, places, caller)
    if not draft.chosen:
        raise NotReadyError("{model} wrote no whole sentence. Try again, or choose another model.", model=model.title)
    sentences = yield from _supported(engine, draft, text, places, caller)
    result = _result(request, sentences, model, language, places)
    settings = draft.settings | {"seed": seed}
    return replace(result, parts=parts, settings=settings, warning=_caution(model, language, text, sentences))


def _supported(
    engine: Engine, draft: Draft, text: str, places: list[Place], caller: Caller
) -> Generator[Event, None, list[SummarySentence]]:
    """The chosen sentences, each with its sources; by words alone while the encoder is not here."""
    language, said = draft.order.language, [one.text for one in draft.chosen]
    own: Vectors | None = None
    theirs: Vectors | None = None
    try:
        both = yield from _embedded(engine, ENCODER, [*said, *(place.text for place in places)], caller)
        own, theirs = both[: len(said)], both[len(said) :]
    except (ConflictError, NotReadyError, LookupError):
        pass
    return [
        SummarySentence(
            one,
            sources_of(one, None if own is None else own[number], places, theirs),
            unsupported(one, text, language),
        )
        for number, one in enumerate(said)
    ]


def _embedded(engine: Engine, model_id: str, texts: Sequence[str], caller: Caller) -> Generator[Event, None, Vectors]:
    """A vector of unit length for each text; progress in parts."""
    vectors: list[Any] = []
    starts = range(0, len(texts), CHUNK)
    for number, start in enumerate(starts, 1):
        if len(starts) > 1:
            yield Event("working", part=number, parts=len(starts))
        items = engine.stream_all(model_id, [Embed(one) for one in texts[start : start + CHUNK]], caller)
        with closing(items):  # type: ignore[type-var]
            for _, event in items:
                if event.kind == "done":
                    vectors.append(event.result.vector)
                elif event.kind == "loading" or event.position:
                    yield event
    return np.array(vectors, dtype=np.float32)


def _result(
    request: SummarizeRequest, sentences: list[SummarySentence], model: Model, language: str, places: Sequence[Place]
) -> SummarizeResult:
    said = [one.text for one in sentences]
    text = "\n".join(f"- {one}" for one in said) if request.is_bulleted else joined(said, language)
    words = sum(map(count_words, said))
    note = _note(request, words, sum(place.words for place in places), language)
    return SummarizeResult(text, words, sentences, model.id, is_quoted=False, language=language, note=note)


def length(count: int, language: str) -> Text:
    """So many words, or characters in a language that has no spaces between words."""
    if language in SPACELESS:
        return counted("{count} character", "{count} characters", count)
    return counted("{count} word", "{count} words", count)


def _note(request: SummarizeRequest, words: int, available: int, language: str) -> Text:
    if request.words is None or is_near(words, request.words):
        return NOTHING
    if available < request.words:
        return Text("The text itself has {length}.", length=length(available, language))
    return Text(
        "{length}, not {wanted}: no choice of whole sentences and clauses comes within 10 %.",
        length=length(words, language), wanted=request.words,
    )  # fmt: skip


def _caution(model: Model, language: str, text: str, sentences: Sequence[SummarySentence]) -> Text:
    """The first reason not to rely on what a model wrote."""
    if model.languages and language not in model.languages and guess_language(text)[1] >= SURE:
        return Text(
            "This looks {language}; the model learned from {known} and may be wrong here.",
            language=NAMED[language], known=NAMED[model.languages[0]],
        )  # fmt: skip
    strange = list(dict.fromkeys(word for one in sentences for word in one.unsupported))
    if strange:
        return Text("Not in the text: {words}. Do not rely on these sentences.", words=", ".join(strange))
    if any(not one.sources for one in sentences):
        return Text("For a sentence that is marked no source was found in the text.")
    return NOTHING


def _suits(model: Model) -> bool:
    """Encoders, chat models, and encoder-decoders that are no translators."""
    if model.architecture == "seq2seq":
        return model.pair is None and model.prompt_style in ("", "t5")
    return model.architecture == "embedding" or (model.architecture == "causal" and model.is_chat)


def rouge_1(predictions: Sequence[str], references: Sequence[str], *facts: Any) -> float:
    return mean_rouge("rouge1", predictions, references)


def rouge_2(predictions: Sequence[str], references: Sequence[str], *facts: Any) -> float:
    return mean_rouge("rouge2", predictions, references)


def rouge_l(predictions: Sequence[str], references: Sequence[str], *facts: Any) -> float:
    return mean_rouge("rougeL", predictions, references)


_TEXTS = [sample["text"].strip() for sample in words_of_ours()["samples"]]
SAMPLES = (
    SummarizeRequest(_TEXTS[0], 50),
    SummarizeRequest(_TEXTS[1], 60, is_bulleted=True),
    SummarizeRequest(_TEXTS[2], 40),
    SummarizeRequest(_TEXTS[3], 50),
    SummarizeRequest(_TEXTS[4], 70),
)
APPLICATION = Application(
    id="summarize",
    title=Text("Summarize"),
    summary=Text("Shorten a text to the length you set, in its own sentences or a model's words."),
    icon="short_text",
    order=15,
    architectures=frozenset({"embedding", "causal", "seq2seq"}),
    default_model=ENCODER,
    picker="summarizer",
    example={"article": _TEXTS[0]},
    shown=SAMPLES[0],
    request_type=SummarizeRequest,
    result_type=SummarizeResult,
    stream=stream,
    samples=SAMPLES,
    metrics={"rouge1": rouge_1, "rouge2": rouge_2, "rougeL": rouge_l},
    page="summarize.py",
    warm_up=read_tables,
    suits=_suits,
)
