"""Tasks that one forward pass answers: classify, embed, align, fill, extract, score. Long texts are cut into pieces.

A task says how a request becomes pieces and how the pieces' outputs become its result; `EncoderJobs` makes batches of
the pieces of many jobs, which a runtime computes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.backends.aligning import aligned
from engine.backends.batches import group_by_length, work_in_halves
from engine.backends.memory import memory_short
from engine.backends.protocol import Job
from engine.backends.spans import Window, best_spans, make_windows
from engine.backends.texts import Detokenizer
from engine.errors import (
    InputError,
    PeopleError,
    TooLargeError,
    UnsupportedError,
    before_its_turn,
    not_between,
)
from engine.inspections import Align, Score
from engine.requests import (
    Classification,
    Classify,
    Embed,
    Embedding,
    Extract,
    Extraction,
    Fill,
    Filling,
    Scoring,
    Token,
)

Array = NDArray[np.float32]
STRIDE_SHARE = 0.25
"""How much of a window the next one repeats."""
EXTRACTION_WINDOW, EXTRACTION_STRIDE = 384, 128
"""Tokens, where config.json does not name `window_tokens` and `window_stride`."""


@dataclass(frozen=True)
class Piece:
    """One row of a batch."""

    ids: list[int]
    types: list[int] | None = None
    window: Window | None = None
    spans: tuple[tuple[int, int], ...] = ()
    """Of each token in its text, where that is wanted."""


@dataclass(frozen=True)
class Ability:
    """`cut` makes pieces of a request, `join` makes its result of the pieces and what the model gave for each.

    That is, to classify: logits (labels,). To embed: the sum of the states (hidden,). To fill: logits at each mask
    (masks, vocabulary). To extract: logits of start and end (2, tokens). To score: log-probabilities (tokens - 1,).
    To align: states in the middle (tokens, hidden).
    """

    cut: Callable[[Any], list[Piece]]
    join: Callable[[Any, list[Piece], list[Array]], Any]


MAX_TOP_K, MAX_ANSWER_TOKENS = 100, 512


class Encodings:
    """The tasks of one encoder. `window` is its longest input in tokens, special ones included."""

    def __init__(self, title: str, tokenizer: Any, config: Any, window: int) -> None:
        self.title, self.tokenizer, self.config, self.window = title, tokenizer, config, window
        self.tasks = {
            "classify": Ability(self._cut_text, self._classification),
            "embed": Ability(self._cut_text, self._embedding),
            "fill": Ability(self._cut_masked, self._filling),
            "extract": Ability(self._cut_passage, self._extraction),
            "score": Ability(self._cut_nothing, self._scoring),
            "align_texts": Ability(self._cut_both, self._alignment),
        }

    def _cut_text(self, request: Classify | Embed) -> list[Piece]:
        prefix = getattr(self.config, "prefixes", {}).get(request.kind, "") if isinstance(request, Embed) else ""
        encoded = self.tokenizer(
            prefix + request.text,
            truncation=True,
            max_length=self.window,
            stride=int(self.window * STRIDE_SHARE),
            return_overflowing_tokens=True,
        )
        if not encoded["input_ids"][0]:
            raise InputError("{field} is empty. Type some text first.", param="text", field="text")
        types = encoded.get("token_type_ids") or [None] * len(encoded["input_ids"])
        return [Piece(ids, kinds) for ids, kinds in zip(encoded["input_ids"], types, strict=True)]

    def _classification(self, request: Classify, pieces: list[Piece], outputs: list[Array]) -> Classification:
        values = _weighted(pieces, [self._probabilities(logits) for logits in outputs])
        names = [str(self.config.id2label[index]) for index in range(self.config.num_labels)]
        if len(names) == 1:
            names = [names[0], f"not {names[0]}"]
        scores = {name: float(value) for name, value in zip(names, values, strict=True)}
        return Classification(max(scores, key=lambda name: scores[name]), scores, self._chosen(scores))

    def _chosen(self, scores: dict[str, float]) -> tuple[str, ...]:
        """The labels that are said of several; the one nearest to its threshold where none reaches it."""
        limits = getattr(self.config, "thresholds", None)
        if not limits:
            return ()
        shares = {name: scores[name] / max(limit, 1e-6) for name, limit in zip(scores, limits, strict=True)}
        over = [name for name in scores if shares[name] >= 1] or [max(shares, key=lambda name: shares[name])]
        return tuple(sorted(over, key=lambda name: -scores[name]))

    def _probabilities(self, logits: Array) -> NDArray[np.float64]:
        """Softmax over the labels; each label by itself where several can be true; yes and no where there is one."""
        kind = getattr(self.config, "problem_type", None)
        if kind == "regression":
            raise UnsupportedError(
                "{title} predicts a number, not labels. Choose a classifier.", param="model", title=self.title
            )
        values = logits.astype(np.float64)
        if len(values) == 1:
            yes = 1 / (1 + np.exp(-values))
            return np.concatenate([yes, 1 - yes])
        if kind == "multi_label_classification":
            return np.asarray(1 / (1 + np.exp(-values)))
        return _softmax(values)

    def _embedding(self, request: Embed, pieces: list[Piece], outputs: list[Array]) -> Embedding:
        total = np.sum(outputs, axis=0, dtype=np.float64)
        vector = total / max(float(np.linalg.norm(total)), 1e-12)
        return Embedding(np.asarray(vector).tolist(), sum(len(piece.ids) for piece in pieces))

    def _cut_masked(self, request: Fill) -> list[Piece]:
        _check("top_k", request.top_k, MAX_TOP_K)
        mask = self.tokenizer.mask_token
        text = request.text.replace("[MASK]", mask).replace("<mask>", mask)
        for token in set(self.tokenizer.all_special_tokens) - {mask}:
            text = text.replace(token, f"{token[0]} {token[1:]}")  # what people typed is text
        encoded = self.tokenizer(text, split_special_tokens=False)
        ids = encoded["input_ids"]
        if self.tokenizer.mask_token_id not in ids:
            raise InputError("text has no mask. Write [MASK] where a word is to be guessed.", param="text")
        self._check_length(len(ids))
        return [Piece(ids, encoded.get("token_type_ids"))]

    def _cut_nothing(self, request: Score) -> list[Piece]:
        ids = list(self.tokenizer(request.text, verbose=False)["input_ids"])
        if not ids:
            raise InputError("{field} is empty. Type some text first.", param="text", field="text")
        self._check_length(len(ids))
        return [Piece(ids)]

    def _cut_both(self, request: Align) -> list[Piece]:
        """The translation and its source, each as a query: they are compared with each other. Nothing is told of what
        goes beyond the window."""
        prefix = getattr(self.config, "prefixes", {}).get("query", "")
        return [self._placed(request.text, prefix), self._placed(request.source, prefix)]

    def _placed(self, text: str, prefix: str) -> Piece:
        encoded = self.tokenizer(prefix + text, truncation=True, max_length=self.window, return_offsets_mapping=True)
        spans = tuple(
            (max(0, start - len(prefix)), max(0, end - len(prefix))) for start, end in encoded["offset_mapping"]
        )
        return Piece(encoded["input_ids"], encoded.get("token_type_ids"), spans=spans)

    def _alignment(self, request: Align, pieces: list[Piece], outputs: list[Array]) -> Scoring:
        target, source = ((piece.ids, piece.spans, states) for piece, states in zip(pieces, outputs, strict=True))
        return aligned(request.text, request.source, target, source)

    def _check_length(self, tokens: int) -> None:
        if tokens > self.window:
            raise TooLargeError(
                "{field} has {tokens:,} tokens; {title} takes at most {limit:,}. Shorten it.",
                param="text", field="text", tokens=tokens, title=self.title, limit=self.window,
            )  # fmt: skip

    def _scoring(self, request: Score, pieces: list[Piece], outputs: list[Array]) -> Scoring:
        texts = Detokenizer(self._decode).pieces(pieces[0].ids)
        logprobs = [None, *outputs[0].tolist()]
        return Scoring(tuple(map(Token, texts, pieces[0].ids, logprobs)))

    def _decode(self, ids: list[int]) -> str:
        return str(self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def _filling(self, request: Fill, pieces: list[Piece], outputs: list[Array]) -> Filling:
        return Filling(tuple(self._likeliest(_softmax(logits), request.top_k) for logits in outputs[0]))

    def _likeliest(self, probabilities: NDArray[np.float64], count: int) -> tuple[tuple[str, float], ...]:
        best = np.argsort(-probabilities, kind="stable")[:count]
        return tuple((self.tokenizer.decode([int(id)]).strip(), float(probabilities[id])) for id in best)

    def _cut_passage(self, request: Extract) -> list[Piece]:
        _check("top_k", request.top_k, MAX_TOP_K)
        _check("max_answer_tokens", request.max_answer_tokens, MAX_ANSWER_TOKENS)
        length = min(getattr(self.config, "window_tokens", EXTRACTION_WINDOW), self.window)
        stride = min(getattr(self.config, "window_stride", EXTRACTION_STRIDE), length // 3)
        windows = make_windows(self.tokenizer, request.question, request.passage, length, stride)
        return [Piece(window.input_ids, window.token_type_ids, window) for window in windows]

    def _extraction(self, request: Extract, pieces: list[Piece], outputs: list[Array]) -> Extraction:
        spans, null_score = best_spans(
            request.passage,
            [piece.window for piece in pieces if piece.window is not None],
            [output[0] for output in outputs],
            [output[1] for output in outputs],
            top_k=request.top_k,
            max_answer_tokens=request.max_answer_tokens,
        )
        return Extraction(tuple(spans), null_score, float(getattr(self.config, "null_threshold", 0.5)))


def _check(name: str, value: int, limit: int) -> None:
    if not 1 <= value <= limit:
        raise not_between(name, 1, limit)


def _weighted(pieces: Sequence[Piece], values: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Mean, weighted by the pieces' lengths."""
    return np.average(np.stack(values), axis=0, weights=[len(piece.ids) for piece in pieces])


