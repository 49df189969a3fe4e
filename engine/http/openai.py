"""The part of OpenAI's API that text generation needs: models, completions, chat completions, streamed or whole."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from typing import Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.responses import Response

from engine.catalogue import Model
from engine.core import get_engine
from engine.errors import InputError
from engine.http.streams import data, event_stream, result_of
from engine.requests import Event, Generate, Generation, Message, Sampling, Token, clean_text

router = APIRouter(prefix="/v1", tags=["OpenAI-compatible"])

MAX_PROMPTS = 16


class Body(BaseModel):
    """Fields that both endpoints share. `top_k`, `min_p` and `repetition_penalty` are ours."""

    model: str
    stream: bool = False
    stream_options: dict[str, Any] | None = None
    max_tokens: int | None = None
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    stop: str | list[str] | None = None
    seed: int | None = None
    n: int = 1
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    tools: list[Any] | None = None

    def sampling(self, max_new_tokens: int | None = None) -> Sampling:
        """The engine's settings. Raises InputError for what is not offered."""
        for name, neutral in (("n", 1), ("presence_penalty", 0), ("frequency_penalty", 0), ("tools", None)):
            if getattr(self, name) not in (neutral, []):
                raise InputError(f"{name} is not offered here. Leave it out, or use repetition_penalty.", param=name)
        stop = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())
        return Sampling(
            max_new_tokens=max_new_tokens or self.max_tokens or 256,
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            min_p=self.min_p,
            repetition_penalty=self.repetition_penalty,
            stop=stop,
            seed=self.seed,
        )

    @property
    def has_usage(self) -> bool:
        """Whether a stream ends with the token counts."""
        return bool((self.stream_options or {}).get("include_usage"))


class CompletionBody(Body):
    """What /v1/completions takes."""

    prompt: str | list[Any]
    logprobs: int | None = Field(default=None, ge=0, le=20)
    echo: bool = False


class ChatMessage(BaseModel):
    """One turn; content may be given as parts of type text."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[dict[str, Any]]

    def message(self, limit: int) -> Message:
        """The engine's message. Raises InputError for parts that are not text."""
        content = self.content
        if isinstance(content, list):
            if any(part.get("type") != "text" for part in content):
                raise InputError("messages may hold only text; images and files are not offered.", param="messages")
            content = "".join(str(part.get("text", "")) for part in content)
        content = clean_text(content, "messages", limit, can_be_empty=True)
        return Message("system" if self.role == "developer" else self.role, content)


class ChatBody(Body):
    """What /v1/chat/completions takes."""

    messages: list[ChatMessage] = Field(min_length=1)
    max_completion_tokens: int | None = None
    logprobs: bool = False
    top_logprobs: int | None = Field(default=None, ge=0, le=20)


@router.get("/models")
def list_models() -> dict[str, Any]:
    """The models that generate text and are on this machine."""
    engine = get_engine()
    models = engine.catalogue.models.values()
    ready = [m for m in models if m.architecture == "causal" and engine.store.availability(m.id).state == "ready"]
    return {"object": "list", "data": [_model(model) for model in ready]}


@router.get("/models/{model_id:path}")
def get_model(model_id: str) -> dict[str, Any]:
    """One model of the catalogue, whatever it does."""
    return _model(get_engine().catalogue.find(model_id))


def _model(model: Model) -> dict[str, Any]:
    return {"id": model.id, "object": "model", "created": 0, "owned_by": model.family, "title": model.title}


@router.post("/completions")
async def complete(body: CompletionBody, request: Request) -> Response:
    """Continue one prompt, or up to 16 at once."""
    engine, sampling = get_engine(), body.sampling()
    prompts = [body.prompt] if isinstance(body.prompt, str) else body.prompt
    if not all(isinstance(prompt, str) for prompt in prompts) or not 1 <= len(prompts) <= MAX_PROMPTS:
        raise InputError(f"prompt must be text, or a list of 1 to {MAX_PROMPTS} texts; no token numbers.", "prompt")
    if body.echo:
        raise InputError("echo is not offered here. Join prompt and text yourself.", param="echo")
    limit, rivals = engine.settings.max_text_characters, body.logprobs or 0
    wanted = 0 if body.logprobs is None else max(1, rivals)
    asks = [
        Generate(clean_text(prompt, "prompt", limit, can_be_empty=True), sampling=sampling, top_logprobs=wanted)
        for prompt in prompts
    ]
    answer = _Answer("cmpl", "text_completion", body)
    if body.stream:
        if len(asks) > 1:
            raise InputError("A streamed completion takes one prompt.", param="prompt")
        return await event_stream(engine.stream(body.model, asks[0]), answer.completion_lines)
    generations = await result_of(request, _all(engine.stream_all(body.model, asks), len(asks)))
    choices = [
        {
            "index": index,
            "text": generation.text,
            "finish_reason": _finish(generation),
            "logprobs": None if body.logprobs is None else _completion_logprobs(generation.tokens, rivals),
        }
        for index, generation in enumerate(generations or [])
    ]
    return JSONResponse(answer.whole(choices, generations or []))


