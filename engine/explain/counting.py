"""Counting before networks: which byte followed which in a text, and what such a table writes and is surprised by.

Shorter contexts fill in for those that were never seen (Witten and Bell 1991), down to all bytes alike.
"""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from engine.errors import not_between
from engine.explain.view import View
from engine.messages import Text
from engine.requests import Event, clean_text
from engine.serving.protocol import Caller, Engine

MOST_CHARACTERS, MOST_ORDER, WRITTEN, FOLLOWERS = 20_000, 8, 120, 8


@dataclass(frozen=True)
class CountingRequest:
    """A text to count in, a beginning to go on with, and how many letters (bytes) the table looks back."""

    text: str
    prompt: str
    order: int = 4
    seed: int = 0


@dataclass(frozen=True)
class Follower:
    """What followed the last letters of the prompt, and how often."""

    text: str
    count: int


@dataclass(frozen=True)
class CountingResult:
    """`bits_per_byte` is the table's surprise at the prompt, which it has not counted; `bits_by_order` the same of
    tables that look back 1, 2 … 8 letters."""

    continuation: str
    context: str
    followers: list[Follower]
    contexts: int
    bits_per_byte: float
    bits_by_order: list[float]


class Table:
    """Counts of what followed each context of up to MOST_ORDER bytes; who asks says how far to look back."""

    def __init__(self, text: bytes) -> None:
        self.counts: dict[bytes, Counter[int]] = defaultdict(Counter)
        for place, byte in enumerate(text):
            for length in range(min(MOST_ORDER, place) + 1):
                self.counts[text[place - length : place]][byte] += 1

    def probability(self, context: bytes, byte: int, order: int) -> float:
        """Of a byte after a context, of which it looks back `order` bytes at most; a context's own counts weigh the
        more the fewer different bytes followed it."""
        value = 1 / 256
        for length in range(min(order, len(context)) + 1):
            seen = self.counts.get(context[len(context) - length :])
            if seen is None:
                break
            total, kinds = seen.total(), len(seen)
            value = (seen[byte] + kinds * value) / (total + kinds)
        return value

    def surprise(self, text: bytes, order: int) -> float:
        """In bits per byte, when it looks back so many bytes."""
        shares = [self.probability(text[max(0, place - order) : place], byte, order) for place, byte in enumerate(text)]
        return -sum(map(math.log2, shares)) / len(text)

    def contexts(self, order: int) -> int:
        """How many of up to `order` bytes were seen."""
        return sum(len(context) <= order for context in self.counts)

    def longest(self, context: bytes, order: int) -> bytes:
        """The end of a context, as long as it was seen, and of `order` bytes at most."""
        lengths = range(min(order, len(context)), -1, -1)
        return next(end for length in lengths if (end := context[len(context) - length :]) in self.counts or not end)

    def write(self, prompt: bytes, count: int, seed: int, order: int) -> bytes:
        """Go on, each byte drawn by how often it followed."""
        lot, written = random.Random(seed), prompt
        for _ in range(count):
            seen = self.counts[self.longest(written, order)]
            written += bytes(lot.choices(list(seen), list(seen.values())))
        return written[len(prompt) :]


def count(request: CountingRequest) -> CountingResult:
    """The table of a text and what it makes of the prompt. Raises InputError, TooLargeError."""
    if not 1 <= request.order <= MOST_ORDER:
        raise not_between("order", 1, MOST_ORDER)
    text = clean_text(request.text, "text", MOST_CHARACTERS).encode()
    prompt = clean_text(request.prompt, "prompt", MOST_CHARACTERS).encode()
    table = Table(text)
    by_order = [table.surprise(prompt, order) for order in range(1, MOST_ORDER + 1)]
    context = table.longest(prompt, request.order)
    followers = [
        Follower(_shown(bytes([byte])), number) for byte, number in table.counts[context].most_common(FOLLOWERS)
    ]
    continuation = table.write(prompt, WRITTEN, request.seed, request.order).decode(errors="ignore")
    return CountingResult(
        continuation, _shown(context), followers, table.contexts(request.order), by_order[request.order - 1], by_order
    )


def _shown(some: bytes) -> str:
    return some.decode(errors="backslashreplace")


def stream(engine: Engine, request: CountingRequest, caller: Caller) -> Iterator[Event]:
    """Yields one event with a CountingResult; no model is asked."""
    yield Event("done", result=count(request))


STORY = (
    "Once upon a time there was a small village by the sea, and everybody knew everybody. Every morning the baker lit "
    "his oven before the sun came up, and the smell of the bread went down the street to the harbour, where the boats "
    "were. The fishermen took the bread with them and came back in the evening with fish, and the baker took the fish. "
    "One morning there was no smell, and no bread, and the boats stayed in the harbour. The children went up "
    "the street "
    "and found the baker in front of the oven. The oven was cold, and in the oven there was a cat with four kittens. "
    "So the baker had waited, and the village waited with him, and that evening there was no bread and no fish, and "
    "everybody went to see the kittens."
)
VIEW = View(
    id="explore/counting", title=Text("Counting"), summary=Text("What a table of letters writes that only counts."),
    icon="tag", architectures=frozenset(), default_model="", needs=frozenset(), request_type=CountingRequest,
    result_type=CountingResult, stream=stream, samples=(CountingRequest(STORY, "The children went to the "),),
)  # fmt: skip
