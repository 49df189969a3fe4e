"""A text's sentences, how much each says of the whole, and the choice of them that has a wanted number of words."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.applications.languages import SPACELESS
from engine.applications.segments import split
from engine.applications.wrapping import is_wrapped

Vectors = NDArray[np.float32]

TOLERANCE = 0.1
"""Of the wanted number of words, either way."""
MIN_WORDS = 4
"""Of a line that is a sentence; fewer make a heading or a caption."""
POSITION, CENTRALITY = 0.45, 0.5
"""Weights of a sentence's score: standing early, and being like all others (LexRank's degree, Erkan & Radev 2004)."""
EARLY = 2.0
"""Sentences after which standing early counts half."""
NOVELTY = 0.4
"""How much a sentence loses that says what a better one says (Carbonell & Goldstein 1998)."""
SAME = 0.9
"""Likeness from which on two sentences say the same, and one of them is left out."""
CUT = 0.8
"""What is left of a sentence's worth when its end is left out."""
DANGLING = 0.85
"""What is left of the score of a sentence that leans on the one before it: "However, …", "They …"."""
POOL = 4
"""Times the wanted words among which the choice is made."""
MAX_POOL = 160
"""Sentences among which it is made at most."""

SCRIPT = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_COUNTED = re.compile(rf"[{SCRIPT}]|[^\s{SCRIPT}]*[^\W_{SCRIPT}][^\s{SCRIPT}]*")
_ENDED = re.compile(r"[.!?…。！？؟।:;][\"'”’“»)\]」』]*$")
_BREAK = re.compile(r"(\n[^\S\n]*\n\s*)")


def count_words(text: str) -> int:
    """Words as word processors count them: between spaces, and each Chinese or Japanese character."""
    return len(_COUNTED.findall(text))


def is_near(count: int, words: int) -> bool:
    """Whether that many words are what was wanted, within the tolerance."""
    return (1 - TOLERANCE) * words <= count <= (1 + TOLERANCE) * words


@dataclass(frozen=True)
class Place:
    """A sentence, and where it stands in the text: `text[start:end]` but for line breaks."""

    text: str
    start: int
    end: int

    @property
    def words(self) -> int:
        return count_words(self.text)


def sentences_of(text: str, language: str) -> list[Place]:
    """The sentences of a text in their order; headings and captions only where there is nothing else."""
    found = list(_joined(_evened(text), language))
    prose = [one for one in found if _ENDED.search(one.text) and one.words >= MIN_WORDS]
    if sum(one.words for one in prose) * 2 >= sum(one.words for one in found):
        return prose
    return [one for one in found if one.words >= 2] or found


def _evened(text: str) -> str:
    """The text with wrapped paragraphs in one line each, of the same length."""
    pieces = _BREAK.split(text)
    return "".join(piece.replace("\n", " ") if is_wrapped(piece.split("\n")) else piece for piece in pieces)


def _joined(text: str, language: str) -> Iterator[Place]:
    """Segments as places; what was cut for small translators is put together again."""
    at, held = 0, Place("", 0, 0)
    for segment in split(text, language):
        start, end = at + len(segment.before), at + len(segment.before) + len(segment.text)
        at = end
        if not segment.text:
            continue
        if held.text and not segment.before.strip(" \u00a0") and not _ENDED.search(held.text):
            start = held.start
        elif held.text:
            yield held
        held = Place(" ".join(text[start:end].split()), start, end)
    if held.text:
        yield held


@cache
def _cuts() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_name("summarize.toml").read_text(encoding="utf-8"))["cuts"]


def shortened(sentence: str, language: str) -> list[str]:
    """The sentence without its last clauses, marked by an ellipsis; none where that could change what it says."""
    words = _cuts().get(language, {})
    first = re.split(r"\W", sentence.casefold(), maxsplit=1)[0]
    if first in words.get("dependent", "").split():
        return []
    openers = "|".join(map(re.escape, words.get("openers", "").split()))
    soft = rf",\s+(?=(?:{openers})\b)|" if openers else ""
    pattern = re.compile(rf"{soft};\s+|\s+[—–]\s+|；|——")
    whole = count_words(sentence)
    kept = (sentence[: match.start()] for match in pattern.finditer(sentence))
    return [f"{one} …" for one in kept if count_words(one) >= max(6, whole * 0.4) and one.count("(") == one.count(")")]


