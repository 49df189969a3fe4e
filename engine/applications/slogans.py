"""Ten slogans at once: as many as it takes are asked for, and doubles and stock phrases dropped."""

from __future__ import annotations

import re
from collections.abc import Generator
from dataclasses import dataclass, field, replace

from engine.applications.commission import AT_ONCE, Commission, Desk, Made, mean, our_words
from engine.applications.habits import cost_of, habits_of, stock_phrases
from engine.applications.tidy import Tidy
from engine.messages import Text
from engine.requests import Event, Generate, Message
from engine.serving.protocol import Caller, Engine

WANTED, ROUNDS = 10, 8
"""Slogans, and rounds of candidates at most."""
MOST_WORDS, MOST_CHARACTERS = 10, 90
"""Of a slogan; a longer one is an advertisement."""
ALIKE = 0.6
"""Share of common words from which on two are the same."""
LEAST = 3
"""Letters of a word from which on an s at its end makes no other word of it."""
HOTTER = 0.1
"""Added to the temperature with each round: new ones become rare."""


@dataclass
class _Heap:
    """Slogans that may stay, and how many did not."""

    kept: list[tuple[float, str]] = field(default_factory=list)
    doubles: int = 0
    stock: int = 0
    others: int = 0
    """Empty, too long, or not a slogan."""


def compose(engine: Engine, order: Commission, caller: Caller) -> Generator[Event, None, Made]:
    """Write them, best first; text events show those found so far."""
    desk, heap = Desk(engine, order, caller), _Heap()
    for number in range(ROUNDS):
        asked = [_ask(order, number * AT_ONCE + nth, HOTTER * number) for nth in range(AT_ONCE)]
        for result in (yield from desk.results(asked, Event("working", part=len(heap.kept) + 1, parts=WANTED))):
            _sort_in(heap, result.text, mean(result), order)
        yield Event("replace", text=_listed(heap))
        if len(heap.kept) >= WANTED:
            break
    note = Text(
        "{kept} of {count} kept; dropped: {doubles} too alike, {stock} with stock phrases, {others} other than slogans",
        kept=min(WANTED, len(heap.kept)), count=desk.candidates, doubles=heap.doubles, stock=heap.stock,
        others=heap.others,
    )  # fmt: skip
    return Made(_listed(heap), desk.new_tokens, note)


def _ask(order: Commission, number: int, hotter: float) -> Generate:
    sentence = our_words("en")["slogan"]
    sampling = replace(order.seeded(number, hotter), max_new_tokens=32, stop=("\n",))
    examples = our_words(order.language)["slogans"]
    if not order.model.is_chat:
        shown = "".join(f"{name}: {slogan}\n" for name, slogan in examples)
        return Generate(f"{shown}{order.title}:", sampling=sampling, is_scored=True, common_characters=len(shown))
    turns = []
    for about, slogan in examples:
        turns += [Message("user", order.order(sentence, about)), Message("assistant", slogan)]
    asked = order.turns(*turns, Message("user", order.order(sentence)))
    return replace(asked, sampling=sampling, is_scored=True)


def _sort_in(heap: _Heap, written: str, score: float, order: Commission) -> None:
    text = Tidy().whole(written).strip().strip('"“”«»*').strip()
    examples = "\n".join(one for _, one in our_words(order.language)["slogans"])
    habits = habits_of(text, order.language, about=order.about, examples=examples)
    is_long = len(text.split()) > MOST_WORDS or len(text) > MOST_CHARACTERS
    if not re.search(r"\w", text) or is_long or any(one.id in ("talk", "copy") for one in habits):
        heap.others += 1
    elif stock_phrases(text, order.language):
        heap.stock += 1
    elif any(are_alike(text, other) for _, other in heap.kept) or are_alike(text, examples):
        heap.doubles += 1
    else:
        heap.kept.append((score - cost_of(habits), text))


def are_alike(one: str, other: str) -> bool:
    """Whether two slogans say the same: most words of the shorter are in the other; of Chinese, characters."""
    mine, theirs = _words(one), _words(other)
    fewer = min(len(mine), len(theirs))
    return fewer > 0 and len(mine & theirs) / fewer >= ALIKE and (fewer > 1 or mine == theirs)


def _words(text: str) -> set[str]:
    words = re.findall(r"[\u4e00-\u9fff]|[^\W\d_]+", text.casefold())
    plain = [word.rstrip("s") if len(word) > LEAST else word for word in words]
    return {word for word in plain if len(word) > 2 or word >= "\u4e00"} or set(plain)


def _listed(heap: _Heap) -> str:
    best = sorted(heap.kept, key=lambda one: -one[0])[:WANTED]
    return "\n".join(f"{number}. {text}" for number, (_, text) in enumerate(best, 1))