def _softmax(values: NDArray[Any]) -> NDArray[np.float64]:
    powers = np.exp(values.astype(np.float64) - values.max())
    return np.asarray(powers / powers.sum())


class _Work:
    """One job: its pieces, and the outputs that are there."""

    def __init__(self, job: Job, pieces: list[Piece]) -> None:
        self.job, self.pieces = job, pieces
        self.outputs: list[Array | None] = [None] * len(pieces)
        self.is_done = False

    def fail(self, error: Exception) -> None:
        if not self.is_done:
            self.is_done = True
            self.job.fail(error)


_Place = tuple[_Work, int]


class EncoderJobs:
    """Works on jobs of one task: their pieces in batches of similar lengths through `forward`, an output for each.

    A batch has at most `batch_tokens`, padding included, and the share `min_fill` of it is no padding. Batches go
    through `map_batches`, which may work on several at once. The lock guards the tokenizer, which has a state.
    """

    def __init__(
        self,
        title: str,
        task: Ability,
        forward: Callable[[list[Piece]], list[Array]],
        batch_tokens: int,
        min_fill: float,
        lock: threading.Lock,
        map_batches: Callable[[Callable[[list[_Place]], None], list[list[_Place]]], Iterable[None]] = map,
    ) -> None:
        self._title, self._task, self._forward = title, task, forward
        self._batch_tokens, self._min_fill, self._map = batch_tokens, min_fill, map_batches
        self._lock = lock

    def run(self, jobs: Sequence[Job]) -> None:
        """Ability on the jobs until each is finished or failed."""
        works = [work for job in jobs if (work := self._cut(job)) is not None]
        places = [(work, index) for work in works for index in range(len(work.pieces))]
        lengths = [len(work.pieces[index].ids) for work, index in places]
        groups = group_by_length(lengths, self._batch_tokens, self._min_fill)
        for _ in self._map(self._halve, [[places[index] for index in group] for group in groups]):
            pass

    def _cut(self, job: Job) -> _Work | None:
        try:
            with self._lock:
                return _Work(job, self._task.cut(job.request))
        except PeopleError as error:
            job.fail(error)
            return None

    def _halve(self, places: list[_Place]) -> None:
        work_in_halves(places, self._compute, lambda place: place[0].fail(memory_short(self._title)))

    def _compute(self, places: list[_Place]) -> None:
        """One forward pass; jobs whose last piece this was are finished."""
        for work, _ in places:
            if work.job.is_cancelled:
                work.fail(before_its_turn())
        places = [(work, index) for work, index in places if not work.is_done]
        if not places:
            return
        outputs = self._forward([work.pieces[index] for work, index in places])
        for (work, index), output in zip(places, outputs, strict=True):
            work.outputs[index] = output
            self._finish(work)

    def _finish(self, work: _Work) -> None:
        outputs = [output for output in work.outputs if output is not None]
        if work.is_done or len(outputs) < len(work.pieces):
            return
        try:
            result = self._task.join(work.job.request, work.pieces, outputs)
        except PeopleError as error:
            work.fail(error)
        else:
            work.is_done = True
            work.job.finish(result)
