"""What the OpenAI-compatible endpoints answer: the forms that OpenAI's clients expect, whole and streamed."""

from __future__ import annotations

import math
import secrets
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

from engine.http.language import said
from engine.http.streams import KEEP_ALIVE, WAITING, data
from engine.messages import Text
from engine.requests import Event, Generation, Token

LEAST_LOGPROB = math.log(sys.float_info.min)
"""For a probability of nought, of whose logarithm JSON has no number: that of the smallest probability there is."""


class Completion(ABC):
    """One response: its id and time, and how its parts are written.

    `top_logprobs` is how many of the likeliest tokens to list at each place (None: no log-probabilities), `count` the
    number of texts, `each` how many of them one prompt has, `has_usage` whether a stream ends with the token counts,
    `tokens_asked` the length that was asked for, if any.
    """

    prefix: str
    kind: str
    chunk_kind: str

    def __init__(
        self, model_id: str, top_logprobs: int | None, count: int = 1, has_usage: bool = False, *,
        each: int = 1, tokens_asked: int | None = None,
    ) -> None:  # fmt: skip
        self.top_logprobs, self.count, self.has_usage = top_logprobs, count, has_usage
        self.each, self.tokens_asked = each, tokens_asked
        self.base = {"id": f"{self.prefix}-{secrets.token_hex(12)}", "created": int(time.time()), "model": model_id}
        self.generations: list[Generation] = []

    def whole(self, generations: Sequence[Generation]) -> dict[str, Any]:
        """A response that is not streamed; `parlance` holds the settings that acted and the speed."""
        choices = [self.choice(index, generation) for index, generation in enumerate(generations)]
        if self.count > 1:
            for choice, generation in zip(choices, generations, strict=True):
                choice["parlance"] = self._ours(generation)
        more = {"usage": self._usage(generations), "parlance": self._ours(generations[0])}
        return {**self.base, "object": self.kind, "choices": choices, **more}

    def lines(self, item: tuple[int, Event]) -> Iterator[bytes]:
        """An event of the text of that number as server-sent events; the texts come one after the other."""
        index, event = item
        if event.kind in WAITING:
            yield KEEP_ALIVE
        elif event.kind == "text":
            yield from (self._chunk([choice]) for choice in self.pieces(index, event))
        else:
            yield from (self._chunk([choice]) for choice in self.beginning(index))
            yield self._chunk([self.ending(index, event.result)], parlance=self._ours(event.result))
            self.generations.append(event.result)
            if len(self.generations) == self.count:
                yield from self._end()

    def _end(self) -> Iterator[bytes]:
        if self.has_usage:
            yield self._chunk([], usage=self._usage(self.generations))
        yield b"data: [DONE]\n\n"

    def _ours(self, generation: Generation) -> dict[str, Any]:
        acted, asked = generation.settings.get("max_new_tokens"), self.tokens_asked
        is_cut = acted is not None and asked is not None and acted < asked
        warning = Text("{asked:,} tokens were asked for; at most {acted:,} fit.", asked=asked, acted=acted)
        return {
            "settings": dict(generation.settings),
            "tokens_per_second": generation.tokens_per_second,
            "first_token_seconds": generation.first_token_seconds,
            "finish_reason": generation.finish_reason,
        } | ({"warning": said(warning)} if is_cut else {})

    def _usage(self, generations: Sequence[Generation]) -> dict[str, int]:
        """Tokens read and written; a prompt counts once, however many texts it has."""
        asked = sum(generation.prompt_tokens for generation in generations[:: self.each])
        made = sum(generation.new_tokens for generation in generations)
        return {"prompt_tokens": asked, "completion_tokens": made, "total_tokens": asked + made}

    def _chunk(self, choices: list[dict[str, Any]], **more: Any) -> bytes:
        usage = {"usage": None} if self.has_usage else {}
        return data({**self.base, "object": self.chunk_kind, "choices": choices, **usage, **more})

    @abstractmethod
    def choice(self, index: int, generation: Generation) -> dict[str, Any]:
        """A finished text."""

    def beginning(self, index: int) -> Iterator[dict[str, Any]]:
        """What a text's stream begins with, if it did not yet."""
        yield from ()

    @abstractmethod
    def pieces(self, index: int, event: Event) -> Iterator[dict[str, Any]]:
        """New text."""

    @abstractmethod
    def ending(self, index: int, generation: Generation) -> dict[str, Any]:
        """What a text's stream ends with."""


