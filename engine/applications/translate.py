"""Translation: languages, which model, texts sentence by sentence, and what comes back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from engine.applications import Application
from engine.applications.directions import (
    check_codes,
    codes_of,
    find_direction,
    is_already_in,
    languages_of,
    no_route,
    words_of,
)
from engine.applications.glossary import for_legs, read_terms
from engine.applications.languages import NAMED, detect_language, read_tables
from engine.applications.routes import PIVOT, Route, best_route
from engine.applications.rows import as_it_was, clean_rows
from engine.applications.sentences import Direction, Translation, Untouched, Work
from engine.catalogue.models import Catalogue, Model
from engine.errors import PeopleError
from engine.evaluation.metrics import bleu, chrf
from engine.messages import Text
from engine.requests import Event, Generate, clean_texts
from engine.serving.protocol import Caller, Engine

MAX_GUESSED = 20
"""Rows of a batch by whose languages its model is chosen."""


@dataclass(frozen=True)
class TranslateRequest:
    """`text` is one text or several; languages are ISO 639-1 codes, or "auto" for the source.

    Of several, one that cannot be translated, or is no text (a number, null), stays as it was and has a `warning`.
    """

    text: str | list[Any]
    source: str = "auto"
    target: str = "fr"
    model: str | None = None
    glossary: list[str] = field(default_factory=list)
    """Terms with translations of their own, which are obeyed: "invoice = facture"."""


@dataclass(frozen=True)
class TranslateResult:
    """Translations in the order of the texts, the model, and the settings that acted."""

    translations: list[Translation]
    model: str
    settings: dict[str, Any] = field(default_factory=dict)
    via: str = ""
    """The model that translated into English first, where the pair has none of its own."""


def known_languages(catalogue: Catalogue) -> list[str]:
    """Codes that some model here, or one download away, translates from or to, in the order of the pickers."""
    models = APPLICATION.models(catalogue)
    known = {one.id: one for one in models if one.bleu or one.is_embedded}
    return codes_of([*known.values(), *catalogue.ready(one for one in models if one.id not in known)])


def first_target(catalogue: Catalogue, language: str) -> str:
    """Into which language a visitor who reads that one wants to see English translated: their own, else the best."""
    here = catalogue.ready(APPLICATION.models(catalogue))
    codes = [code for code in known_languages(catalogue) if code != PIVOT]
    routes = {code: best_route(here, PIVOT, code) for code in codes}
    return max(codes, key=lambda code: (code == language, (route := routes[code]) is not None and route.quality))


def direction_of(catalogue: Catalogue, request: TranslateRequest) -> tuple[str, str]:
    """Source and target of a text without a model; the text tells its language where the request does not."""
    rows = request.text if isinstance(request.text, list | tuple) else [request.text]
    texts = [row for row in rows if isinstance(row, str) and row.strip()]
    if request.source != "auto" or not texts:
        return request.source, request.target
    here = catalogue.ready(APPLICATION.models(catalogue))
    known = [code for code in NAMED if code != request.target and best_route(here, code, request.target)]
    guesses = [detect_language(words_of(text), [*known, request.target]) for text in texts[:MAX_GUESSED]]
    guesses.sort(key=lambda guess: (not guess.is_allowed, guess.code == request.target))
    return guesses[0].code, request.target


def route_for(catalogue: Catalogue, request: TranslateRequest) -> Route:
    """The model asked for, else the best way for the pair of languages with what is here; perhaps through English.
    Raises NotFoundError, UnsupportedError."""
    if request.model:
        chosen = APPLICATION.choose(catalogue, request.model)
        found = None if chosen.pair else best_route([chosen], *direction_of(catalogue, request))
        return found or Route((chosen,))
    models = APPLICATION.models(catalogue)
    check_codes(catalogue, models, request.source, request.target)
    source, target = direction_of(catalogue, request)
    if found := best_route(catalogue.ready(models), source, target):
        return found
    default = APPLICATION.choose(catalogue, None)
    if source == target and target not in languages_of(default):
        raise is_already_in(target)
    given = {target} if request.source == "auto" else {source, target}
    if source in NAMED and source != target and not given <= set(languages_of(default)):
        raise no_route(catalogue, models, source, target)
    return Route((default,))


def way(catalogue: Catalogue, request: TranslateRequest) -> tuple[str, tuple[Model, ...]]:
    """The language of a text and the models that translate it, one after the other. Raises as `stream`."""
    legs = route_for(catalogue, request).legs
    if len(legs) > 1:
        return direction_of(catalogue, request)[0], legs
    models = APPLICATION.models(catalogue)
    return find_direction(catalogue, models, legs[0], request, str(request.text)).source, legs


def check_direction(catalogue: Catalogue, request: TranslateRequest) -> None:
    """Raise what is wrong with languages and model while there is no text yet."""
    if request.source != "auto" or request.model:
        way(catalogue, replace(request, text="-"))
    else:
        check_codes(catalogue, APPLICATION.models(catalogue), request.source, request.target)


def stream(engine: Engine, request: TranslateRequest, caller: Caller) -> Iterator[Event]:
    """Translate; the last event's result is a TranslateResult. Sentences run at once, as far as there are slots.

    Of one text the text events join to the translation; where a sentence had to be made again, a "replace" event holds
    the whole translation so far. Of several texts only the waiting shows.
    Raises InputError, TooLargeError, UnsupportedError for fields and languages, and what the engine raises.
    """
    model, *further = route_for(engine.catalogue, request).legs
    if further:
        yield from _through_english(engine, request, model, further[0], caller)
    else:
        yield from _by(model, engine, request, caller)


def _by(model: Model, engine: Engine, request: TranslateRequest, caller: Caller) -> Iterator[Event]:
    """Translate with that model, whoever chose it."""
    works = _works(engine, model, request, caller)
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
    terms = for_legs(request.glossary, 2)
    for event in _by(first, engine, replace(request, target=PIVOT, glossary=terms[0]), caller):
        if event.kind == "done":
            halfway = event.result
        else:
            yield _half(event, 0) if event.kind in ("queued", "loading", "working") else Event("queued")
    assert halfway is not None
    texts = [one.text for one in halfway.translations]
    english = texts[0] if isinstance(request.text, str) else texts
    for event in _by(second, engine, replace(request, text=english, source=PIVOT, glossary=terms[1]), caller):
        if event.kind != "done":
            yield _half(event, 1)
            continue
        both = zip(halfway.translations, event.result.translations, strict=True)
        translations = [joined_legs(one, other) for one, other in both]
        yield Event("done", result=replace(event.result, translations=translations, via=first.id))


def _half(event: Event, leg: int) -> Event:
    """An event of one of two legs; how far it is, it tells of both."""
    return replace(event, part=event.part + leg * event.parts, parts=2 * event.parts)


def joined_legs(first: Translation, second: Translation) -> Translation:
    """The second translation as one of the first one's source; its sentences too, where they are as many."""
    if first.warning and not first.sentences:
        return first
    sentences = second.sentences
    if len(first.sentences) == len(sentences):
        sentences = [
            replace(
                other, source=one.source, halfway=other.source, score=_lower(one.score, other.score),
                warning=one.warning or other.warning,
            )
            for one, other in zip(first.sentences, sentences, strict=True)
        ]  # fmt: skip
    score, warning = _lower(first.score, second.score), first.warning or second.warning
    return Translation(second.text, score, first.source, sentences, warning, first.is_guessed)


