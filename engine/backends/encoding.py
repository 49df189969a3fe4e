"""Tasks that one forward pass answers: classify, embed, fill, extract. Long texts are cut into overlapping pieces.

A task says how a request becomes pieces and how the pieces' outputs become its result; the batches are made elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.backends.spans import Window, best_spans, make_windows
from engine.errors import InputError, TooLargeError, UnsupportedError
from engine.requests import Answer, Classification, Classify, Embed, Embedding, Extract, Extraction, Fill, Filling

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


@dataclass(frozen=True)
class Task:
    """`cut` makes pieces of a request, `join` makes its result of them.

    `read` takes the model's output, ids and mask (rows, tokens), and returns an array for each row.
    """

    cut: Callable[[Any], list[Piece]]
    read: Callable[[Any, Tensor, Tensor], list[Array]]
    join: Callable[[Any, list[Piece], list[Array]], Any]


MAX_TOP_K, MAX_ANSWER_TOKENS = 100, 512


class Encodings:
    """The tasks of one encoder. `window` is its longest input in tokens, special ones included."""

    def __init__(self, title: str, tokenizer: Any, config: Any, window: int) -> None:
        self.title, self.tokenizer, self.config, self.window = title, tokenizer, config, window
        self.tasks = {
            "classify": Task(self._cut_text, _logits, self._classification),
            "embed": Task(self._cut_text, _sums, self._embedding),
            "fill": Task(self._cut_masked, self._mask_logits, self._filling),
            "extract": Task(self._cut_passage, _span_logits, self._extraction),
        }

    def _cut_text(self, request: Classify | Embed) -> list[Piece]:
        encoded = self.tokenizer(
            request.text,
            truncation=True,
            max_length=self.window,
            stride=int(self.window * STRIDE_SHARE),
            return_overflowing_tokens=True,
        )
        types = encoded.get("token_type_ids") or [None] * len(encoded["input_ids"])
        return [Piece(ids, kinds) for ids, kinds in zip(encoded["input_ids"], types, strict=True)]

    def _classification(self, request: Classify, pieces: list[Piece], outputs: list[Array]) -> Classification:
        values = _weighted(pieces, [self._probabilities(logits) for logits in outputs])
        names = [str(self.config.id2label[index]) for index in range(self.config.num_labels)]
        if len(names) == 1:
            names = [names[0], f"not {names[0]}"]
        scores = {name: float(value) for name, value in zip(names, values, strict=True)}
        return Classification(max(scores, key=lambda name: scores[name]), scores)

    def _probabilities(self, logits: Array) -> NDArray[np.float64]:
        """Softmax over the labels; each label by itself where several can be true; yes and no where there is one."""
        kind = getattr(self.config, "problem_type", None)
        if kind == "regression":
            raise UnsupportedError(f"{self.title} predicts a number, not labels. Choose a classifier.", param="model")
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
        return Embedding(np.asarray(vector).tolist())

    def _cut_masked(self, request: Fill) -> list[Piece]:
        _check("top_k", request.top_k, MAX_TOP_K)
        mask = self.tokenizer.mask_token
        text = request.text.replace("[MASK]", mask).replace("<mask>", mask)
        encoded = self.tokenizer(text)
        ids = encoded["input_ids"]
        if self.tokenizer.mask_token_id not in ids:
            raise InputError("text has no mask. Write [MASK] where a word is to be guessed.", param="text")
        if len(ids) > self.window:
            raise TooLargeError(
                f"text has {len(ids):,} tokens; {self.title} takes at most {self.window:,}. Shorten it.", param="text"
            )
        return [Piece(ids, encoded.get("token_type_ids"))]

    def _mask_logits(self, output: Any, ids: Tensor, mask: Tensor) -> list[Array]:
        places = ids == self.tokenizer.mask_token_id
        return [row[place].float().cpu().numpy() for row, place in zip(output.logits, places, strict=True)]

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
            [piece.window for piece in pieces if piece.window is not None],
            [output[0] for output in outputs],
            [output[1] for output in outputs],
            top_k=request.top_k,
            max_answer_tokens=request.max_answer_tokens,
        )
        answers = [Answer(request.passage[s.start : s.end], s.start, s.end, s.score) for s in spans]
        return Extraction(tuple(answers), null_score, float(getattr(self.config, "null_threshold", 0.5)))


def _check(name: str, value: int, limit: int) -> None:
    if not 1 <= value <= limit:
        raise InputError(f"{name} takes a number from 1 to {limit}.", param=name)


def _logits(output: Any, ids: Tensor, mask: Tensor) -> list[Array]:
    return list(output.logits.float().cpu().numpy())


def _sums(output: Any, ids: Tensor, mask: Tensor) -> list[Array]:
    """Sum over the tokens of a row: the mean of several rows weighs each token alike, and the norm goes anyway."""
    states = output.last_hidden_state.float() * mask[..., None]
    return list(states.sum(1).cpu().numpy())


def _span_logits(output: Any, ids: Tensor, mask: Tensor) -> list[Array]:
    both = torch.stack([output.start_logits, output.end_logits], 1).float().cpu().numpy()
    return [row[:, :length] for row, length in zip(both, mask.sum(1).tolist(), strict=True)]


def _weighted(pieces: Sequence[Piece], values: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Mean, weighted by the pieces' lengths."""
    return np.average(np.stack(values), axis=0, weights=[len(piece.ids) for piece in pieces])


def _softmax(values: NDArray[Any]) -> NDArray[np.float64]:
    powers = np.exp(values.astype(np.float64) - values.max())
    return np.asarray(powers / powers.sum())