def relevance(vectors: Vectors) -> NDArray[np.float64]:
    """How much each sentence says of the whole, 0 to 1; the vectors are of unit length, in the text's order."""
    count = len(vectors)
    likeness = vectors @ vectors.mean(0)
    spread = likeness.max() - likeness.min()
    central = (likeness - likeness.min()) / spread if spread > 0 else np.ones(count)
    early = 1 / (1 + np.arange(count) / EARLY)
    scores: NDArray[np.float64] = CENTRALITY * central + POSITION * early
    return scores


def pool(places: Sequence[Place], scores: NDArray[np.float64], vectors: Vectors, words: int) -> dict[int, float]:
    """Sentences worth choosing among, by number, and what each is worth beside those that are better."""
    centred = vectors - vectors.mean(0)
    centred /= np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-6)
    likest = np.zeros(len(places))
    worth: dict[int, float] = {}
    total = 0
    while len(worth) < min(len(places), MAX_POOL) and total < POOL * words + 60:
        left = scores - NOVELTY * likest
        left[list(worth)] = left[likest >= SAME] = -np.inf
        best = int(left.argmax())
        if left[best] == -np.inf:
            break
        worth[best] = max(float(left[best]), 0.01)
        total += places[best].words
        likest = np.maximum(likest, centred @ centred[best])
    return worth


@dataclass(frozen=True)
class Choice:
    """A sentence that may be taken, whole or shortened: its number, its text, its words and what it is worth."""

    number: int
    text: str
    words: int
    worth: float


def choices(places: Sequence[Place], worth: dict[int, float], language: str) -> list[list[Choice]]:
    """The ways to take each sentence, of which at most one is."""
    groups = []
    for number in sorted(worth):
        place = places[number]
        whole = Choice(number, place.text, place.words, worth[number] * place.words)
        cut = [Choice(number, one, count_words(one), 0.0) for one in shortened(place.text, language)]
        groups.append([whole, *(replace(one, worth=CUT * worth[number] * one.words) for one in cut)])
    return groups


def fit(groups: Sequence[Sequence[Choice]], words: int) -> list[Choice]:
    """The choice of the most worth with about that many words; the nearest there is where none comes near.

    A knapsack by dynamic programming: `best[n]` is the most worth of exactly n words.
    """
    limit = int(words * (1 + TOLERANCE)) + max((one.words for group in groups for one in group), default=0)
    best = np.full(limit + 1, -np.inf)
    best[0] = 0.0
    taken: list[NDArray[np.int16]] = []
    for group in groups:
        better, which = best.copy(), np.zeros(limit + 1, np.int16)
        for place, one in enumerate(group, 1):
            if 0 < one.words <= limit:
                moved = best[: -one.words] + one.worth
                wins = np.flatnonzero(moved > better[one.words :]) + one.words
                better[wins], which[wins] = moved[wins - one.words], place
        best = better
        taken.append(which)
    return _traced(groups, taken, _length(best, words))


def _length(best: NDArray[np.float64], words: int) -> int:
    """Which number of words to take: near what was wanted, and of much worth."""
    counts = np.flatnonzero(np.isfinite(best))
    counts = counts[counts > 0]
    if not len(counts):
        return 0
    away = np.abs(counts - words) / words
    near = away <= TOLERANCE + 1e-9
    if not near.any():
        return int(counts[away.argmin()])
    return int(counts[near][(best[counts[near]] * (1 - away[near])).argmax()])


def _traced(groups: Sequence[Sequence[Choice]], taken: Sequence[NDArray[np.int16]], count: int) -> list[Choice]:
    chosen: list[Choice] = []
    for group, which in zip(reversed(groups), reversed(taken), strict=True):
        if place := int(which[count]):
            chosen.append(group[place - 1])
            count -= group[place - 1].words
    return chosen[::-1]


def is_dangling(sentence: str, language: str) -> bool:
    """Whether a sentence leans on the one before it."""
    known = _cuts().get(language, {}).get("dangling", "").split()
    if language in SPACELESS:
        return sentence.startswith(tuple(known))
    return re.split(r"\W", sentence.casefold().lstrip("\"'“„«"), maxsplit=1)[0] in known


def extract(places: Sequence[Place], vectors: Vectors, words: int, language: str) -> list[Choice]:
    """Sentences and clauses of the text with about that many words together, in the text's order."""
    lean = np.array(
        [DANGLING if number and is_dangling(one.text, language) else 1 for number, one in enumerate(places)]
    )
    worth = pool(places, relevance(vectors) * lean, vectors, words)
    return fit(choices(places, worth, language), words)