def _lower(first: float | None, second: float | None) -> float | None:
    """How sure both legs are: as the less sure one is. Their product would measure two legs by what is doubtful of one;
    and where a whole text is doubtful, so is one of its sentences, which is marked."""
    return None if first is None or second is None else min(first, second)


def _works(engine: Engine, model: Model, request: TranslateRequest, caller: Caller) -> list[Work | Untouched]:
    """The texts on their way; a row of several that cannot be read, or told its language, stays as it was."""
    limits, catalogue, terms = engine.settings, engine.catalogue, read_terms(request.glossary)
    models = APPLICATION.models(catalogue)
    if isinstance(request.text, str):
        (text,) = clean_texts(request.text, "text", limits.max_text_characters, limits.max_rows)
        return [Work(engine, model, text, find_direction(catalogue, models, model, request, text), caller, terms)]
    rows = clean_rows(request.text, "text", limits.max_text_characters, limits.max_rows)
    works: list[Work | Untouched] = []
    errors = []
    for original, row in zip(request.text, rows, strict=True):
        try:
            if isinstance(row, PeopleError):
                raise row
            direction = find_direction(catalogue, models, model, request, row)
            works.append(Work(engine, model, row, direction, caller, terms))
        except PeopleError as error:
            errors.append(error)
            works.append(Untouched(as_it_was(original), Direction(request.source, request.target), error.text))
    if len(errors) == len(works):
        raise errors[0]
    return works