@router.post("/chat/completions")
async def chat(body: ChatBody, request: Request) -> Response:
    """Answer the last message; a last message by the assistant is continued."""
    engine = get_engine()
    sampling = body.sampling(body.max_completion_tokens)
    limit = engine.settings.max_text_characters
    messages = tuple(message.message(limit) for message in body.messages)
    wanted = max(1, body.top_logprobs or 0) if body.logprobs else 0
    ask = Generate(messages=messages, sampling=sampling, top_logprobs=wanted)
    answer = _Answer("chatcmpl", "chat.completion", body)
    if body.stream:
        return await event_stream(engine.stream(body.model, ask), answer.chat_lines)
    generation = await result_of(request, engine.stream(body.model, ask))
    if generation is None:
        return Response(status_code=499)
    tokens = [_chat_logprob(token, body.top_logprobs or 0) for token in generation.tokens]
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": generation.text},
        "finish_reason": _finish(generation),
        "logprobs": {"content": tokens} if body.logprobs else None,
    }
    return JSONResponse(answer.whole([choice], [generation]))


def _all(events: Iterator[tuple[int, Event]], count: int) -> Iterator[Event]:
    """Several generations as one stream whose result is the list of theirs."""
    results: list[Generation] = []
    for _, event in events:
        if event.kind == "done":
            results.append(event.result)
        else:
            yield event
    yield Event("done", result=results)


class _Answer:
    """One response: its id and time, and the forms in which OpenAI's clients expect it."""

    def __init__(self, prefix: str, kind: str, body: CompletionBody | ChatBody) -> None:
        self.kind, self.body = kind, body
        self.base = {"id": f"{prefix}-{secrets.token_hex(12)}", "created": int(time.time()), "model": body.model}
        self.has_begun = False

    def whole(self, choices: list[dict[str, Any]], generations: list[Generation]) -> dict[str, Any]:
        """A response that is not streamed; `parlance` holds the settings that acted and the speed."""
        return {
            **self.base,
            "object": self.kind,
            "choices": choices,
            "usage": _usage(generations),
            "parlance": _ours(generations[0]) if generations else None,
        }

    def completion_lines(self, event: Event) -> Iterator[str]:
        """An event of the engine as server-sent events of /v1/completions."""
        if event.kind == "done":
            yield from self._last({"index": 0, "text": "", "finish_reason": _finish(event.result)}, event.result)
            return
        logprobs = None
        if event.token is not None and self.body.logprobs is not None:
            logprobs = _completion_logprobs((event.token,), int(self.body.logprobs))
        yield self._chunk([{"index": 0, "text": event.text, "finish_reason": None, "logprobs": logprobs}])

    def chat_lines(self, event: Event) -> Iterator[str]:
        """An event of the engine as server-sent events of /v1/chat/completions."""
        if not self.has_begun:
            self.has_begun = True
            yield self._chunk([{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}])
        if event.kind == "done":
            yield from self._last({"index": 0, "delta": {}, "finish_reason": _finish(event.result)}, event.result)
            return
        choice: dict[str, Any] = {"index": 0, "delta": {"content": event.text}, "finish_reason": None}
        if event.token is not None and isinstance(self.body, ChatBody) and self.body.logprobs:
            choice["logprobs"] = {"content": [_chat_logprob(event.token, self.body.top_logprobs or 0)]}
        yield self._chunk([choice])

    def _last(self, choice: dict[str, Any], generation: Generation) -> Iterator[str]:
        yield self._chunk([choice], parlance=_ours(generation))
        if self.body.has_usage:
            yield self._chunk([], usage=_usage([generation]))
        yield "data: [DONE]\n\n"

    def _chunk(self, choices: list[dict[str, Any]], **more: Any) -> str:
        kind = "chat.completion.chunk" if self.kind == "chat.completion" else self.kind
        return data({**self.base, "object": kind, "choices": choices, **more})


def _finish(generation: Generation) -> str:
    return generation.finish_reason if generation.finish_reason == "length" else "stop"


def _ours(generation: Generation) -> dict[str, Any]:
    return {
        "settings": dict(generation.settings),
        "tokens_per_second": generation.tokens_per_second,
        "first_token_seconds": generation.first_token_seconds,
        "finish_reason": generation.finish_reason,
    }


def _usage(generations: list[Generation]) -> dict[str, int]:
    asked = sum(generation.prompt_tokens for generation in generations)
    made = sum(generation.new_tokens for generation in generations)
    return {"prompt_tokens": asked, "completion_tokens": made, "total_tokens": asked + made}


def _completion_logprobs(tokens: tuple[Token, ...], rivals: int) -> dict[str, Any]:
    return {
        "tokens": [token.text for token in tokens],
        "token_logprobs": [token.logprob for token in tokens],
        "top_logprobs": [dict(_likeliest(token, rivals)) for token in tokens],
        "text_offset": [sum(len(t.text) for t in tokens[:index]) for index in range(len(tokens))],
    }


def _chat_logprob(token: Token, rivals: int) -> dict[str, Any]:
    def entry(text: str, logprob: float | None) -> dict[str, Any]:
        return {"token": text, "logprob": logprob, "bytes": list(text.encode())}

    return entry(token.text, token.logprob) | {"top_logprobs": [entry(*one) for one in _likeliest(token, rivals)]}


def _likeliest(token: Token, count: int) -> list[tuple[str, float]]:
    """The likeliest tokens at this place; here the chosen one counts too, where the engine lists only its rivals."""
    chosen = [] if token.logprob is None else [(token.text, token.logprob)]
    return sorted([*chosen, *token.rivals], key=lambda one: -one[1])[:count]
