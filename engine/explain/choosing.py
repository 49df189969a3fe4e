"""The next word: logits, divided by the temperature, made probabilities, and what the filters keep of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from engine.errors import not_between
from engine.explain.view import View, origin_in_words
from engine.explain.view import stream as streamed
from engine.inspections import Lot, Next, NextToken, Piece
from engine.messages import NOTHING, Text
from engine.requests import Event, Generate, Message, Sampling, clean_text
from engine.serving.protocol import Caller, Engine

Filter = Literal["", "temperature", "top_k", "top_p", "min_p"]
MOST_CHOICES = MOST_DRAWS = 100


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
    begun: tuple[int, ...] = ()
    """Ids of tokens that follow it, such as those that were drawn before."""
    draws: int = 0
    """How often to draw the next token from what is kept."""
    seed: int = 0
    """The same seed draws the same: token after token what is written with it, where the weights are the same."""
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
class Drawn:
    """A token that was drawn, and its share of what was kept."""

    text: str
    id: int
    share: float
    is_end: bool
    """Whether it is a mark, which stands for no text: with it a model ends."""


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
    begun: list[Piece]
    """The tokens that were said to follow the text."""
    drawn: list[Drawn]
    """In the order in which they were drawn; each could be the next."""
    origin: Text
    model: str


def stream(engine: Engine, request: NextRequest, caller: Caller) -> Iterator[Event]:
    """Yields events; the last one's result is a NextResult."""
    model = VIEW.choose(engine.catalogue, request.model)
    most = engine.settings.max_text_characters
    text = clean_text(request.text, "text", most, can_be_empty=bool(request.messages))
    turns = tuple((turn.role, clean_text(turn.content, "messages", most)) for turn in request.messages)
    if not 0 <= request.draws <= MOST_DRAWS:
        raise not_between("draws", 0, MOST_DRAWS)
    sampling = Sampling(
        temperature=request.temperature, top_k=request.top_k, top_p=request.top_p, min_p=request.min_p,
        seed=request.seed,
    ).resolved()  # fmt: skip

    def make(found: NextToken) -> NextResult:
        chosen = choose(found.logits.values(), found.best, sampling, found.drawn)
        listed = chosen.choices[: max(1, min(request.count, MOST_CHOICES))]
        rest = max(0.0, 1 - sum(one.probability for one in listed))
        begun = list(found.context[len(found.context) - len(request.begun) :])
        origin = origin_in_words(found.origin)
        return replace(chosen, choices=listed, rest=rest, begun=begun, origin=origin, model=model.id)

    settings = sampling.temperature, sampling.top_k, sampling.top_p, sampling.min_p
    lot = Lot(request.draws, request.seed, *settings) if request.draws else None
    yield from streamed(engine, model, Next(text, turns, request.begun, lot), caller, make)


def choose(logits: Any, best: Sequence[Piece], sampling: Sampling, drawn: Sequence[Piece] = ()) -> NextResult:
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
    by_id = np.empty_like(shares)
    by_id[order] = shares
    lots = [Drawn(piece.text, piece.id, float(by_id[piece.id]), piece.is_special) for piece in drawn]
    return NextResult(choices, int((shares > 0).sum()), len(logits), 0.0, entropy, [], lots, NOTHING, "")


@dataclass(frozen=True)
class Tally:
    """How often a token came, and how often it was to be expected."""

    text: str
    id: int
    count: int
    expected: float


def tally(result: NextResult) -> list[Tally]:
    """Of all that were drawn, and of the likeliest that came never; the most expected first."""
    draws = len(result.drawn)
    times = Counter(one.id for one in result.drawn)
    listed: list[Choice | Drawn] = [*result.choices, *result.drawn]
    shares = {one.id: (one.text, one.share) for one in listed if one.share > 0}
    found = [Tally(text, id, times[id], draws * share) for id, (text, share) in shares.items()]
    return sorted((one for one in found if one.count or one.expected >= 1), key=lambda one: -one.expected)


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
    return NextRequest(asked.prompt, *filters, count, asked.messages, model=model_id)


VIEW = View(
    id="explore/next", title=Text("Next word"), summary=Text("What could come next, and how the choice is made."),
    icon="arrow_forward", architectures=frozenset({"causal"}), default_model="smollm2-135m-instruct",
    needs=frozenset({"next"}), request_type=NextRequest, result_type=NextResult, stream=stream,
    samples=(NextRequest("The capital of France is", 0.7, top_p=0.9),),
)  # fmt: skip
