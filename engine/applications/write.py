"""Creative writing: stories, poems, lyrics, slogans and free continuation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from engine.applications.languages import LANGUAGES
from engine.catalogue import Model
from engine.core import Engine
from engine.errors import InputError
from engine.requests import Event, Generate, Generation, Message, Sampling, clean_text

Kind = Literal["story", "poem", "lyrics", "slogan", "free"]

KINDS: dict[str, str] = {
    "story": "a short story",
    "poem": "a poem",
    "lyrics": "song lyrics with verses and a chorus",
    "slogan": "one short, catchy advertising slogan of at most ten words",
}
"""What a chat model is asked for; "free" continues the text itself."""

GENRES = ("", "fantasy", "adventure", "mystery", "science fiction", "romance", "comedy", "horror", "fairy tale")
TONES = ("", "cheerful", "calm", "melancholic", "dramatic", "playful", "hopeful", "dark")

TOKENS: dict[str, int] = {"story": 300, "poem": 160, "lyrics": 220, "slogan": 40, "free": 200}
"""A sensible length of each kind."""

OPENINGS: dict[str, dict[str, str]] = {
    "en": {
        "story": "A {adjectives}short story about {text}.\n\n",
        "poem": "A {adjectives}poem about {text}.\n\n",
        "lyrics": "A {adjectives}song about {text}.\n\n[Verse 1]\n",
        "slogan": "Advertising slogans\n\nCoffee: Wake up to something wonderful.\nShoes: Every step counts.\n{text}:",
    },
    "fr": {
        "story": "Voici une histoire courte sur le thème suivant : {text}.\n\nIl était une fois",
        "poem": "Poème sur le thème suivant : {text}.\n\n",
        "lyrics": "Chanson sur le thème suivant : {text}.\n\n[Couplet 1]\n",
        "slogan": "Slogans publicitaires\n\nCafé : Le réveil a du goût.\nChaussures : Chaque pas compte.\n{text} :",
    },
    "de": {
        "story": "Eine kurze Geschichte zum Thema: {text}.\n\nEs war einmal",
        "poem": "Ein Gedicht zum Thema: {text}.\n\n",
        "lyrics": "Ein Lied zum Thema: {text}.\n\n[Strophe 1]\n",
        "slogan": "Werbesprüche\n\nKaffee: Der Morgen schmeckt.\nSchuhe: Jeder Schritt zählt.\n{text}:",
    },
    "es": {
        "story": "Un cuento corto sobre el tema: {text}.\n\nHabía una vez",
        "poem": "Un poema sobre el tema: {text}.\n\n",
        "lyrics": "Una canción sobre el tema: {text}.\n\n[Estrofa 1]\n",
        "slogan": "Eslóganes publicitarios\n\nCafé: Despierta con sabor.\nZapatos: Cada paso cuenta.\n{text}:",
    },
    "zh": {
        "story": "一个关于“{text}”的小故事。\n\n从前，",
        "poem": "一首关于“{text}”的诗。\n\n",
        "lyrics": "一首关于“{text}”的歌。\n\n【第一段】\n",
        "slogan": "广告语\n\n咖啡：唤醒每个清晨。\n鞋子：每一步都算数。\n{text}：",
    },
}
"""How a base model, which only continues text, is led to each kind."""

PRESETS: dict[str, dict[str, float]] = {
    "Precise": {"temperature": 0.3, "top_p": 0.9, "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.15},
    "Balanced": {"temperature": 0.7, "top_p": 0.95, "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.1},
    "Creative": {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "min_p": 0.08, "repetition_penalty": 1.05},
    "Neutral": {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0},
}
"""Named settings; Neutral is the model's own distribution without any filter."""

METRICS: dict[str, Callable[..., float]] = {}
"""No figure tells a good poem."""


@dataclass(frozen=True)
class WriteRequest:
    """What to write about, and how. `continuation` is text already written, which is then carried on."""

    text: str
    kind: Kind = "story"
    genre: str = ""
    tone: str = ""
    language: str = "en"
    continuation: str = ""
    model: str | None = None
    temperature: float = 0.7
    max_new_tokens: int = 200
    top_p: float = 0.95
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.1
    stop: list[str] = field(default_factory=list)
    seed: int | None = None


@dataclass(frozen=True)
class WriteResult:
    """The new text (without `continuation`) and how it came about; times in seconds."""

    text: str
    model: str
    finish_reason: str
    settings: dict[str, Any]
    new_tokens: int
    tokens_per_second: float | None = None
    first_token_seconds: float | None = None


