"""Translation: languages, which model, texts sentence by sentence, and what comes back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from engine.applications import Application
from engine.applications.languages import LANGUAGES, detect_language, guess_language, names_of, read_tables
from engine.applications.prompts import SHOTS, style_of
from engine.applications.routes import PIVOT, Route, best_route
from engine.applications.segments import split
from engine.applications.sentences import Translation, Work
from engine.catalogue.models import Catalogue, Model
from engine.errors import InputError, UnsupportedError
from engine.evaluation.metrics import bleu, chrf
from engine.messages import Text
from engine.requests import Event, clean_texts
from engine.serving.protocol import Caller, Engine


@dataclass(frozen=True)
class TranslateRequest:
    """`text` is one text or several; languages are ISO 639-1 codes, or "auto" for the source."""

    text: str | list[str]
    source: str = "auto"
    target: str = "fr"
    model: str | None = None


@dataclass(frozen=True)
class TranslateResult:
    """Translations in the order of the texts, the model, and the settings that acted."""

    translations: list[Translation]
    model: str
    settings: dict[str, Any] = field(default_factory=dict)
    via: str = ""
    """The model that translated into English first, where the pair has none of its own."""


def languages_of(model: Model) -> list[str]:
    """Codes that the model can translate from or to, in the order of the pickers; all where the model does not say."""
    known = set(model.pair or model.languages or LANGUAGES)
    if style_of(model) == "few-shot":
        known &= set(SHOTS)
    return [code for code in LANGUAGES if code in known]


def route_for(catalogue: Catalogue, request: TranslateRequest, text: str) -> Route:
    """The model asked for, else the best way for the pair of languages with what is here, perhaps through English.

    The text tells the source language where the request does not. Raises NotFoundError, UnsupportedError.
    """
    if request.model:
        return Route((APPLICATION.choose(catalogue, request.model),))
    source = guess_language(text)[0] if request.source == "auto" else request.source
    found = best_route(catalogue, APPLICATION.models(catalogue), source, request.target)
    return found or Route((APPLICATION.choose(catalogue, None),))


def stream(engine: Engine, request: TranslateRequest, caller: Caller) -> Iterator[Event]:
    """Translate; the last event's result is a TranslateResult. Sentences run at once, as far as there are slots.

    Of one text the text events join to the translation; where a sentence had to be made again, a "replace" event holds
    the whole translation so far. Of several texts only the waiting shows.
    Raises InputError, TooLargeError, UnsupportedError for fields and languages, and what the engine raises.
    """
    texts = clean_texts(request.text, "text", engine.settings.max_text_characters, engine.settings.max_rows)
    model, *further = route_for(engine.catalogue, request, texts[0]).legs
    if further:
        yield from _through_english(engine, request, model, further[0], caller)
        return
    works = [Work(engine, model, text, _languages(model, request, text), caller) for text in texts]
    is_one = isinstance(request.text, str)
    for event in _work_off(engine, model, works, caller):
        yield event if is_one or event.kind in ("queued", "loading") else Event("queued")
    settings = next((work.settings for work in works if work.settings), {})
    yield Event("done", result=TranslateResult([work.translation() for work in works], model.id, settings))


def _through_english(
    engine: Engine, request: TranslateRequest, first: Model, second: Model, caller: Caller
) -> Iterator[Event]:
    """Translate into English with one model and from there with another; only the second one's text shows."""
    halfway: TranslateResult | None = None
    for event in stream(engine, replace(request, target=PIVOT, model=first.id), caller):
        if event.kind == "done":
            halfway = event.result
        else:
            yield event if event.kind in ("queued", "loading") else Event("queued")
    assert halfway is not None
    texts = [one.text for one in halfway.translations]
    english = texts[0] if isinstance(request.text, str) else texts
    for event in stream(engine, replace(request, text=english, source=PIVOT, model=second.id), caller):
        if event.kind != "done":
            yield event
            continue
        both = zip(halfway.translations, event.result.translations, strict=True)
        translations = [_joined_legs(one, other) for one, other in both]
        yield Event("done", result=replace(event.result, translations=translations, via=first.id))


