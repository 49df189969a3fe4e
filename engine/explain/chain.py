"""The chain rule: how likely each token is after those before it, their sum, perplexity and bits per byte."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from engine.applications.tokens import Rival
from engine.errors import InputError, not_between
from engine.explain.view import View, origin_in_words
from engine.explain.view import stream as streamed
from engine.inspections import Score, bytes_as_text
from engine.messages import NOTHING, Text
from engine.requests import Event, Scoring, Token, clean_text
from engine.serving.protocol import Caller, Engine

MOST_RIVALS = 10


@dataclass(frozen=True)
class ChainRequest:
    """A text whose tokens are judged one after the other; for a translator, with the source that it translates."""

    text: str
    source: str = ""
    rivals: int = 3
    """How many of the likeliest tokens to tell at each place."""
    model: str | None = None


@dataclass(frozen=True)
class Link:
    """One token; probability and surprise are None where nothing comes before it."""

    text: str
    id: int
    probability: float | None
    surprise_bits: float | None
    """The negative logarithm of its probability to the base 2."""
    sum_bits: float
    """Surprise of all tokens up to here."""
    rivals: list[Rival]


@dataclass(frozen=True)
class ChainResult:
    """`perplexity` is the exponential of the mean surprise of the judged tokens, `bits_per_byte` their surprise over
    their bytes in UTF-8, which can be compared between models with different tokens."""

    links: list[Link]
    judged: int
    sum_bits: float
    perplexity: float
    bits_per_byte: float
    origin: Text
    model: str


def stream(engine: Engine, request: ChainRequest, caller: Caller) -> Iterator[Event]:
    """Yields events; the last one's result is a ChainResult. Raises InputError where there is nothing to judge."""
    model = VIEW.choose(engine.catalogue, request.model)
    most = engine.settings.max_text_characters
    text = clean_text(request.text, "text", most)
    source = clean_text(request.source, "source", most, can_be_empty=True)
    if not 0 <= request.rivals <= MOST_RIVALS:
        raise not_between("rivals", 0, MOST_RIVALS)

    def make(scoring: Scoring) -> ChainResult:
        return chain(scoring.tokens, model.id, origin_in_words(scoring.origin) if scoring.origin else NOTHING)

    yield from streamed(engine, model, Score(text, source, 0 if source else max(1, request.rivals)), caller, make)


def chain(tokens: Sequence[Token], model_id: str, origin: Text = NOTHING) -> ChainResult:
    """The figures of a scored text. Raises InputError where no token has one before it."""
    links, total = [], 0.0
    for token in tokens:
        bits = None if token.logprob is None else -token.logprob / math.log(2)
        total += bits or 0.0
        probability = None if token.logprob is None else math.exp(token.logprob)
        rivals = [Rival(text, math.exp(value)) for text, value in token.top_logprobs]
        links.append(Link(_shown(token), token.id, probability, bits, total, rivals))
    judged = [token for token in tokens if token.logprob is not None]
    if not judged:
        raise InputError("The text is a single token, and nothing comes before it. Type some more.", param="text")
    count_bytes = sum(len(token.text.encode()) for token in judged)
    return ChainResult(
        links, len(judged), total, 2 ** (total / len(judged)), total / max(1, count_bytes), origin, model_id
    )


@dataclass(frozen=True)
class Contrast:
    """Two texts that begin and end alike: the words between in each, with their surprise in bits, and the surprise of
    what follows them, which is the same text in both."""

    first: str
    second: str
    first_bits: float
    second_bits: float
    after_first_bits: float
    after_second_bits: float
    after: str


def contrast(first: ChainResult, second: ChainResult) -> Contrast | None:
    """Where a changed text is more surprising; None where both are the same."""
    one, other = first.links, second.links
    before = _alike(one, other)
    if before == len(one) == len(other):
        return None
    after = _alike(one[before:][::-1], other[before:][::-1])
    changed = [links[before : len(links) - after] for links in (one, other)]
    ends = [links[len(links) - after :] for links in (one, other)]
    texts = ["".join(link.text for link in links).strip() for links in (*changed, ends[0])]
    bits = [sum(link.surprise_bits or 0.0 for link in links) for links in (*changed, *ends)]
    return Contrast(texts[0], texts[1], bits[0], bits[1], bits[2], bits[3], texts[2])


def _alike(one: Sequence[Link], other: Sequence[Link]) -> int:
    """How many tokens are the same at the beginning."""
    pairs = zip(one, other, strict=False)
    return next(
        (place for place, (a, b) in enumerate(pairs) if (a.id, a.text) != (b.id, b.text)), min(len(one), len(other))
    )


def _shown(token: Token) -> str:
    """A token's text; its bytes where they are a part of a character."""
    return token.text if token.raw is None else bytes_as_text(token.raw)


VIEW = View(
    id="explore/chain", title=Text("Chain of words"), summary=Text("How likely each word is after those before it."),
    icon="link", architectures=frozenset({"causal", "seq2seq"}), default_model="smollm2-135m-instruct",
    needs=frozenset({"score", "score_translation"}), request_type=ChainRequest, result_type=ChainResult, stream=stream,
    samples=(ChainRequest("The cat sat on the mat because it was tired."),),
)  # fmt: skip
