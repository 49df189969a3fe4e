"""Whether a text says what its summary says: the sentences that support each one, and names and numbers it lacks."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np

from engine.applications.extracts import SCRIPT, Place, Vectors
from engine.applications.languages import SPACELESS

MAX_SOURCES = 2
FAINT = 0.35
"""Below this score no sentence of the text is taken for the source of one of the summary's."""
SECOND = 0.75
"""Share of the best source's score from which on another one is told too."""
UNLIKE, ALIKE = 0.78, 0.95
"""Likeness of E5's vectors of sentences that have nothing in common, and of sentences that say the same."""
STEM = 5
"""Letters at which a German noun is recognised in its other forms and compounds."""

_WORD = re.compile(rf"[{SCRIPT}]|[^\W\d_{SCRIPT}]+|\d+(?:[.,]\d+)*")
_NUMBER = re.compile(r"\d+(?:[.,:\u00a0\u202f]\d+)*")
_NAME = re.compile(r"[^\W\d_]+(?:[-'’][^\W\d_]+)*")


@dataclass(frozen=True)
class Source:
    """A sentence of the text that supports one of its summary: `score` is 0 to 1; the offsets are characters."""

    text: str
    start: int
    end: int
    score: float


def overlap(sentence: str, other: str) -> float:
    """Share of a sentence's longer words that another has too; of Chinese and Japanese, of its pairs of characters."""
    own, theirs = _content(sentence), _content(other)
    return len(own & theirs) / len(own) if own else 0.0


def _content(sentence: str) -> frozenset[str]:
    words = _WORD.findall(unicodedata.normalize("NFC", sentence).casefold())
    pairs = {one + other for one, other in pairwise(words) if len(one) == len(other) == 1}
    return frozenset(word for word in words if len(word) > 3 or word[0].isdigit()) | pairs


def sources_of(sentence: str, vector: Vectors | None, places: Sequence[Place], vectors: Vectors | None) -> list[Source]:
    """The sentences of the text that say most of what this one says, the best first; by words alone without vectors.

    The score is the mean of the share of words in common and of how alike the vectors are.
    """
    shared = np.array([overlap(sentence, place.text) for place in places])
    if vector is not None and vectors is not None:
        alike = np.clip((vectors @ vector - UNLIKE) / (ALIKE - UNLIKE), 0, 1)
        shared = (shared + alike) / 2
    order = np.argsort(-shared, kind="stable")[:MAX_SOURCES]
    best = float(shared[order[0]]) if len(order) else 0.0
    kept = [number for number in order if shared[number] >= max(FAINT, SECOND * best)]
    return [Source(places[n].text, places[n].start, places[n].end, round(float(shared[n]), 3)) for n in kept]


def unsupported(sentence: str, text: str, language: str) -> list[str]:
    """Numbers and names of a sentence that the text does not have, in their order."""
    known = _known(text, language)
    found = [
        (match.start(), match[0]) for match in _NUMBER.finditer(sentence) if _digits(match[0]) not in known.numbers
    ]
    spelled = _spelled(language)
    words = [(match.start(), match[0]) for match in _NAME.finditer(sentence) if match[0].casefold() in spelled]
    found += [(at, word) for at, word in words if str(spelled[word.casefold()]) not in known.numbers]
    if language not in SPACELESS:
        found += _strange_names(sentence, known, language)
    return list(dict.fromkeys(word for _, word in sorted(found)))


@dataclass(frozen=True)
class _Known:
    """Words of a text in small letters, the beginnings of these, and its numbers in digits alone."""

    words: frozenset[str]
    stems: frozenset[str]
    numbers: frozenset[str]


@cache
def _spelled(language: str) -> dict[str, int]:
    """Number words of a language from two to twelve; one is an article in most."""
    file = tomllib.loads(Path(__file__).with_name("summarize.toml").read_text(encoding="utf-8"))
    return {word: value for value, word in enumerate(file["numbers"].get(language, "").split(), 2)}


@lru_cache(maxsize=8)
def _known(text: str, language: str) -> _Known:
    words = {part.casefold() for match in _NAME.finditer(text) for part in (match[0], *re.split(r"[-'’]", match[0]))}
    numbers = {_digits(number) for number in _NUMBER.findall(text)}
    numbers |= {_digits(number) for whole in _NUMBER.findall(text) for number in re.findall(r"\d+", whole)}
    numbers |= {str(value) for word, value in _spelled(language).items() if word in words}
    return _Known(frozenset(words), frozenset(word[:STEM] for word in words), frozenset(numbers))


def _digits(number: str) -> str:
    return re.sub(r"\D", "", number).lstrip("0") or "0"


def _strange_names(sentence: str, known: _Known, language: str) -> list[tuple[int, str]]:
    """Words in capitals that the text has in no form; a sentence's first word counts where another one follows."""
    matches = list(_NAME.finditer(sentence))
    strange = [match for match in matches if match[0][0].isupper() and not _is_known(match[0], known, language)]
    firsts = {match.start() for match in matches if not sentence[: match.start()].strip("\"'“„«([–—-• ")}
    following = {one.start(): other for one, other in pairwise(matches)}
    return [
        (match.start(), match[0]) for match in strange
        if match.start() not in firsts or following.get(match.start()) in strange
    ]  # fmt: skip


def _is_known(name: str, known: _Known, language: str) -> bool:
    bare = re.sub(r"['’]s?$", "", name.casefold())
    if bare in known.words or len(bare) == 1:
        return True
    if all(part in known.words for part in re.split(r"[-'’]", bare)):
        return True
    return (language == "de" and bare[:STEM] in known.stems) or f"{bare}s" in known.words or bare[:-1] in known.words
