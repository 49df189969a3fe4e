"""Creative writing: stories, poems, lyrics, slogans and free continuation."""

from __future__ import annotations

import logging
import math
import re
import time
import tomllib
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from engine.applications import Application, formed
from engine.applications.chapters import CHAPTERS
from engine.applications.commission import Commission, Verse
from engine.applications.completing import checked_turns
from engine.applications.formed import FormName
from engine.applications.languages import LANGUAGES, names_of
from engine.applications.prompts import common_length
from engine.applications.request_checks import check
from engine.applications.tidy import first_end, last_end, tidy_for
from engine.applications.tokens import WrittenToken, lay, typical_probability
from engine.catalogue.models import Model
from engine.errors import PeopleError, UnsupportedError
from engine.messages import NOTHING, Text, counted
from engine.requests import Event, Generate, Generation, Message, Sampling, Token, clean_text
from engine.serving.protocol import Caller, Engine

log = logging.getLogger(__name__)

Kind = Literal["story", "poem", "lyrics", "slogan", "free", "chat"]

_PROMPTS = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
ORDERS: dict[str, str] = _PROMPTS["orders"]
"""What a chat model is asked for; "free" continues the text itself."""
EXAMPLES: dict[str, list[list[str]]] = _PROMPTS["examples"]
"""Shown to a chat model first, in English."""
OPENINGS: dict[str, dict[str, str]] = _PROMPTS["openings"]
"""How a base model, which only continues text, is led to each kind, by language."""

MORE_TOKENS = 0.15
"""Share of the length that may be spent beyond it to end a sentence."""
STOPS = (Text("it stops in mid-sentence; Continue goes on"), Text("it stops in mid-sentence; ask it to go on"))
"""What is said of a text that could not be ended, and of an answer in a chat."""
TOKENS: dict[str, int] = {"story": 300, "poem": 160, "lyrics": 220, "slogan": 40, "free": 200, "chat": 200}
"""A sensible length of each kind; of a story in chapters, of each of them."""

DEFAULT_MODEL, VERSE_MODEL = "smollm2-135m-instruct", "verse-smollm2"
CONTINUING_MODEL = "gemma-3-270m"
"""Multilingual, and no chat model."""
VERSE = ("poem", "lyrics")


@dataclass(frozen=True)
class Turn:
    """What was said in a chat."""

    role: Literal["user", "assistant"]
    content: str


@dataclass(frozen=True)
class WriteRequest:
    """What to write about, and how. `continuation` is text already written, which is then carried on."""

    text: str
    kind: Kind = "story"
    genre: str = ""
    tone: str = ""
    language: str = "en"
    form: FormName = ""
    """What code sees to, of the forms that the kind has; "" leaves it to the model."""
    chapters: int = CHAPTERS
    """Of a long story."""
    system: str = ""
    """What a chat model is told first, in every kind."""
    turns: list[Turn] = field(default_factory=list)
    """Of a chat: what was said before `text`, in turns by user and assistant."""
    continuation: str = ""
    model: str | None = None
    temperature: float = 0.7
    max_new_tokens: int | None = None
    """None takes a sensible length for the kind (TOKENS)."""
    top_p: float = 0.95
    top_k: int = 50
    min_p: float = 0.0
    repetition_penalty: float = 1.1
    stop: list[str] = field(default_factory=list)
    seed: int | None = None
    is_finished: bool = False
    """Spend up to MORE_TOKENS beyond `max_new_tokens` to end a sentence, or cut it; otherwise the length is exact."""
    rivals: int = 0
    """How many of the likeliest other tokens to tell at each place of the new text, 0 to 20; with 0 none is told."""


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
    ending: Text = NOTHING
    """What was done to end with a whole sentence."""
    probability: float | None = None
    """The geometric mean of the tokens' own, where `rivals` were asked for."""
    tokens: list[WrittenToken] = field(default_factory=list)
    """Of the text, where `rivals` were asked for."""
    verse: Verse | None = None
    """Of a form of verse: its lines, measured, and whether it kept to the form."""
    note: Text = NOTHING
    """Of other forms: what was tried again or dropped."""

    @property
    def is_repeated(self) -> bool:
        """Whether it was kept from the same request earlier: then no time was measured."""
        return self.new_tokens > 0 and self.first_token_seconds is None