class TextCompletion(Completion):
    """For /v1/completions."""

    prefix, kind, chunk_kind = "cmpl", "text_completion", "text_completion"
    offset, offset_index = 0, 0

    def choice(self, index: int, generation: Generation) -> dict[str, Any]:
        logprobs = None if self.top_logprobs is None else self._logprobs(generation.tokens)
        return {
            "index": index,
            "text": generation.text,
            "logprobs": logprobs,
            "finish_reason": _finish_reason(generation),
        }

    def pieces(self, index: int, event: Event) -> Iterator[dict[str, Any]]:
        if index != self.offset_index:
            self.offset, self.offset_index = 0, index
        logprobs = None
        if event.token is not None and self.top_logprobs is not None:
            logprobs = self._logprobs((event.token,), self.offset)
            self.offset += len(event.token.text)
        yield {"index": index, "text": event.text, "logprobs": logprobs, "finish_reason": None}

    def ending(self, index: int, generation: Generation) -> dict[str, Any]:
        return {"index": index, "text": "", "logprobs": None, "finish_reason": _finish_reason(generation)}

    def _logprobs(self, tokens: Sequence[Token], offset: int = 0) -> dict[str, Any]:
        offsets = []
        for token in tokens:
            offsets.append(offset)
            offset += len(token.text)
        return {
            "tokens": [self._named(token.own) for token in tokens],
            "token_logprobs": [_known(token.logprob) for token in tokens],
            "top_logprobs": [
                {self._named(own): logprob for own, logprob in _likeliest(token, self.top_logprobs or 0)}
                for token in tokens
            ],
            "text_offset": offsets,
        }

    def _named(self, own: str) -> str:
        """A token that is part of a character as OpenAI writes it here: `bytes:\\xe2\\x99`."""
        shown = _shown(own)
        return shown if shown == own else f"bytes:{shown}"


class ChatCompletion(Completion):
    """For /v1/chat/completions."""

    prefix, kind, chunk_kind = "chatcmpl", "chat.completion", "chat.completion.chunk"
    begun = -1

    def choice(self, index: int, generation: Generation) -> dict[str, Any]:
        return {
            "index": index,
            "message": {"role": "assistant", "content": generation.text, "refusal": None},
            "logprobs": None if self.top_logprobs is None else self._logprobs(generation.tokens),
            "finish_reason": _finish_reason(generation),
        }

    def beginning(self, index: int) -> Iterator[dict[str, Any]]:
        if index > self.begun:
            self.begun = index
            yield self._delta(index, {"role": "assistant", "content": ""})

    def pieces(self, index: int, event: Event) -> Iterator[dict[str, Any]]:
        yield from self.beginning(index)
        choice = self._delta(index, {"content": event.text})
        if event.token is not None and self.top_logprobs is not None:
            choice["logprobs"] = self._logprobs((event.token,))
        yield choice

    def ending(self, index: int, generation: Generation) -> dict[str, Any]:
        return self._delta(index, {}) | {"finish_reason": _finish_reason(generation)}

    def _delta(self, index: int, delta: dict[str, Any]) -> dict[str, Any]:
        return {"index": index, "delta": delta, "logprobs": None, "finish_reason": None}

    def _logprobs(self, tokens: Sequence[Token]) -> dict[str, Any]:
        def entry(own: str, logprob: float | None) -> dict[str, Any]:
            return {"token": _shown(own), "logprob": _known(logprob), "bytes": list(_bytes(own))}

        content = [
            entry(token.own, token.logprob)
            | {"top_logprobs": [entry(*one) for one in _likeliest(token, self.top_logprobs or 0)]}
            for token in tokens
        ]
        return {"content": content, "refusal": None}


def _bytes(own: str) -> bytes:
    """A token's bytes, as `Token.own` holds them."""
    return own.encode("utf-8", "surrogateescape")


def _shown(own: str) -> str:
    """A token's text, in which bytes that are no character are written as `\\xe2`."""
    return _bytes(own).decode("utf-8", "backslashreplace")


def _finish_reason(generation: Generation) -> str:
    """Cut short by its length or by the time limit is "length" in OpenAI's terms; `parlance` tells which."""
    return "stop" if generation.finish_reason == "stop" else "length"


def _likeliest(token: Token, count: int) -> list[tuple[str, float]]:
    """The likeliest tokens at this place; here the chosen one counts too, where the engine lists only the others."""
    chosen = [] if token.logprob is None else [(token.own, token.logprob)]
    known = [(text, _finite(logprob)) for text, logprob in [*chosen, *token.top_logprobs]]
    return sorted(known, key=lambda one: -one[1])[:count]


def _finite(logprob: float) -> float:
    return logprob if math.isfinite(logprob) else LEAST_LOGPROB


def _known(logprob: float | None) -> float | None:
    """None where the runtime does not tell, as of all but a character's last token: no number would be true."""
    return None if logprob is None else _finite(logprob)