def _work_off(engine: Engine, model: Model, works: list[Work | Untouched], caller: Caller) -> Iterator[Event]:
    """Have all sentences translated; the events of each in turn. A row of several that fails stays as it was."""
    places = [(row, index) for row, work in enumerate(works) for index in range(len(work.asked))]
    while places:
        done = 0
        try:
            for done, event in engine.stream_all(model.id, [_request(works, place) for place in places], caller):
                row, index = places[done]
                yield from _pass_on(works[row], index, event)
                if event.kind == "done" and len(places) > 1:
                    yield Event("working", part=done + 1, parts=len(places))
            break
        except PeopleError as error:
            failed = _failed_place(works, places, done)
            row, _ = places[failed]
            work = works[row]
            if len(works) == 1 or error.status in WHOLE or not isinstance(work, Work):
                raise
            works[row] = work.failed(error)
            places = [place for place in places[failed:] if place[0] != row]
    for work in works:
        yield from work.end()


def _failed_place(works: list[Work | Untouched], places: list[tuple[int, int]], last: int) -> int:
    """The first place from the last event's on that has no translation yet."""
    row, index = places[last]
    work = works[row]
    is_done = isinstance(work, Work) and len(work.sentences) > index
    return min(last + is_done, len(places) - 1)


WHOLE = (429, 503)
"""What concerns a whole batch: a full queue, and what is not ready."""


def _request(works: Sequence[Work | Untouched], place: tuple[int, int]) -> Generate:
    work = works[place[0]]
    assert isinstance(work, Work)
    return work.request(place[1])


def _pass_on(work: Work | Untouched, index: int, event: Event) -> Iterator[Event]:
    assert isinstance(work, Work)
    if event.kind == "text":
        yield from work.show(index, event)
    elif event.kind == "done":
        yield from work.finish(index, event.result)
    else:
        yield event


SAMPLES = (
    TranslateRequest("The museum opens at nine o'clock. Children do not pay.", "en", "fr"),
    TranslateRequest("Je cherche un petit restaurant près de la gare.", "fr", "en"),
    TranslateRequest("Die Bibliothek ist heute geschlossen.", "de", "es"),
    TranslateRequest("我们明天去图书馆。", "zh", "en"),
)
"""What the default model gets right; a test holds it, as for those of the other applications."""

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
    shown=TranslateRequest("Bonjour ! Je cherche un restaurant.", "fr", "en"),
    request_type=TranslateRequest,
    result_type=TranslateResult,
    stream=stream,
    samples=SAMPLES,
    metrics={"bleu": bleu, "chrf": chrf},
    page="translate.py",
    warm_up=read_tables,
    suits=lambda model: model.pair is not None or model.prompt_style == "codes",
)