def default_model(engine: Engine, kind: str, language: str) -> str:
    """What does it best here: in English the chat model, for verse with an adapter; else the multilingual base."""
    if language == "en" and kind in VERSE and VERSE_MODEL in engine.catalogue.models and not engine.settings.is_small:
        return VERSE_MODEL
    return DEFAULT_MODEL if kind == "chat" or (language == "en" and kind != "free") else CONTINUING_MODEL


def stream(engine: Engine, request: WriteRequest, caller: Caller) -> Iterator[Event]:
    """Write; text events join to the result's text, the last event's result is a WriteResult.

    Raises InputError or TooLargeError naming the field, and what the engine raises.
    """
    model = APPLICATION.choose(engine.catalogue, request.model or default_model(engine, request.kind, request.language))
    asked = replace(ask(model, request, engine.settings.max_text_characters), top_logprobs=request.rivals)
    _check_language(model, request)
    if request.form:
        yield from _formed(engine, model, request, asked.sampling, caller)
        return
    before, tidy = lead(model, request), tidy_for(asked)
    shown = ""
    for event in engine.stream(model.id, asked, caller):
        if event.kind in ("text", "done"):
            text = before + (tidy.push(event.text) if event.kind == "text" else tidy.end())
            shown, before = shown + text, ""
            if text:
                yield replace(event, kind="text", text=text, result=None)
        if event.kind == "done":
            written = list(event.result.tokens)
            for last in _ended(engine, model, request, shown, event.result, written, caller):
                yield _with_tokens(last, written, len(lead(model, request)))
        elif event.kind != "text":
            yield event


def _with_tokens(event: Event, written: Sequence[Token], start: int) -> Event:
    """The event; a result with the tokens that it is made of, which begin at `start` of its text."""
    if event.result is None:
        return event
    tokens = lay(event.result.text, written, start)
    return replace(event, result=replace(event.result, tokens=tokens, probability=typical_probability(tokens)))


def _formed(engine: Engine, model: Model, request: WriteRequest, sampling: Sampling, caller: Caller) -> Iterator[Event]:
    """A text in a form, which code sees to."""
    acting = sampling.resolved()
    order = Commission(
        request.form, request.text, request.language, model, acting, request.tone, request.genre, request.system,
        request.chapters,
    )  # fmt: skip
    started, clock = time.monotonic(), formed.Clock()
    made = yield from clock.timed(formed.make(engine, order, caller))
    yield Event("replace", text=made.text)
    speed = made.new_tokens / max(0.001, time.monotonic() - started)
    result = WriteResult(
        made.text, model.id, "stop", acting.as_dict(), made.new_tokens, speed, clock.first_text_seconds
    )
    yield Event("done", result=replace(result, verse=made.verse, note=made.note))


def _ended(
    engine: Engine,
    model: Model,
    request: WriteRequest,
    shown: str,
    first: Generation,
    written: list[Token],
    caller: Caller,
) -> Iterator[Event]:
    """The result; where asked for, of a text that ends with a sentence: a few tokens more, or else a few less.

    `written` takes those that come to it.
    """
    result, is_verse = _result(shown, first, model), request.kind in VERSE
    ends_itself = first.finish_reason == "stop" and (request.kind != "story" or _CLOSING.search(shown))
    is_whole = last_end(shown.rstrip(), is_verse=False) == len(shown.rstrip())
    if not request.is_finished or request.kind == "slogan" or ends_itself or is_whole:
        yield Event("done", result=result)
        return
    if first.finish_reason == "length":
        more, spent = yield from _more(engine, model, request, shown, first, written, caller)
        if more:
            words = counted("{count} token more to end a sentence", "{count} tokens more to end a sentence", spent)
            result = replace(result, text=shown + more, new_tokens=result.new_tokens + spent, ending=words)
            yield Event("text", text=more)
            yield Event("done", result=result)
            return
    end = last_end(shown, is_verse=is_verse)
    words = STOPS[request.kind == "chat"]
    if end is not None and end > len(shown) // 2:
        shown, words = shown[:end], Text("cut back to its last whole sentence")
        yield Event("replace", text=shown)
    yield Event("done", result=replace(result, text=shown, ending=words))


