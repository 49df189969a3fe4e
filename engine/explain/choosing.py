"""The next word: logits, divided by the temperature, made probabilities, and what the filters keep of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from engine.explain.view import View, origin_in_words
from engine.explain.view import stream as streamed
from engine.inspections import Next, NextToken, Piece
from engine.messages import Text
from engine.requests import Event, Generate, Message, Sampling, clean_text
from engine.serving.protocol import Caller, Engine

Filter = Literal["", "temperature", "top_k", "top_p", "min_p"]
MOST_CHOICES = 100


@dataclass(frozen=True)
class NextRequest:
    """A text to go on with, and how the next token is chosen; filters act in the order in which they stand here."""

    text: str
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    count: int = 20
    """How many of the likeliest tokens to tell."""
    messages: tuple[Message, ...] = ()
    """In the place of the text, for a chat model; a last one by the assistant is carried on."""
    model: str | None = None


@dataclass(frozen=True)
class Choice:
    """A token that could come next: its logit, that divided by the temperature, the softmax, and after the filters."""

    text: str
    id: int
    logit: float
    scaled: float
    probability: float
    share: float
    """Its probability among what is kept; 0 where it is not."""
    dropped_by: Filter


@dataclass(frozen=True)
class NextResult:
    """The likeliest tokens, how many of the vocabulary are kept, and what the others have together."""

    choices: list[Choice]
    kept: int
    vocabulary: int
    rest: float
    """Probability of all that are not among `choices`, before the filters."""
    entropy_bits: float
    """Of the probabilities before the filters."""
    origin: Text
    model: str


def stream(engine: Engine, request: NextRequest, caller: Caller) -> Iterator[Event]:
    """Yields events; the last one's result is a NextResult."""
    model = VIEW.choose(engine.catalogue, request.model)
    most = engine.settings.max_text_characters
    text = clean_text(request.text, "text", most, can_be_empty=bool(request.messages))
    turns = tuple((turn.role, clean_text(turn.content, "messages", most)) for turn in request.messages)
    sampling = Sampling(
        temperature=request.temperature, top_k=request.top_k, top_p=request.top_p, min_p=request.min_p
    ).resolved()

    def make(found: NextToken) -> NextResult:
        chosen = choose(found.logits.values(), found.best, sampling)
        origin = origin_in_words(found.origin)
        count = max(1, min(request.count, MOST_CHOICES))
        listed = chosen.choices[:count]
        rest = max(0.0, 1 - sum(one.probability for one in listed))
        return NextResult(listed, chosen.kept, chosen.vocabulary, rest, chosen.entropy_bits, origin, model.id)

    yield from streamed(engine, model, Next(text, turns), caller, make)


def choose(logits: Any, best: Sequence[Piece], sampling: Sampling) -> NextResult:
    """What becomes of each of the `best`, likeliest first, by `Sampling`; temperature 0 keeps only the first."""
    logits = np.asarray(logits, np.float64)
    temperature = sampling.temperature or 1.0
    scaled = logits / temperature
    powers = np.exp(scaled - scaled.max())
    probabilities = powers / powers.sum()
    order = np.argsort(-scaled, kind="stable")
    shares, dropped = _filtered(probabilities[order], sampling)
    place = {int(id): index for index, id in enumerate(order[: 4 * len(best) + 1])}
    choices = []
    for piece in best:
        index = place[piece.id]
        logit, divided, probability = (float(each[piece.id]) for each in (logits, scaled, probabilities))
        share = float(shares[index])
        choices.append(Choice(piece.text, piece.id, logit, divided, probability, share, dropped[index]))
    entropy = float(-(probabilities * np.log2(np.maximum(probabilities, 1e-300))).sum())
    return NextResult(choices, int((shares > 0).sum()), len(logits), 0.0, entropy, Text(""), "")


def _filtered(ranked: Any, sampling: Sampling) -> tuple[Any, list[Filter]]:
    """Shares of probabilities, likeliest first, after the filters, and for each the filter that dropped it."""
    dropped: list[Filter] = [""] * len(ranked)
    kept = ranked.copy()

    def drop(from_here: Any, by: Filter) -> None:
        for index in np.flatnonzero(from_here & (kept > 0)):
            dropped[index] = by
        kept[from_here] = 0.0

    places = np.arange(len(ranked))
    if sampling.temperature == 0:
        drop(places >= 1, "temperature")
    if sampling.top_k:
        drop(places >= sampling.top_k, "top_k")
    before = (kept.cumsum() - kept) / kept.sum()
    if sampling.top_p < 1:
        drop(before >= sampling.top_p, "top_p")
    if sampling.min_p > 0:
        drop(kept < sampling.min_p * kept.max(), "min_p")
    return kept / kept.sum(), dropped


def from_generate(asked: Generate, sampling: Sampling, count: int, model_id: str) -> NextRequest:
    """What could come after what a model is asked to go on from, by settings with which it would write."""
    filters = sampling.temperature, sampling.top_k, sampling.top_p, sampling.min_p
    return NextRequest(asked.prompt, *filters, count, asked.messages, model_id)


VIEW = View(
    id="explore/next", title=Text("Next word"), summary=Text("What could come next, and how the choice is made."),
    icon="arrow_forward", architectures=frozenset({"causal"}), default_model="smollm2-135m-instruct",
    needs=frozenset({"next"}), request_type=NextRequest, result_type=NextResult, stream=stream,
    samples=(NextRequest("The capital of France is", 0.7, top_p=0.9),),
)  # fmt: skip
