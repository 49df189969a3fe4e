"""Habits of small models, which readers tire of, and what each costs a text when several are ranked.

The rules were written down while reading verse by the embedded models; `docs/writing.md` tells them with examples. They
rank what a model wrote and change no word of it.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from engine.messages import Text

LONG = 4
"""Characters of a word from which on it counts when it comes again."""


@dataclass(frozen=True)
class Habit:
    """One rule: what a reader calls it, and what each case costs, in nats of a text's mean log-probability."""

    id: str
    title: Text
    cost: float


HABITS: dict[str, Habit] = {
    one.id: one
    for one in (
        Habit("stock", Text("a stock phrase"), 1.2),
        Habit("repeat", Text("a word comes again"), 0.5),
        Habit("begins", Text("lines begin alike"), 0.3),
        Habit("weak", Text("a line ends on a word that leads on"), 0.8),
        Habit("talk", Text("it talks about the task"), 3.0),
        Habit("copy", Text("it copies the example"), 3.0),
        Habit("task", Text("it repeats the task"), 1.0),
    )
}


@cache
def _lists() -> dict[str, dict[str, list[str]]]:
    found: dict[str, dict[str, list[str]]] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
    return found


@cache
def _pattern(name: str, language: str) -> re.Pattern[str]:
    """The phrases of a list, as whole words; one that matches nothing where the language has none."""
    phrases = _lists()[name].get(language, [])
    spaced = language != "zh"
    found = "|".join(re.escape(one).replace("'", "['’]").replace(r"\*", r"\w*") for one in phrases) or r"(?!)"
    return re.compile(rf"\b(?:{found})\b" if spaced else f"(?:{found})", re.IGNORECASE)


def stock_phrases(text: str, language: str) -> list[str]:
    """Phrases that small models put into everything."""
    return _pattern("stock", language).findall(text)


def is_weak(word: str, language: str) -> bool:
    """Whether a line that ends on it stops where nobody would."""
    return _pattern("weak", language).fullmatch(word) is not None


def habits_of(
    text: str, language: str, *, about: str = "", before: Sequence[str] = (), examples: str = ""
) -> list[Habit]:
    """The habits in a text, each as often as it has it; `before` are lines that stand already, `about` its theme."""
    words = [word for word in _words(text) if len(word) >= LONG or language == "zh"]
    earlier = {word for line in before for word in _words(line) if len(word) >= LONG}
    theme = set(_words(about))
    again = sum(count - 1 for count in Counter(words).values()) if language != "zh" else 0
    again += len([word for word in words if word in earlier and word not in theme])
    found = [HABITS["stock"]] * len(stock_phrases(text, language)) + [HABITS["repeat"]] * again
    found += [HABITS["begins"]] * sum(_first(line) == _first(text) for line in before if _first(text))
    talk = _pattern("talk", language)
    found += [HABITS["talk"]] * bool(talk.search(text) and not talk.search(about))
    found += [HABITS["copy"]] * bool(_shares(text, examples, 4 if language != "zh" else 3, language))
    found += [HABITS["task"]] * bool(len(theme) > 2 and _shares(text, about, min(4, len(theme)), language))
    return found


def cost_of(habits: Sequence[Habit]) -> float:
    """What they take off the text's mean log-probability where texts are ranked."""
    return sum(one.cost for one in habits)


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+(?:['’][^\W\d_]+)?", text.casefold())


def _first(line: str) -> str:
    words = _words(line)
    return words[0] if words else ""


def _shares(text: str, other: str, length: int, language: str) -> bool:
    """Whether so many words (Chinese characters) in a row are the same."""
    mine, theirs = (list(re.sub(r"\W", "", one)) if language == "zh" else _words(one) for one in (text, other))
    runs = {tuple(theirs[place : place + length]) for place in range(len(theirs) - length + 1)}
    return any(tuple(mine[place : place + length]) in runs for place in range(len(mine) - length + 1))