_CLOSING = re.compile(r"\bthe end\W*$", re.IGNORECASE)
"""How a story may end without a full stop."""


def _more(
    engine: Engine, model: Model, request: WriteRequest, shown: str, first: Generation, written: list[Token],
    caller: Caller,
) -> Generator[Event, None, tuple[str, int]]:  # fmt: skip
    """What ends the sentence, and the tokens spent for it; nothing where it does not end soon. Yields the waiting."""
    more, spent, is_verse = "", 0, request.kind in VERSE
    limit = math.ceil(first.settings["max_new_tokens"] * MORE_TOKENS)
    going_on = replace(request, continuation=request.continuation + shown, max_new_tokens=limit)
    asked = replace(ask_on(engine, model, going_on), top_logprobs=request.rivals)
    tidy, events = tidy_for(asked), engine.stream(model.id, asked, caller)
    try:
        for event in events:
            if event.kind == "text":
                more, spent = more + tidy.push(event.text), spent + 1
                written += [event.token] if event.token and request.rivals else []
                if (end := first_end(more, is_verse=is_verse)) is not None:
                    return more[:end], spent
            elif event.kind in ("queued", "loading"):
                yield event
    except PeopleError:
        log.info("no more tokens for the end of a sentence", exc_info=True)
    finally:
        events.close()  # type: ignore[attr-defined]
    return "", 0


def ask_on(engine: Engine, model: Model, request: WriteRequest) -> Generate:
    """The request that carries a text on, which may have become longer than a person may send."""
    return ask(model, request, engine.settings.max_text_characters + len(request.continuation))


def _check_language(model: Model, request: WriteRequest) -> None:
    """A free text is in its own language; what is asked for must be in one that the model writes."""
    known = set(model.languages or LANGUAGES)
    if not (model.is_chat or is_asked(model)):
        known &= set(OPENINGS)
    if request.kind == "chat" and not model.is_chat:
        raise UnsupportedError("{title} does not chat. Choose another model.", param="model", title=model.title)
    if request.kind not in ("free", "chat") and request.language not in known:
        raise UnsupportedError(
            "{model} does not write {language}, only {known}. Choose one of these, or another model.",
            param="language", model=model.title, language=LANGUAGES[request.language],
            known=names_of(code for code in LANGUAGES if code in known),
        )  # fmt: skip


def ask(model: Model, request: WriteRequest, max_characters: int) -> Generate:
    """The request to the model: an instruction for chat models, an opening for base models."""
    text = clean_text(request.text, "text", max_characters)
    continuation = clean_text(request.continuation, "continuation", max_characters, can_be_empty=True)
    check(request, TOKENS)
    sampling = _sampling(request)
    if request.kind == "chat":
        said = [Message(turn.role, turn.content) for turn in request.turns]
        said += [Message("user", text), *([Message("assistant", continuation)] if continuation else [])]
        turns = checked_turns(said, max_characters)
        return Generate(messages=(*_system(request), *turns), sampling=sampling)
    if is_asked(model):
        prompt = text if request.kind == "free" else _order(request, text)
        return instruct(model, prompt, sampling, continuation)
    if request.kind == "free":
        return Generate(text + continuation, sampling=sampling)
    if model.is_chat:
        turns = (*_system(request), *messages(request, text, continuation or lead(model, request)))
        plain = _order(replace(request, tone="", genre=""), "")
        ours = 0 if request.system.strip() else common_length(_order(request, text), plain)
        return Generate(messages=turns, sampling=sampling, common_characters=ours)
    hidden, _, shown = _opening(request).partition("|")
    return Generate(hidden.format(**_words(request, text)) + (continuation or shown), sampling=sampling)


def _system(request: WriteRequest) -> tuple[Message, ...]:
    return (Message("system", request.system),) if request.system.strip() else ()


def is_asked(model: Model) -> bool:
    """Whether even a free text is a prompt that the model responds to, not a beginning that it continues."""
    return model.prompt_style == "instruct"


