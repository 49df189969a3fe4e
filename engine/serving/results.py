"""Results of repeatable requests, kept in memory: the same request to the same weights is not worked on twice."""

from __future__ import annotations

import hashlib
import sys
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass, replace
from typing import Any, NamedTuple

from engine.requests import Event, Generation, Request, Result

ENTRY_BYTES = 600
"""Of a key with its place in the memory."""


class Key(NamedTuple):
    """A request to a model; `weights` and `request` are sha256, so that no text is kept for it."""

    model_id: str
    weights: str
    request: str
    circle: str = ""
    """Whose it is: others must not tell by the time it takes that somebody asked the same."""


class Results:
    """What was answered lately, at most `limit_bytes` of it (0 keeps nothing); what nobody asked for longest goes."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.used_bytes = 0
        self._kept: OrderedDict[Key, tuple[Result, int]] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, key: Key) -> Result | None:
        """The result as it is given again: marked, and without the times of its first making."""
        with self._lock:
            if key not in self._kept:
                return None
            self._kept.move_to_end(key)
            return repeated(self._kept[key][0])

    def keep(self, key: Key, result: Result) -> None:
        """Keep a whole result, as far as there is room for it."""
        if not is_whole(result):
            return
        size = ENTRY_BYTES + count_bytes(result)
        with self._lock:
            if size <= self.limit_bytes and key not in self._kept:
                self._kept[key] = result, size
                self.used_bytes += size
                while self.used_bytes > self.limit_bytes:
                    self._remove(next(iter(self._kept)))

    def forget(self, model_id: str) -> None:
        """Let go of what a model answered."""
        with self._lock:
            for key in [key for key in self._kept if key.model_id == model_id]:
                self._remove(key)

    def _remove(self, key: Key) -> None:
        self.used_bytes -= self._kept.pop(key)[1]


def fingerprint(request: Request) -> str | None:
    """A repeatable request's sha256, None for one whose answer is drawn by lot.

    Texts repeat at temperature 0 or with a seed that the request itself names; everything else always does.
    """
    if request.task == "generate":
        if request.sampling.temperature > 0 and request.sampling.seed is None:
            return None
        request = replace(request, sampling=replace(request.sampling.resolved(), seed=request.sampling.seed))
    return hashlib.sha256(repr(request).encode()).hexdigest()


def is_whole(result: Result | None) -> bool:
    """Whether a result is all that there was to say: neither cancelled nor out of time."""
    return result is not None and getattr(result, "finish_reason", "stop") in ("stop", "length")


def repeated(result: Result) -> Result:
    """The result as it is given again."""
    if isinstance(result, Generation):
        return replace(result, is_repeated=True, first_token_seconds=None, tokens_per_second=None)
    return replace(result, is_repeated=True)


def events_of(result: Result) -> Iterator[Event]:
    """A kept result as a stream: its text in one piece, or token by token where their details were asked for."""
    if isinstance(result, Generation):
        rest = result.text
        for token in result.tokens:
            piece = token.text if rest.startswith(token.text) else ""  # part of a letter, or of a stop string
            rest = rest[len(piece) :]
            yield Event("text", text=piece, token=token)
        if rest:
            yield Event("text", text=rest)
    yield Event("done", result=result)


def count_bytes(value: Any) -> int:
    """About what a result takes in memory."""
    if value is None or value == ():  # there is one of each, whoever holds it
        return 0
    if isinstance(value, str):
        return sys.getsizeof(value)
    if isinstance(value, Mapping):
        return 64 + sum(count_bytes(key) + count_bytes(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        is_vector = len(value) > 0 and isinstance(value[0], float)
        return 56 + (32 * len(value) if is_vector else sum(8 + count_bytes(item) for item in value))
    return 56 + sum(count_bytes(item) for item in vars(value).values()) if is_dataclass(value) else 32
