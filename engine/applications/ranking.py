"""How drafts of one request are ranked: plain measures from 0 (worst) to 1, each of them shown, and their mean.

None of them reads for sense; they find what is plainly worse: loops, babble, another subject, a broken end or form.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

from engine.applications.habits import stock_phrases
from engine.applications.languages import SPACELESS
from engine.applications.tidy import last_end
from engine.applications.write import VERSE, WriteRequest, WriteResult
from engine.messages import Text

RUN, SPACELESS_RUN = 3, 6
"""Words in a row, of Chinese and Japanese characters, that count as repeated when they come again."""
STEM = 5
"""Letters by which words are told to be of one kind: keeper and keepers."""
LEAST_LETTERS = 4
"""Of a word that says what a text is about."""
MOST_SLOGAN_WORDS, LEAST_SENTENCES, LEAST_LINES, MOST_LINE = 10, 3, 4, 60
"""What the kinds are asked for: a slogan's words, a story's sentences, verses and the characters of each."""
_LIST = re.compile(r"^\s*(?:[-*•]|\d{1,2}[.)])\s", re.MULTILINE)
_SENTENCE = re.compile(r"[.!?…。！？]+")

Measure = Callable[[WriteRequest, WriteResult], float | None]
"""None where it cannot be told, or means nothing for the kind."""


def likely(request: WriteRequest, result: WriteResult) -> float | None:
    """The geometric mean of the tokens' probabilities: babble is unlikely. Where tokens were not told, nothing."""
    return result.probability


def fresh(request: WriteRequest, result: WriteResult) -> float | None:
    """The share of words that are in no run which the text had before: loops repeat theirs."""
    words, size = _units(result.text, request.language)
    seen: set[tuple[str, ...]] = set()
    repeated: set[int] = set()
    for place in range(len(words) - size + 1):
        run = tuple(words[place : place + size])
        repeated |= set(range(place, place + size)) if run in seen else set()
        seen.add(run)
    return 1 - len(repeated) / len(words) if words else None


def about(request: WriteRequest, result: WriteResult) -> float | None:
    """The share of the subject's words that the text takes up; of a free text or a chat, which have none, nothing."""
    asked = _stems(request.text, request.language)
    if request.kind in ("free", "chat") or not asked:
        return None
    return len(asked & _stems(result.text, request.language)) / len(asked)


def whole(request: WriteRequest, result: WriteResult) -> float:
    """1 where it ends with a sentence, or the model itself ended a verse or a slogan; else 0."""
    text = result.text.rstrip()
    is_ended = result.finish_reason == "stop" and request.kind in (*VERSE, "slogan")
    return float(bool(text) and (is_ended or last_end(text, is_verse=False) == len(text)))


def unhackneyed(request: WriteRequest, result: WriteResult) -> float:
    """One over one more than the stock phrases that it has, which small models put into everything (see `habits`)."""
    return 1 / (1 + len(stock_phrases(result.text, request.language)))


def formed(request: WriteRequest, result: WriteResult) -> float | None:
    """How far it is what the kind asks for: sentences and no list, verses of a verse's length, one short line.

    Of a form that code sees to, the share of its lines that keep to it.
    """
    if result.verse and result.verse.lines:
        return sum(not line.faults for line in result.verse.lines) / len(result.verse.lines)
    text, lines = result.text.strip(), [line for line in result.text.splitlines() if line.strip()]
    if request.kind == "story":
        return min(1.0, len(_SENTENCE.findall(text)) / LEAST_SENTENCES) * (not _LIST.search(text))
    if request.kind in VERSE:
        short = sum(len(line) <= MOST_LINE for line in lines)
        return short / max(LEAST_LINES, len(lines))
    if request.kind == "slogan":
        words, _ = _units(text, request.language)
        return float(len(lines) == 1 and 1 < len(words) <= MOST_SLOGAN_WORDS * (2 if _is_spaceless(request) else 1))
    return None


MEASURES: Mapping[str, Measure] = {
    "likely": likely, "fresh": fresh, "about": about, "unhackneyed": unhackneyed, "whole": whole, "formed": formed,
}  # fmt: skip
NAMES: Mapping[str, Text] = {
    "likely": Text("Likely"),
    "fresh": Text("Fresh"),
    "about": Text("On the subject"),
    "unhackneyed": Text("No stock phrases"),
    "whole": Text("Ends whole"),
    "formed": Text("Has the form"),
}
EXPLAINED: Mapping[str, Text] = {
    "likely": Text("the typical probability of its tokens (geometric mean)"),
    "fresh": Text("the share of its words outside runs of three that it had before"),
    "about": Text("the share of the subject's words that it takes up"),
    "unhackneyed": Text("1, a half with one stock phrase, a third with two"),
    "whole": Text("whether it ends with a sentence"),
    "formed": Text("whether it is sentences, verses or one short line, as its kind asks"),
}


def measured(request: WriteRequest, result: WriteResult) -> dict[str, float]:
    """Each measure that can be told, by name."""
    found = {name: measure(request, result) for name, measure in MEASURES.items()}
    return {name: value for name, value in found.items() if value is not None}


def score(measures: Mapping[str, float]) -> float:
    """Their mean: all weigh the same."""
    return sum(measures.values()) / len(measures) if measures else 0.0


def _is_spaceless(request: WriteRequest) -> bool:
    return request.language in SPACELESS


def _units(text: str, language: str) -> tuple[Sequence[str], int]:
    """Words of a text, of Chinese and Japanese characters, and how many of them make a run."""
    if language in SPACELESS:
        return re.findall(r"\w", text), SPACELESS_RUN
    return re.findall(r"\w+(?:['’]\w+)*", text.casefold()), RUN


def _stems(text: str, language: str) -> set[str]:
    if language in SPACELESS:
        letters = re.findall(r"\w", text)
        return set(map("".join, pairwise(letters))) or set(letters)
    words = re.findall(r"\w+", text.casefold())
    return {word[:STEM] for word in words if len(word) >= LEAST_LETTERS} or {word[:STEM] for word in words}
