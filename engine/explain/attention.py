"""Attention: where each token looks, in each layer and head."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from engine.explain.view import ALL, View, origin_in_words
from engine.explain.view import stream as streamed
from engine.inspections import Attend, Attention, Grid, Kind, Part, Piece
from engine.messages import Text
from engine.requests import Event, clean_text
from engine.serving.protocol import Caller, Engine


@dataclass(frozen=True)
class AttentionRequest:
    """A text; for a translator, also the source that it translates."""

    text: str
    source: str = ""
    layer: int = 0
    """From 0 on; -1 is the last, across to a source the one that comes closest to word alignment."""
    part: Part = ""
    """Of an encoder-decoder: `encoder`, `decoder`, or `cross` from the text to its source."""
    model: str | None = None


@dataclass(frozen=True)
class AttentionResult:
    """`weights` (head, row, column) of the layer; `habits` (layer, head, habit) of all: the shares that go to the first
    column, to the token itself and to the one before, and over how many tokens attention is spread."""

    kind: Kind
    rows: list[Piece]
    columns: list[Piece]
    layer: int
    layers: int
    heads: int
    weights: Grid
    habits: Grid
    origin: Text
    model: str


@dataclass(frozen=True)
class Habit:
    """Shares of a head's attention, and over how many tokens it is spread; of a layer's heads the least and the most,
    each as (head from 1, value): of the share that goes to the first token, across to a source of the spread."""

    first: float
    own: float
    before: float
    spread: float
    least: tuple[int, float]
    most: tuple[int, float]


def habit(result: AttentionResult, head: int) -> Habit:
    """Of a head from 1; of 0, their average. How far that spreads is asked of the averaged weights themselves."""
    heads = result.habits.values()[result.layer].astype(float)
    first, own, before, spread = heads.mean(0) if head == 0 else heads[head - 1]
    if head == 0:
        mean = result.weights.values().astype(float).mean(0)
        spread = np.exp(-(mean * np.log(np.maximum(mean, 1e-12))).sum(-1).mean())
    told = heads[:, 3 if result.kind == "cross" else 0]
    ends = [(int(find(told)) + 1, float(told[find(told)])) for find in (np.argmin, np.argmax)]
    return Habit(float(first), float(own), float(before), float(spread), *ends)


def stream(engine: Engine, request: AttentionRequest, caller: Caller) -> Iterator[Event]:
    """Yields events; the last one's result is an AttentionResult."""
    model = VIEW.choose(engine.catalogue, request.model)
    most = engine.settings.max_text_characters
    text = clean_text(request.text, "text", most)
    source = clean_text(request.source, "source", most, can_be_empty=True)

    def make(found: Attention) -> AttentionResult:
        return AttentionResult(
            found.kind, list(found.rows), list(found.columns), found.layer, found.layers, found.weights.shape[0],
            found.weights, found.habits, origin_in_words(found.origin), model.id,
        )  # fmt: skip

    if model.architecture != "seq2seq":
        source = ""
    yield from streamed(engine, model, Attend(text, source, request.layer, request.part), caller, make)


VIEW = View(
    id="explore/attention", title=Text("Attention"), summary=Text("Where each word looks, in each layer and head."),
    icon="visibility", architectures=ALL, default_model="smollm2-135m-instruct",
    needs=frozenset({"attend", "attend_translation"}), request_type=AttentionRequest, result_type=AttentionResult,
    stream=stream, samples=(AttentionRequest("The cat sat on the mat because it was tired."),),
)  # fmt: skip