def default_model(kind: str, language: str) -> str:
    """The embedded model that does it best: the chat model in English, the multilingual base model else."""
    return "smollm2-135m-instruct" if language == "en" and kind != "free" else "gemma-3-270m"


def stream(engine: Engine, request: WriteRequest) -> Iterator[Event]:
    """Write; text events join to the result's text, the last event's result is a WriteResult.

    Raises InputError or TooLargeError naming the field, and what the engine raises.
    """
    model = engine.catalogue.find(request.model or default_model(request.kind, request.language))
    limit = engine.settings.max_text_characters
    for event in engine.stream(model.id, ask(model, request, limit)):
        if event.kind == "done":
            event = Event("done", result=_result(event.result, model))
        yield event


def run(engine: Engine, request: WriteRequest) -> WriteResult:
    """The join of `stream`."""
    *_, last = stream(engine, request)
    result: WriteResult = last.result
    return result


def ask(model: Model, request: WriteRequest, max_characters: int) -> Generate:
    """The request to the model: an instruction for chat models, an opening for base models."""
    text = clean_text(request.text, "text", max_characters)
    continuation = clean_text(request.continuation, "continuation", max_characters, can_be_empty=True)
    _check(request)
    if request.kind == "free":
        return Generate(text + continuation, sampling=_sampling(request))
    if model.is_chat:
        turns = (Message("user", instruction(request, text)),)
        so_far = (Message("assistant", continuation),) if continuation else ()
        return Generate(messages=turns + so_far, sampling=_sampling(request))
    stops = ("\n",) if request.kind == "slogan" else ()
    opening = OPENINGS.get(request.language, OPENINGS["en"])[request.kind]
    prompt = opening.format(text=text.strip().rstrip("."), adjectives=_adjectives(request))
    return Generate(prompt + continuation, sampling=_sampling(request, stops))


def instruction(request: WriteRequest, text: str) -> str:
    """The order given to a chat model."""
    article_and_kind = KINDS[request.kind]
    article, _, kind = article_and_kind.partition(" ")
    adjectives = _adjectives(request)
    if adjectives:
        article = "an" if article in ("a", "an") and adjectives[0] in "aeiou" else article
    name = f"{article} {adjectives}{kind}" if article in ("a", "an") else article_and_kind
    language = "" if request.language == "en" else f" in {LANGUAGES[request.language]}"
    only = " Answer with the slogan only." if request.kind == "slogan" else ""
    return f"Write {name}{language} about this: {text.strip()}{only}"


def _adjectives(request: WriteRequest) -> str:
    return "".join(f"{word.strip()} " for word in (request.tone, request.genre) if word.strip())


def _check(request: WriteRequest) -> None:
    if request.kind not in TOKENS:
        raise InputError(f"kind is {request.kind!r}; choose one of {', '.join(TOKENS)}.", param="kind")
    if request.language not in LANGUAGES:
        raise InputError(f"language is {request.language!r}; choose one of {', '.join(LANGUAGES)}.", param="language")
    for name in ("genre", "tone"):
        clean_text(getattr(request, name), name, 60, can_be_empty=True)


def _sampling(request: WriteRequest, stops: tuple[str, ...] = ()) -> Sampling:
    return Sampling(
        max_new_tokens=request.max_new_tokens,
        temperature=request.temperature,
        top_p=request.top_p,
        top_k=request.top_k,
        min_p=request.min_p,
        repetition_penalty=request.repetition_penalty,
        stop=(*request.stop, *stops),
        seed=request.seed,
    )


def _result(generation: Generation, model: Model) -> WriteResult:
    return WriteResult(
        generation.text,
        model.id,
        generation.finish_reason,
        dict(generation.settings),
        generation.new_tokens,
        generation.tokens_per_second,
        generation.first_token_seconds,
    )


SAMPLES = (
    WriteRequest("a lighthouse keeper who befriends a whale", "story", "adventure", "hopeful"),
    WriteRequest("the first snow in the city", "poem", "", "calm", max_new_tokens=160),
    WriteRequest("leaving home by night train", "lyrics", "", "melancholic", max_new_tokens=220),
    WriteRequest("a bakery that opens before sunrise", "slogan", "", "cheerful", max_new_tokens=40),
    WriteRequest("Once upon a time", "free", model="gpt2", temperature=0.7, max_new_tokens=200),
)
