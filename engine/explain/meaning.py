"""Embeddings: texts on a plane by PCA, the nearest of each, and analogies with their failures."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.errors import InputError
from engine.explain.view import View
from engine.inspections import Grid, pack
from engine.messages import Text
from engine.requests import Embed, Embedding, Event, clean_text
from engine.serving.protocol import Caller, Engine

MOST_LINES, LEAST_LINES, NEAREST = 60, 3, 3
ANALOGY = re.compile(r"^(.+?):(.+?)=(.+?):(.+)$")


@dataclass(frozen=True)
class MeaningRequest:
    """Words or sentences, one a line, and analogies, one a line: `man : king = woman : queen`."""

    text: str
    analogies: str = ""
    model: str | None = None


@dataclass(frozen=True)
class Neighbour:
    """Another text, and the cosine between the two vectors."""

    text: str
    cosine: float


@dataclass(frozen=True)
class Analogy:
    """What lies nearest to `second - first + third` among all words but these three, beside what was expected."""

    first: str
    second: str
    third: str
    expected: str
    found: str
    cosine: float

    @property
    def is_right(self) -> bool:
        return self.found.casefold() == self.expected.casefold()


@dataclass(frozen=True)
class MeaningResult:
    """`plane` (text, axis) are the first two principal components, which show `shown` of all that differs."""

    texts: list[str]
    plane: Grid
    shown: float
    nearest: list[list[Neighbour]]
    analogies: list[Analogy]
    model: str


def stream(engine: Engine, request: MeaningRequest, caller: Caller) -> Iterator[Event]:
    """Yields events; the last one's result is a MeaningResult."""
    model = VIEW.choose(engine.catalogue, request.model)
    most = engine.settings.max_text_characters
    texts = lines_of(clean_text(request.text, "text", most))
    asked = [parts_of(line) for line in lines_of(clean_text(request.analogies, "analogies", most, can_be_empty=True))]
    words = list(dict.fromkeys([*texts, *(word for parts in asked for word in parts)]))
    if not len(texts) >= LEAST_LINES or len(words) > MOST_LINES:
        raise InputError(
            "{field} takes {low} to {high} lines, analogies' words among them. Write one word or sentence a line.",
            param="text", field="text", low=LEAST_LINES, high=MOST_LINES,
        )  # fmt: skip
    vectors: list[Any] = []
    for _, event in engine.stream_all(model.id, [Embed(word) for word in words], caller):
        if event.kind == "done":
            assert isinstance(event.result, Embedding)
            vectors.append(event.result.vector)
        else:
            yield event
    yield Event("done", result=meaning(texts, asked, dict(zip(words, map(np.asarray, vectors), strict=True)), model.id))


def meaning(texts: list[str], asked: Sequence[Sequence[str]], vectors: dict[str, Any], model_id: str) -> MeaningResult:
    """What the vectors of words and sentences, each of length 1, tell."""
    table = np.stack([vectors[text] for text in texts])
    centred = table - table.mean(0)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    plane = left[:, :2] * sizes[:2]
    plane = plane * np.sign(plane[np.abs(plane).argmax(0), range(plane.shape[1])])  # the same way round each time
    shown = float((sizes[:2] ** 2).sum() / max((sizes**2).sum(), 1e-12))
    cosines = table @ table.T
    nearest = [
        [Neighbour(texts[other], float(line[other])) for other in np.argsort(-line) if other != place][:NEAREST]
        for place, line in enumerate(cosines)
    ]
    found = [_solved(parts, vectors) for parts in asked]
    return MeaningResult(texts, pack(plane, ("text", "axis")), shown, nearest, found, model_id)


def closest(result: MeaningResult, most: int = 3) -> list[tuple[str, str, float]]:
    """The pairs of texts that lie nearest to each other, and their cosines."""
    pairs = {
        frozenset((text, near[0].text)): near[0].cosine for text, near in zip(result.texts, result.nearest, strict=True)
    }  # fmt: skip
    ranked = sorted(pairs, key=lambda pair: -pairs[pair])[:most]
    return [(*sorted(pair, key=result.texts.index), pairs[pair]) for pair in ranked]  # type: ignore[misc]


def _solved(parts: Sequence[str], vectors: dict[str, Any]) -> Analogy:
    """By vector arithmetic (Mikolov et al. 2013). The three given words are left out, as is usual."""
    first, second, third, expected = parts
    wanted = vectors[second] - vectors[first] + vectors[third]
    wanted = wanted / max(float(np.linalg.norm(wanted)), 1e-12)
    given = {word.casefold() for word in (first, second, third)}
    cosines = {word: float(vector @ wanted) for word, vector in vectors.items() if word.casefold() not in given}
    best = max(cosines, key=lambda word: cosines[word])
    return Analogy(first, second, third, expected, best, cosines[best])


def lines_of(text: str) -> list[str]:
    """Its lines that are not empty, each once."""
    return list(dict.fromkeys(line.strip() for line in text.split("\n") if line.strip()))


def parts_of(line: str) -> list[str]:
    """The four words of an analogy. Raises InputError where they are not there."""
    found = ANALOGY.match(line)
    if not found:
        raise InputError(
            "{field} are written one a line, such as {example}.",
            param="analogies", field="analogies", example="man : king = woman : queen",
        )  # fmt: skip
    return [part.strip() for part in found.groups()]


WORDS = "king\nqueen\nman\nwoman\nParis\nFrance\nBerlin\nGermany\nbread\nwine\ncat\ndog\nchat\nHund"
SENTENCES = "The film was good.\nLe film était bon.\nThe film was bad."
ANALOGIES = """man : king = woman : queen
France : Paris = Germany : Berlin
dog : Hund = cat : Katze
bread : eat = wine : drink"""
VIEW = View(
    id="explore/meaning", title=Text("Meaning"), summary=Text("Words and sentences as points."),
    icon="scatter_plot", architectures=frozenset({"embedding", "causal"}), default_model="multilingual-e5-small",
    needs=frozenset({"embed"}), request_type=MeaningRequest, result_type=MeaningResult, stream=stream,
    samples=(MeaningRequest(f"{WORDS}\n{SENTENCES}", ANALOGIES),),
)  # fmt: skip