def instruct(model: Model, prompt: str, sampling: Sampling, continuation: str = "") -> Generate:
    """A prompt as a run's model learned to respond to it, without examples of ours."""
    if model.is_chat:
        turns = (Message("user", prompt), *([Message("assistant", continuation)] if continuation else []))
        return Generate(messages=turns, sampling=sampling)
    return Generate(f"{prompt}\n{continuation}", sampling=sampling)


def lead(model: Model, request: WriteRequest) -> str:
    """The first words of a new text, which are ours: by a base model, and of songs, which one begins with verse 2."""
    if model.id == VERSE_MODEL and request.kind == "lyrics" and not request.continuation:
        return "[Verse 1]\n"
    if request.kind in ("free", "chat") or model.is_chat or request.continuation or is_asked(model):
        return ""
    return _opening(request).partition("|")[2]


def _opening(request: WriteRequest) -> str:
    return OPENINGS.get(request.language, OPENINGS["en"])[request.kind]


def messages(request: WriteRequest, text: str, continuation: str = "") -> tuple[Message, ...]:
    """The turns for a chat model; what is already written is its own last turn, which it carries on."""
    plain = replace(request, tone="", genre="")
    turns = []
    for about, example in EXAMPLES.get(request.kind, ()) if request.language == "en" else ():
        turns += [Message("user", _order(plain, about)), Message("assistant", example)]
    turns.append(Message("user", _order(request, text)))
    if continuation:
        turns.append(Message("assistant", continuation))
    return tuple(turns)


def _words(request: WriteRequest, text: str) -> dict[str, str]:
    """What the sentences of ORDERS and OPENINGS are filled with."""
    about = text.strip().rstrip(".。")
    return {
        "text": about,
        "title": about[:1].upper() + about[1:],
        "tone": "".join(f"{word} " for word in request.tone.split()),
        "genre": "".join(f"{word} " for word in request.genre.split()),
        "language": "" if request.language == "en" else f" in {LANGUAGES[request.language]}",
    }


def _order(request: WriteRequest, text: str) -> str:
    return re.sub(r"^Write a (?=[aeiou])", "Write an ", ORDERS[request.kind].format(**_words(request, text)))


def _sampling(request: WriteRequest) -> Sampling:
    names = {field.name for field in fields(Sampling)} & {field.name for field in fields(request)}
    given = {name: getattr(request, name) for name in names}
    if request.max_new_tokens is None:
        given["max_new_tokens"] = TOKENS[request.kind]
    return Sampling(**given | {"stop": (*request.stop, *(["\n"] if request.kind == "slogan" else []))})


def _result(text: str, generation: Generation, model: Model) -> WriteResult:
    return WriteResult(
        text,
        model.id,
        generation.finish_reason,
        dict(generation.settings),
        generation.new_tokens,
        generation.tokens_per_second,
        generation.first_token_seconds,
    )


SAMPLES = (
    WriteRequest("a lighthouse keeper who befriends a whale", "story", "adventure", "hopeful", max_new_tokens=300),
    WriteRequest("the first snow in the city", "poem", "", "calm", max_new_tokens=160),
    WriteRequest("leaving home by night train", "lyrics", "", "melancholic", max_new_tokens=220),
    WriteRequest("a bakery that opens before sunrise", "slogan", "", "cheerful", max_new_tokens=40),
    WriteRequest("Once upon a time", "free", model="gpt2", temperature=0.7, max_new_tokens=200),
    WriteRequest("un gardien de phare et une baleine", "story", language="fr", max_new_tokens=300),
    WriteRequest("der erste Schnee in der Stadt", "poem", language="de", max_new_tokens=160),
    WriteRequest("小时候，外婆家门前有一条河。", "free", language="zh", max_new_tokens=200),
)

APPLICATION = Application(
    id="write",
    title=Text("Write"),
    summary=Text("Write stories, poems, lyrics and slogans, with the temperature in your hands."),
    icon="edit_note",
    order=20,
    architectures=frozenset({"causal"}),
    default_model=DEFAULT_MODEL,
    picker="writer",
    example={"about": "the first snow in the city", "kind": "Poem"},
    shown=WriteRequest("the first snow in the city", "poem", seed=5, is_finished=True),
    request_type=WriteRequest,
    result_type=WriteResult,
    stream=stream,
    samples=SAMPLES,
    page="write.py",
)
