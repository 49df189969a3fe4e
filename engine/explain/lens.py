"""The residual stream: what would be said after each layer (nostalgebraist 2020), and how far each moves it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from engine.explain.view import View, origin_in_words
from engine.explain.view import stream as streamed
from engine.inspections import Grid, Lens, LensReading, Piece
from engine.messages import Text
from engine.requests import Event, clean_text
from engine.serving.protocol import Caller, Engine


@dataclass(frozen=True)
class LensRequest:
    """A text to read layer by layer."""

    text: str
    top: int = 3
    """How many of the likeliest tokens to tell at each layer and place (1 to 20)."""
    model: str | None = None


@dataclass(frozen=True)
class LensResult:
    """`words[layer][token]`, the likeliest first, with `ids` and `logprobs` (layer, token, rank); layer 0 is the
    embedding, and the last one what the model says. `changes` (layer, token): by which share of its length a layer
    moves the residual stream."""

    tokens: list[Piece]
    words: list[list[list[str]]]
    ids: Grid
    logprobs: Grid
    changes: Grid
    origin: Text
    model: str


@dataclass(frozen=True)
class Turning:
    """What the model says after the text's last piece and its probability; the layers after which the word is the
    likeliest for the first time, and from which on its probability stays above one half (None: it does not)."""

    word: str
    probability: float
    first: int
    settled: int | None


def turning(result: LensResult) -> Turning:
    """Read off the last column."""
    ids, shares = result.ids.values()[:, -1, 0], np.exp(result.logprobs.values()[:, -1, 0])
    is_it = ids == ids[-1]
    others = np.flatnonzero(~(is_it & (shares > 0.5)))
    settled = int(others[-1]) + 1 if len(others) else 0
    probability = float(shares[-1])
    return Turning(result.words[-1][-1][0], probability, int(is_it.argmax()), settled if settled < len(ids) else None)


def stream(engine: Engine, request: LensRequest, caller: Caller) -> Iterator[Event]:
    """Yields events, a text `3/31 ` for each layer that is read; the last one's result is a LensResult."""
    model = VIEW.choose(engine.catalogue, request.model)
    text = clean_text(request.text, "text", engine.settings.max_text_characters)

    def make(found: LensReading) -> LensResult:
        words = [[list(place) for place in layer] for layer in found.words]
        origin = origin_in_words(found.origin)
        return LensResult(list(found.tokens), words, found.ids, found.logprobs, found.changes, origin, model.id)

    yield from streamed(engine, model, Lens(text, max(1, request.top)), caller, make)


VIEW = View(
    id="explore/lens", title=Text("Layer by layer"), summary=Text("What the model would say after each layer."),
    icon="layers", architectures=frozenset({"causal"}), default_model="smollm2-135m-instruct",
    needs=frozenset({"lens"}), request_type=LensRequest, result_type=LensResult, stream=stream,
    samples=(LensRequest("The capital of France is"),),
)  # fmt: skip
