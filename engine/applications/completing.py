"""Going on from what is given, a prompt or the turns of a chat, without a word of ours: what OpenAI's API asks for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from engine.errors import InputError, TooLargeError, UnsupportedError
from engine.requests import MAX_SEED, Event, Generate, Message, Sampling, clean_text
from engine.serving.protocol import Caller, Engine

MAX_PROMPTS = 16
"""In one request to complete them."""


@dataclass(frozen=True)
class CompleteRequest:
    """What a model goes on from: a `prompt` as it stands, several, or `messages` whose next turn is asked for.

    A last message by the assistant is carried on. `top_logprobs` as in `Generate`. Of each prompt `count` texts are
    made, one after the other, with the seeds that follow the given one.
    """

    model: str
    prompt: str | Sequence[str] = ()
    messages: Sequence[Message] = ()
    sampling: Sampling = field(default_factory=Sampling)
    top_logprobs: int = 0
    count: int = 1


def complete(engine: Engine, request: CompleteRequest, caller: Caller) -> Iterator[tuple[int, Event]]:
    """Have a model go on from what is given, without a word of ours; yields (number of the text, event).

    Raises InputError or TooLargeError naming the field, UnsupportedError, and what the engine raises.
    """
    model, longest = engine.catalogue.find(request.model), engine.settings.max_text_characters
    if request.messages and not model.is_language_model:
        raise UnsupportedError("{title} does not chat. Choose another model.", param="model", title=model.title)
    plain = Generate(sampling=request.sampling, top_logprobs=request.top_logprobs)
    if request.messages:
        asked = [replace(plain, messages=checked_turns(request.messages, longest))]
    else:
        asked = [replace(plain, prompt=text) for text in _prompts(request.prompt, longest)]
    seeded = [replace(one, sampling=_reseeded(one.sampling, place)) for one in asked for place in range(request.count)]
    yield from engine.stream_all(model.id, seeded, caller)


def _reseeded(sampling: Sampling, place: int) -> Sampling:
    return sampling if sampling.seed is None else replace(sampling, seed=(sampling.seed + place) % (MAX_SEED + 1))


def _prompts(given: str | Sequence[str], longest: int) -> list[str]:
    if isinstance(given, str):
        return [clean_text(given, "prompt", longest, can_be_empty=True)]
    if not 1 <= len(given) <= MAX_PROMPTS:
        raise InputError(
            "prompt has {count} texts; send 1 to {most}.", param="prompt", count=len(given), most=MAX_PROMPTS
        )
    return [clean_text(text, f"prompt[{place}]", longest, can_be_empty=True) for place, text in enumerate(given)]


def checked_turns(given: Sequence[Message], longest: int) -> tuple[Message, ...]:
    """The turns as they may be sent to a model. Raises InputError or TooLargeError naming the message."""
    texts = [
        clean_text(message.content, f"messages[{place}].content", longest, can_be_empty=True)
        for place, message in enumerate(given)
    ]
    if sum(map(len, texts)) > longest:
        raise TooLargeError(
            "messages hold over {limit:,} characters together. Leave out the oldest.", param="messages", limit=longest
        )
    return tuple(Message(message.role, text) for message, text in zip(given, texts, strict=True))