def _joined_legs(first: Translation, second: Translation) -> Translation:
    """The second translation as one of the first one's source; its sentences too, where they are as many."""
    sentences = second.sentences
    if len(first.sentences) == len(sentences):
        sentences = [
            replace(other, source=one.source, score=_both(one.score, other.score), warning=one.warning or other.warning)
            for one, other in zip(first.sentences, sentences, strict=True)
        ]
    score, warning = _both(first.score, second.score), first.warning or second.warning
    return Translation(second.text, score, first.source, sentences, warning)


def _both(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else first * second


def _work_off(engine: Engine, model: Model, works: Sequence[Work], caller: Caller) -> Iterator[Event]:
    """Have all sentences translated; the events of each in turn."""
    places = [(work, index) for work in works for index in range(len(work.asked))]
    requests = [work.request(index) for work, index in places]
    for number, event in engine.stream_all(model.id, requests, caller) if requests else ():
        work, index = places[number]
        if event.kind == "text":
            yield from work.show(index, event)
        elif event.kind == "done":
            yield from work.finish(index, event.result)
        else:
            yield event
    for work in works:
        yield from work.end()


def _languages(model: Model, request: TranslateRequest, text: str) -> tuple[str, str]:
    """Source and target, checked; in a text without words there is nothing to detect."""
    source, target, known = request.source, request.target, languages_of(model)
    for name, code in (("source", source), ("target", target)):
        if code not in known and not (name == "source" and code == "auto"):
            raise InputError(
                "{model} does not know {field} {code}. It knows {known}.",
                param=name, model=model.title, field=name, code=repr(code), known=names_of(known),
            )  # fmt: skip
    if source == "auto":
        has_words = any(segment.text for segment in split(text))
        source = detect_language(text, known) if has_words else next(code for code in known if code != target)
    if source == target:
        raise InputError(
            "The text is already in {language}. Choose another target language.",
            param="target", language=LANGUAGES[target],
        )  # fmt: skip
    if model.sources and source not in model.sources:
        raise UnsupportedError(
            "{model} translates only from {languages}. Choose that source or another model.",
            param="source", model=model.title, languages=names_of(model.sources),
        )  # fmt: skip
    if model.pair and tuple(model.pair) != (source, target):
        raise UnsupportedError(
            "{model} translates only {source} to {target}. Choose that pair or another model.",
            param="model", model=model.title, source=LANGUAGES[model.pair[0]], target=LANGUAGES[model.pair[1]],
        )  # fmt: skip
    return source, target


SAMPLES = (
    TranslateRequest(
        "The museum opens at nine. On the first Sunday of the month, entry is free for everyone.", "en", "fr"
    ),
    TranslateRequest("Bonjour ! Je cherche un petit restaurant tranquille près de la gare.", "fr", "en"),
    TranslateRequest("Am Wochenende wollen wir in den Bergen wandern, wenn das Wetter gut bleibt.", "de", "es"),
    TranslateRequest("我们明天早上八点在图书馆门口见面。", "zh", "en"),
)

APPLICATION = Application(
    id="translate",
    title=Text("Translate"),
    summary=Text("Translate between English, French, German, Spanish, Chinese and Portuguese, sentence by sentence."),
    icon="translate",
    order=10,
    architectures=frozenset({"causal", "seq2seq"}),
    default_model="gemma-3-270m",
    picker="translator",
    example={"text": "Bonjour ! Je cherche un restaurant.", "from": "French", "to": "English"},
    request_type=TranslateRequest,
    result_type=TranslateResult,
    stream=stream,
    samples=SAMPLES,
    metrics={"bleu": bleu, "chrf": chrf},
    page="translate.py",
    prepare=read_tables,
    suits=lambda model: model.pair is not None or model.prompt_style == "codes",
)
