"""Other words for a translated sentence: its words with their sources, what could stand for one, whole other wordings.

No page of its own: Translate shows it, and the API tells it as `/api/translate/words`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from engine.applications import Application
from engine.applications.alignments import begins_word
from engine.applications.directions import codes_of
from engine.applications.languages import NAMED
from engine.applications.routes import PIVOT, translates
from engine.applications.sentences import Sentence
from engine.applications.translate import APPLICATION as TRANSLATE
from engine.applications.words import MAX_OTHERS, Choice, Way, alternatives, others, rewritten, words_of
from engine.catalogue.models import Model
from engine.errors import InputError, UnsupportedError, not_among, not_between
from engine.messages import Text
from engine.requests import Event, clean_text
from engine.serving.protocol import Caller, Engine


@dataclass(frozen=True)
class WordingsRequest:
    """A sentence and its translation by a model, `via` which other one first; languages are ISO 639-1 codes."""

    text: str
    translation: str
    source: str
    target: str
    model: str
    via: str = ""
    start: int | None = None
    """Where in the translation a word begins, in characters, for which others are wanted."""
    beginning: str = ""
    """How another translation must begin."""
    others: int = 0
    """How many other translations are wanted."""


@dataclass(frozen=True)
class Word:
    """`translation[start:end]` comes from `text[source_start:source_end]` with this share of its attention, 0 to 1."""

    text: str
    start: int
    end: int
    source_start: int
    source_end: int
    share: float
    probability: float | None
    """Of its least likely piece; None where the model does not tell."""


@dataclass(frozen=True)
class WordingsResult:
    """The words of the translation; and what was wanted besides.

    A choice whose `text` is empty is made whole by asking again with its `beginning`.
    """

    words: list[Word]
    choices: list[Choice] = field(default_factory=list)
    rewritten: str = ""
    others: list[str] = field(default_factory=list)
    model: str = ""


def stream(engine: Engine, request: WordingsRequest, caller: Caller) -> Iterator[Event]:
    """Yields signs of life; the last event's result is a WordingsResult.

    Raises InputError, TooLargeError, UnsupportedError where the model cannot, and what the engine raises.
    """
    model, sentence = TRANSLATE.choose(engine.catalogue, request.model), _sentence(engine, request)
    _check_way(engine, request, model)
    way = Way(model.id, request.source, request.target, request.via)
    yield Event("queued")
    (found,) = words_of(engine, "" if request.via else model.id, [sentence], caller)
    words = [
        Word(sentence.text[slice(*one.target)], *one.target, *one.source, one.share, one.probability) for one in found
    ]
    choices, text, more = list[Choice](), "", list[str]()
    if request.start is not None:
        yield Event("queued")
        choices = alternatives(engine, way, sentence, request.start, caller)
    if request.beginning:
        yield Event("queued")
        text = rewritten(engine, way, sentence, request.beginning, caller)
    if request.others:
        yield Event("queued")
        more = others(engine, way, sentence, request.others, caller)
    yield Event("done", result=WordingsResult(words, choices, text, more, model.id))


def _sentence(engine: Engine, request: WordingsRequest) -> Sentence:
    """The sentence with its translation, all fields checked."""
    most = engine.settings.max_text_characters
    for name, code in (("source", request.source), ("target", request.target)):
        if code not in NAMED:
            raise not_among(name, code, codes_of(engine.catalogue.ready(TRANSLATE.models(engine.catalogue))))
    if not 0 <= request.others <= MAX_OTHERS:
        raise not_between("others", 0, MAX_OTHERS)
    translation = clean_text(request.translation, "translation", most)
    if request.start is not None and not 0 <= request.start < len(translation):
        raise not_between("start", 0, len(translation) - 1)
    if request.start is not None and not begins_word(translation, request.start):
        raise UnsupportedError(
            "start is {start}, and no word of the translation begins there. Ask without it: each of the words says "
            "where it begins.", "start", start=request.start,
        )  # fmt: skip
    if request.beginning:
        clean_text(request.beginning, "beginning", most)
    if request.source == request.target:
        raise InputError(
            "The text is already in {language}. Choose another target language.", "target",
            language=NAMED[request.target],
        )  # fmt: skip
    return Sentence(clean_text(request.text, "text", most), translation, None)


def _check_way(engine: Engine, request: WordingsRequest, model: Model) -> None:
    """Raise UnsupportedError for a model that does not translate what it is said to have translated."""
    legs = [("model", model, request.source, request.target)]
    if request.via:
        first = TRANSLATE.choose(engine.catalogue, request.via)
        legs = [("via", first, request.source, PIVOT), ("model", model, PIVOT, request.target)]
    for name, leg, source, target in legs:
        if leg.languages and not translates(leg, source, target):
            raise UnsupportedError(
                "{field} is {model}, which does not translate {source} to {target}. Send what /api/translate told of "
                "the translation: its source, model and via.",
                name, field=name, model=leg.title, source=NAMED[source], target=NAMED[target],
            )  # fmt: skip


PART = Application(
    id="translate/words",
    title=Text("Other wordings"),
    summary=Text("The words of a translation with their sources, and what could stand in their place."),
    icon="translate",
    architectures=TRANSLATE.architectures,
    default_model=TRANSLATE.default_model,
    request_type=WordingsRequest,
    result_type=WordingsResult,
    stream=stream,
    samples=(
        WordingsRequest(
            "We will go to the library tomorrow.", "Nous irons à la bibliothèque demain.", "en", "fr", "student-en-fr",
            start=5, others=2,
        ),
    ),
)  # fmt: skip
