"""A backend that is no model, with the real interface: what unit tests run the engine on."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from engine.backends.attention import attention
from engine.backends.protocol import Runtime
from engine.inspections import Attribution, LensReading, NextToken, Origin, Piece, Tokens, pack
from engine.requests import Alignment, Classification, Embedding, Extraction, Filling, Generation, Scoring, Span, Token
from engine.serving.protocol import Caller


def fake_runtime(id: str = "fake", speed: int = 1, tasks: frozenset[str] | None = None) -> Runtime:
    """A runtime that serves every model; a test's own `load` makes the backend."""
    return Runtime(
        id, speed, lambda *about: FakeBackend.tasks if tasks is None else tasks, lambda *about: FakeBackend()
    )


ORIGIN = Origin("float32", "q4_1")


def _words(text: str) -> tuple[Piece, ...]:
    return tuple(Piece(word, place) for place, word in enumerate(text.split(" ")))


HOST, VISITOR = Caller("host", "host"), Caller("visitor", "visitor")


class FakeBackend:
    """Works like a model without being one: echoes words, judges by the word "good", finds the question's last word.

    `step_seconds` paces generation, `fail_with` raises from `run`, `seen` keeps every request in order of arrival.
    """

    tasks = frozenset(
        {"generate", "sample", "penalties", "top_logprobs", "classify", "extract", "fill", "embed", "score"}
        | {"rivals", "tokenize", "next", "attend", "attend_translation", "lens", "attribute"}
    )

    def __init__(
        self, concurrency: int = 2, batch: int = 4, step_seconds: float = 0.0, memory_bytes: int = 1000
    ) -> None:
        self.concurrency, self.batch = concurrency, batch
        self.step_seconds, self.memory_bytes = step_seconds, memory_bytes
        self.device, self.dtype, self.context_tokens = "cpu", "float32", 512
        self.fail_with: Exception | None = None
        self.seen: list[Any] = []
        self.batches: list[int] = []
        self.is_closed = False
        self.steps = 0

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    def close(self) -> None:
        self.is_closed = True

    def run(self, jobs: Sequence[Any]) -> None:
        self.batches.append(len(jobs))
        self.seen += [job.request for job in jobs]
        if self.fail_with is not None:
            raise self.fail_with
        for job in jobs:
            getattr(self, "_" + job.request.task)(job)

    def _generate(self, job: Any) -> None:
        request = job.request
        prompt = request.prompt or (request.messages[-1].content if request.messages else "")
        words = prompt.split() or ["nothing"]
        settings = request.sampling.as_dict()
        text, reason, count, tokens = "", "length", 0, list[Token]()
        for index in range(request.sampling.max_new_tokens):
            if job.is_cancelled:
                reason = "cancelled"
                break
            piece = f"{words[index % len(words)]} "
            token = Token(piece, index, -0.5, (("rival", -1.5),)) if request.top_logprobs else None
            tokens += [token] if token else []
            job.emit(piece, token)
            text, count = text + piece, count + 1
            self.steps += 1
            time.sleep(self.step_seconds)
        job.finish(
            Generation(text, reason, len(words), count, settings, 0.01, 100.0, -0.5, tuple(tokens))  # type: ignore[arg-type]
        )

    def _classify(self, job: Any) -> None:
        is_good = "good" in job.request.text
        scores = {"negative": 0.05 if is_good else 0.9, "neutral": 0.05, "positive": 0.9 if is_good else 0.05}
        job.finish(Classification(max(scores, key=lambda k: scores[k]), scores))

    def _extract(self, job: Any) -> None:
        word = job.request.question.rstrip("?").split()[-1]
        start = job.request.passage.find(word)
        spans = () if start < 0 else (Span(word, start, start + len(word), 0.8),)
        job.finish(Extraction(spans, 0.1 if spans else 0.95, 0.5))

    def _fill(self, job: Any) -> None:
        job.finish(Filling(((("word", 0.7), ("other", 0.3)),)))

    def _score(self, job: Any) -> None:
        words = job.request.text.split(" ")
        rivals = (("rival", -0.5),)[: job.request.rivals]
        tokens = tuple(Token(word, index, -1.0 if index else None, rivals) for index, word in enumerate(words))
        job.finish(Scoring(tokens, origin=ORIGIN))

    def _align_texts(self, job: Any) -> None:
        """Word by word; for who adds it to the tasks."""
        rows, ends, spans = job.request.text.split(" "), 0, []
        for word in job.request.source.split(" "):
            spans.append((ends, ends + len(word)))
            ends += len(word) + 1
        tokens = tuple(Token(f" {word}" if place else word, place) for place, word in enumerate(rows))
        weights = tuple((*(float(place == other) for other in range(len(spans))), 0.0) for place in range(len(rows)))
        job.finish(Scoring(tokens, Alignment(tuple(spans), weights)))

    def _tokenize(self, job: Any) -> None:
        job.finish(Tokens((Piece("<s>", 0, True), *_words(job.request.text)), 1000))

    def _next(self, job: Any) -> None:
        logits = np.log(np.arange(1, 9))  # the odds of token n are n + 1
        best = tuple(Piece(f" word{id}", id) for id in range(7, -1, -1))
        asked = job.request
        context = (*_words(asked.text), *(Piece(f" word{id}", id) for id in asked.begun))
        first = asked.lot.seed + len(asked.begun) if asked.lot else 0
        drawn = tuple(best[(first + time) % 8] for time in range(asked.lot.draws if asked.lot else 0))
        job.finish(NextToken(context, pack(logits, ("token",)), best, ORIGIN, drawn))

    def _attend(self, job: Any) -> None:
        rows = _words(job.request.text)
        columns = _words(job.request.source) if job.request.source else rows
        weights = np.ones((2, 3, len(rows), len(columns)))
        weights = weights if job.request.source else np.tril(weights)
        job.finish(attention(rows, columns, weights / weights.sum(-1, keepdims=True), job.request.layer, ORIGIN))

    def _attribute(self, job: Any) -> None:
        tokens = _words(job.request.text)
        parts = pack(np.linspace(-1, 1, len(tokens)), ("token",))
        job.finish(Attribution(tokens, parts, "positive", "negative", 0.0, 2.0, 0.5, ORIGIN))

    def _lens(self, job: Any) -> None:
        tokens, top = _words(job.request.text), job.request.top
        shape = (3, len(tokens), top)
        words = tuple(tuple(tuple(f"w{rank}" for rank in range(top)) for _ in tokens) for _ in range(3))
        axes = ("layer", "token", "rank")
        ids, logprobs = pack(np.zeros(shape), axes, "int32"), pack(np.full(shape, -1.0), axes)
        for layer in range(2):
            job.emit(f"{layer + 1}/3 ")
        changes = pack(np.ones((2, len(tokens))), ("layer", "token"))
        job.finish(LensReading(tokens, words, ids, logprobs, changes, ORIGIN))

    def _embed(self, job: Any) -> None:
        job.finish(Embedding([1.0, 0.0], len(job.request.text.split())))
