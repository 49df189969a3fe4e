"""Answers of encoder-decoders on the CPU by CTranslate2, from an int8 copy of the weights: greedy ones in batches, and
by themselves those that tell what else could have come, or several answers."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ctranslate2
import numpy as np
import torch

from engine.backends.abilities import able
from engine.backends.cores import threads_for
from engine.backends.ct2.conversion import TASKS, read_copy
from engine.backends.memory import free_caches
from engine.backends.protocol import Job
from engine.backends.pytorch.decoding import Row, detail_of
from engine.backends.pytorch.generation import Restrictions, RowMaker
from engine.backends.pytorch.loading import load_outline, load_tokenizer, positions
from engine.requests import Alternative

if TYPE_CHECKING:
    from engine.catalogue.models import Model
    from engine.settings import Settings

CONCURRENCY = 2
"""Batches at once, each with its share of the threads: they need not wait for each other at every layer."""
BATCH = 64
"""Rows of one run."""
BATCH_TOKENS, MIN_FILL = 4096, 0.3
"""Tokens of the sources of one batch, and the share of them that is no padding."""


class CTranslate2Decoder:
    """One encoder-decoder. Raises DamagedCopyError, or InputError where its other files are damaged."""

    device, dtype = "cpu", "int8"
    tasks = TASKS["seq2seq"]
    batch = BATCH

    def __init__(self, model: Model, path: Path, settings: Settings) -> None:
        threads = threads_for("transformers", settings)
        self.title, self.concurrency = model.title, min(CONCURRENCY, threads)
        tokenizer, outline = load_tokenizer(model.title, path), load_outline(model.title, path)
        self.context_tokens = positions(outline.config, tokenizer, settings.context_tokens)
        self._rows = RowMaker(self.title, outline, tokenizer, self.context_tokens, threading.Lock(), is_seq2seq=True)
        with read_copy(path, model.title) as copy:
            self._translator: Any = ctranslate2.Translator(
                str(copy),
                compute_type="default",
                inter_threads=self.concurrency,
                intra_threads=max(1, threads // self.concurrency),
            )
            weights_bytes = (copy / "model.bin").stat().st_size
        self.memory_bytes = self._rows.working_bytes(weights_bytes, BATCH // 2, outline.dtype.itemsize)

    def run(self, jobs: Sequence[Job]) -> None:
        """Work on jobs of one task until each is finished or failed."""
        self._rows.run(able(jobs, self.title, self.tasks), BATCH_TOKENS, MIN_FILL, self._decode)

    def count_tokens(self, text: str) -> int:
        """Tokens of the text without special ones; from any thread."""
        return self._rows.count_tokens(text)

    def close(self) -> None:
        """Free the memory."""
        self._translator = self._rows = None  # type: ignore[assignment]
        free_caches()

    def _decode(self, rows: list[Row]) -> None:
        groups: dict[float, list[Row]] = {}
        for row in rows:
            if row.check():
                continue
            if row.request.alternatives:
                search(self._translator, row, self._rows)
            elif row.request.top_logprobs:
                tell_rivals(self._translator, row, self._rows)
            else:
                groups.setdefault(row.sampling.repetition_penalty, []).append(row)
        for penalty, group in groups.items():
            translate(self._translator, group, penalty, self._rows.restrictions, self._rows.ending.end_ids)


def translate(
    translator: Any, rows: Sequence[Row], penalty: float, restrictions: Restrictions, end_ids: Collection[int]
) -> None:
    """Greedy answers to all rows as one batch; each row ends, or is left, by itself.

    Log-probabilities are of the model's own distribution without the tokens that restrictions took out of it. The
    penalty counts the tokens that the answer was made to begin with, such as its language's.
    """
    starts = [row.prefix + row.ids for row in rows]

    def take(step: Any) -> bool:
        row = rows[step.batch_id]
        if row.check() or step.step + 1 < len(starts[step.batch_id]):  # given, not chosen
            return row.is_done
        return row.take(step.token_id, step.log_prob, None, step.token_id in end_ids) or row.check()

    for row in rows:
        row.is_held = penalty != 1
    longest = max(
        len(start) - 1 + row.sampling.max_new_tokens - len(row.ids) for start, row in zip(starts, rows, strict=True)
    )
    try:
        translator.translate_batch(
            [_tokens(row.source) for row in rows],
            [_tokens(start) for start in starts],
            beam_size=1,
            repetition_penalty=penalty,
            callback=take,
            **_rules(restrictions, end_ids, longest),
        )
        if penalty != 1:
            _score(translator, rows)
    finally:
        for row in rows:
            if row.is_held and row.is_done:
                row.hand_in()


def tell_rivals(translator: Any, row: Row, maker: RowMaker) -> None:
    """A greedy answer with the tokens that it did not choose; the logits of all its places are kept until its end."""
    found, start = _alone(
        translator, row, maker, beam_size=1, return_logits_vocab=True, callback=lambda step: row.job.is_cancelled
    )
    for token, view in zip(found.hypotheses[0][start:], found.logits[0][start:], strict=False):
        id, logprobs = int(token), torch.from_numpy(np.array(view)).log_softmax(-1)
        detail = detail_of(logprobs, id, row.request.top_logprobs, maker.token_text)
        if row.check() or row.take(id, float(logprobs[id]), detail, id in maker.ending.end_ids):
            return
    _end(row)


def search(translator: Any, row: Row, maker: RowMaker) -> None:
    """The best answer of a beam and the next best ones, by mean log-probability. Nothing stops it before its end."""
    size = row.request.alternatives + 1
    found, start = _alone(translator, row, maker, beam_size=size, num_hypotheses=size)
    texts = [maker.decode([int(token) for token in ids[max(0, start - len(row.ids)) :]]) for ids in found.hypotheses]
    row.alternatives = tuple(map(Alternative, texts[1:], found.scores[1:]))
    row.logprobs = [found.scores[0]]
    for token in found.hypotheses[0][start:]:
        if row.check() or row.take(int(token), None, None, int(token) in maker.ending.end_ids):
            return
    _end(row)


def _alone(translator: Any, row: Row, maker: RowMaker, **options: Any) -> tuple[Any, int]:
    """What comes of one row, and at which place of it the new tokens begin."""
    start = row.prefix + row.ids
    longest = len(start) - 1 + row.sampling.max_new_tokens - len(row.ids)
    (found,) = translator.translate_batch(
        [_tokens(row.source)],
        [_tokens(start)],
        repetition_penalty=row.sampling.repetition_penalty,
        return_end_token=True,
        **_rules(maker.restrictions, maker.ending.end_ids, longest),
        **options,
    )
    return found, len(start) - 1


def _end(row: Row) -> None:
    """The end of an answer that no token ended."""
    if not row.check():
        row.finish("length")


def _rules(restrictions: Restrictions, end_ids: Collection[int], longest: int) -> dict[str, Any]:
    """What all answers of a model are held to; `longest` counts what an answer is made to begin with."""
    return {
        "no_repeat_ngram_size": restrictions.no_repeat_ngram_size,
        "suppress_sequences": [_tokens(ids) for ids in restrictions.sequences] or None,
        "min_decoding_length": min(longest, max(0, restrictions.min_length - 1)),  # without the start token
        "max_decoding_length": longest,
        "max_input_length": 0,
        "end_token": sorted(end_ids),
        "return_scores": True,
    }


def _score(translator: Any, rows: Sequence[Row]) -> None:
    """Give rows the log-probabilities that their tokens have without the penalty, which CTranslate2 mixes in."""
    targets = [_tokens(row.prefix + row.ids) for row in rows]
    scored = translator.score_batch([_tokens(row.source) for row in rows], targets, max_input_length=0)
    for row, one in zip(rows, scored, strict=True):
        row.logprobs = one.log_probs[len(row.prefix) - 1 :][: len(row.ids)]


def _tokens(ids: Sequence[int]) -> list[str]:
    return [str(id) for id in ids]
