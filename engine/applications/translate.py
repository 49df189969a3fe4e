"""Translation: languages, which model, texts sentence by sentence, and what comes back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.applications import Application
from engine.applications.languages import LANGUAGES, detect_language, guess_language, names_of, read_tables
from engine.applications.prompts import SHOTS, style_of
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


def languages_of(model: Model) -> list[str]:
    """Codes that the model can translate from or to, in the order of the pickers; all where the model does not say."""
    known = set(model.pair or model.languages or LANGUAGES)
    if style_of(model) == "few-shot":
        known &= set(SHOTS)
    return [code for code in LANGUAGES if code in known]


def best_for(catalogue: Catalogue, request: TranslateRequest) -> str | None:
    """The embedded model that was made for this very pair, where there is one. A source is guessed only for that."""
    made = {model.pair: model.id for model in APPLICATION.models(catalogue) if model.is_embedded and model.pair}
    source = request.source
    if source == "auto" and any(pair and pair[1] == request.target for pair in made):
        text = request.text if isinstance(request.text, str) else next(iter(request.text), "")
        source = guess_language(text)[0] if isinstance(text, str) else source
    return made.get((source, request.target))


def stream(engine: Engine, request: TranslateRequest, caller: Caller) -> Iterator[Event]:
    """Translate; the last event's result is a TranslateResult. Sentences run at once, as far as there are slots.

    Of one text the text events join to the translation; where a sentence had to be made again, a "replace" event holds
    the whole translation so far. Of several texts only the waiting shows.
    Raises InputError, TooLargeError, UnsupportedError for fields and languages, and what the engine raises.
    """
    model = APPLICATION.choose(engine.catalogue, request.model or best_for(engine.catalogue, request))
    texts = clean_texts(request.text, "text", engine.settings.max_text_characters, engine.settings.max_rows)
    works = [Work(engine, model, text, _languages(model, request, text), caller) for text in texts]
    is_one = isinstance(request.text, str)
    for event in _work_off(engine, model, works, caller):
        yield event if is_one or event.kind in ("queued", "loading") else Event("queued")
    settings = next((work.settings for work in works if work.settings), {})
    yield Event("done", result=TranslateResult([work.translation() for work in works], model.id, settings))


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
