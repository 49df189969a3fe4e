"""Why this answer: what each word and sentence of a text adds to one answer over another."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from engine.explain.view import View, origin_in_words
from engine.explain.view import stream as streamed
from engine.inspections import Attribute, Attribution, Method, Piece
from engine.messages import Text
from engine.requests import Event, clean_text
from engine.serving.protocol import Caller, Engine

MOST_ERROR = 0.05
"""Share of the change from which the page says that the parts do not add up."""
_SENTENCE_END = re.compile(r"[.!?\u3002\uff01\uff1f][\"')\u201d]*$")


@dataclass(frozen=True)
class WhyRequest:
    """A text, an answer (the next word, or a label; empty is the likeliest) and another that it could have been."""

    text: str
    answer: str = ""
    rival: str = ""
    method: Method = "gradients"
    model: str | None = None


@dataclass(frozen=True)
class Part:
    """A word or a sentence, and what it adds to the difference of the two answers' logits."""

    text: str
    value: float


@dataclass(frozen=True)
class WhyResult:
    """The difference is `before` for a text without content and `after` for this one; the parts add up to the change
    but for the share `error`, and `is_exact` says whether that is little."""

    tokens: list[Part]
    words: list[Part]
    sentences: list[Part]
    answer: str
    rival: str
    before: float
    after: float
    error: float
    is_exact: bool
    origin: Text
    model: str


def stream(engine: Engine, request: WhyRequest, caller: Caller) -> Iterator[Event]:
    """Yields events, a text `3/120 ` for each pass of the model; the last one's result is a WhyResult."""
    model = VIEW.choose(engine.catalogue, request.model)
    text = clean_text(request.text, "text", engine.settings.max_text_characters)

    def make(found: Attribution) -> WhyResult:
        tokens = [
            Part(piece.text, float(value)) for piece, value in zip(found.tokens, found.parts.values(), strict=True)
        ]
        words = fold(found.tokens, tokens)
        origin = origin_in_words(found.origin)
        return WhyResult(
            tokens, words, sentences(words), found.answer, found.rival, found.before, found.after, found.error,
            found.error <= MOST_ERROR, origin, model.id,
        )  # fmt: skip

    asked = Attribute(text, request.answer, request.rival, request.method)
    yield from streamed(engine, model, asked, caller, make)


def fold(pieces: Sequence[Piece], parts: Sequence[Part]) -> list[Part]:
    """Tokens joined to words: a word goes on until a token begins with a space; special tokens stand alone."""
    words: list[Part] = []
    is_open = False
    for piece, part in zip(pieces, parts, strict=True):
        if is_open and not piece.is_special and not part.text[:1].isspace():
            words[-1] = Part(words[-1].text + part.text, words[-1].value + part.value)
        else:
            words.append(Part(part.text.strip() or part.text, part.value))
        is_open = not piece.is_special
    return words


def sentences(words: Sequence[Part]) -> list[Part]:
    """Words joined to sentences, by the marks that end them."""
    found: list[Part] = []
    is_open = False
    for word in words:
        if is_open:
            found[-1] = Part(f"{found[-1].text} {word.text}", found[-1].value + word.value)
        else:
            found.append(word)
        is_open = not _SENTENCE_END.search(word.text)
    return found


VIEW = View(
    id="explore/why", title=Text("Why this answer?"), summary=Text("Which words speak for an answer."),
    icon="psychology_alt", architectures=frozenset({"causal", "classification"}), default_model="sentiment-minilm",
    needs=frozenset({"attribute"}), request_type=WhyRequest, result_type=WhyResult, stream=stream,
    samples=(WhyRequest("The food was good, but the waiter was rude."),),
)  # fmt: skip
