"""What the body of a request may hold, counted before anybody parses it: a short text can ask for very much work."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeVar

from anyio import CapacityLimiter, to_thread
from anyio.lowlevel import RunVar

from engine.errors import InputError, TooLargeError
from engine.messages import Text

MAX_BODY_BYTES = 8 * 2**20
"""Of any request; one that takes a single text gets less (`body_bytes`)."""
LONGEST_CHARACTER_BYTES = 12
"""Of JSON: an emoji written as two escapes."""
MAX_PIECES = 10_000
"""Names, values and brackets of one body: enough for 500 turns of two parts, and 2,000 texts five times."""
MAX_DEPTH = 32
MAX_NUMBER_CHARACTERS = 64
MAX_THREADS = 2
"""Bodies that are looked at at a time: more threads that hold the interpreter would keep the event loop waiting."""
SMALL_BYTES = 4096
"""A body up to here takes a millisecond at worst; to give it to a thread takes as long on a busy machine."""
UNREADABLE = Text("The body cannot be read as JSON. Send one JSON object in UTF-8.")
_PIECES = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?+|[\[\]{}]|[^\s"\[\]{},:]++', re.DOTALL)
"""A text, a bracket, or a run of anything else that is a value. Nothing is read twice, however odd the body."""
T = TypeVar("T")

_threads: RunVar[CapacityLimiter] = RunVar("parlance-body-threads")


async def look_at(function: Callable[..., T], body: bytes, *arguments: Any) -> T:
    """Do what takes a body's size in time: in one of the few threads for that, unless the body is small."""
    if len(body) <= SMALL_BYTES:
        return function(body, *arguments)
    limiter = _threads.get(None) or CapacityLimiter(MAX_THREADS)
    _threads.set(limiter)
    return await to_thread.run_sync(function, body, *arguments, limiter=limiter)


def too_large(most_bytes: int) -> TooLargeError:
    """The error for a body over its limit."""
    limit = max(1, most_bytes // 2**20)
    return TooLargeError("The body is over {limit} MB. Send less at a time.", limit=limit)


def body_bytes(request_type: type[Any], max_characters: int) -> int:
    """The largest body that a request type needs: all of its fields at their longest, or MAX_BODY_BYTES for lists."""
    types = [str(field.type) for field in fields(request_type) if "body_bytes" not in field.metadata]
    more = sum(field.metadata.get("body_bytes", 0) for field in fields(request_type))
    if any("Sequence" in kind or "list" in kind or "tuple" in kind for kind in types):
        return MAX_BODY_BYTES
    texts = sum("str" in kind for kind in types)
    return min(MAX_BODY_BYTES, 2**16 + more + texts * max_characters * LONGEST_CHARACTER_BYTES)


def check_body(body: bytes) -> None:
    """Raise for a body with more values, deeper lists or longer numbers than any request needs.

    What is no JSON passes: the parser says what is wrong with it. Stops at the first piece that is too much.
    """
    if json.detect_encoding(body) not in ("utf-8", "utf-8-sig"):
        raise InputError(UNREADABLE)
    depth = 0
    for count, piece in enumerate(_PIECES.finditer(body), start=1):
        if count > MAX_PIECES:
            raise TooLargeError("The body holds over {most} values. Send fewer at a time.", most=MAX_PIECES)
        first = body[piece.start()]
        depth += (first in b"[{") - (first in b"]}")
        if depth > MAX_DEPTH:
            raise InputError("The body's lists are more than {most} deep. Send them flatter.", most=MAX_DEPTH)
        if first != ord('"') and piece.end() - piece.start() > MAX_NUMBER_CHARACTERS:
            raise InputError("The body holds a number of over {most} digits. Shorten it.", most=MAX_NUMBER_CHARACTERS)
