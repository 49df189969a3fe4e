"""Greedy answers of encoder-decoders on the CPU by CTranslate2, from an int8 copy of the weights.

All else, and everything until the copy is there, is answered by the torch module as in `transformers`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ctranslate2

from engine.backends.ctranslate2_conversion import Conversion, find_copy, give_up
from engine.backends.decoding import Row
from engine.backends.generation import Restrictions
from engine.backends.loading import Outline, load_outline
from engine.backends.memory import free_caches
from engine.backends.protocol import Job
from engine.backends.threads import threads_for
from engine.backends.transformers import WORKING_SHARE, TransformersBackend
from engine.errors import PeopleError

if TYPE_CHECKING:
    from engine.catalogue.models import Model
    from engine.settings import Settings

log = logging.getLogger(__name__)

LANES = 2
"""Batches at once, each with its share of the threads: they need not wait for each other at every layer."""
BATCH = 64
"""Rows of a lane at once."""


class CTranslate2Backend(TransformersBackend):
    """One encoder-decoder. Errors of loading are those of TransformersBackend.

    The module is in memory while there is no copy yet, and from the first request on that only it can answer:
    temperature, rivals of tokens.
    """

    def __init__(self, model: Model, path: Path, settings: Settings) -> None:
        threads = threads_for("transformers", settings)
        self.lanes = min(LANES, threads)
        self._threads = max(1, threads // self.lanes)
        self._folder = path
        self._translator: Any = None
        self._copy: Path | None = None
        self._conversion: Conversion | None = None
        self._module_lock = threading.Lock()
        super().__init__(model, path, settings)
        self.dtype = "int8" if self._translator else self.dtype
        self.batch = BATCH

    def run(self, jobs: Sequence[Job]) -> None:
        """Work on jobs of one task until each is finished or failed."""
        if self._conversion is not None and self._conversion.is_over:
            self._change()
        super().run(jobs)

    def close(self) -> None:
        """Free the memory, and end a conversion that is under way."""
        if self._conversion is not None:
            self._conversion.close()
        self._translator = self._conversion = None
        super().close()

    def _open(self) -> Any:
        self._translator = self._read_copy()
        if self._translator is not None:
            return load_outline(self.title, self._folder)
        module = self._read_module()
        try:
            self._conversion = Conversion(self._folder)
        except OSError as error:
            log.warning("%s is not converted for CTranslate2 (%s); torch answers", self.title, error)
        return module

    def _read_copy(self) -> Any:
        self._copy = copy = find_copy(self._folder)
        if copy is None:
            return None
        try:
            return ctranslate2.Translator(
                str(copy), compute_type="default", inter_threads=self.lanes, intra_threads=self._threads
            )
        except (RuntimeError, ValueError) as error:
            give_up(copy, self.title, error)
            return None

    def _change(self) -> None:
        """The conversion is over: the copy takes the module's place, or the module stays."""
        with self._module_lock:
            translator = self._read_copy() if self._conversion is not None else None
            self._conversion = None
            if translator is not None:
                self._replace_module(load_outline(self.title, self._folder), translator)
                self.dtype = "int8"
                free_caches()

    def _replace_module(self, module: Any, translator: Any) -> None:
        before = self._weights_bytes()
        self.module, self._translator = module, translator
        self.memory_bytes += int((self._weights_bytes() - before) * WORKING_SHARE)

    def _weights_bytes(self) -> int:
        size = (self._copy / "model.bin").stat().st_size if self._translator and self._copy else 0
        return size + (0 if isinstance(self.module, Outline) else super()._weights_bytes())

    def _decode(self, rows: list[Row]) -> None:
        groups: dict[float, list[Row]] = {}
        for row in rows if self._translator else []:
            if row.sampling.temperature == 0 and row.request.top_logprobs == 0 and not row.check():
                groups.setdefault(row.sampling.repetition_penalty, []).append(row)
        for penalty, group in groups.items():
            translate(self._translator, group, penalty, self._rows.restrictions, self._rows.ending.end_ids)
        left = [row for row in rows if not row.check()]
        if left:
            with self._module_lock:
                self._decode_by_torch(left)

    def _decode_by_torch(self, rows: list[Row]) -> None:
        if isinstance(self.module, Outline):
            try:
                self._replace_module(self._read_module(), self._translator)
            except PeopleError as error:
                for row in rows:
                    row.job.fail(error)
                return
        super()._decode(rows)


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
            no_repeat_ngram_size=restrictions.no_repeat_ngram_size,
            suppress_sequences=[_tokens(ids) for ids in restrictions.sequences] or None,
            min_decoding_length=min(longest, max(0, restrictions.min_length - 1)),  # without the start token
            max_decoding_length=longest,
            max_input_length=0,
            end_token=sorted(end_ids),
            return_scores=True,
            callback=take,
        )
        if penalty != 1:
            _score(translator, rows)
    finally:
        for row in rows:
            if row.is_held and row.is_done:
                row.hand_in()


def _score(translator: Any, rows: Sequence[Row]) -> None:
    """Give rows the log-probabilities that their tokens have without the penalty, which CTranslate2 mixes in."""
    targets = [_tokens(row.prefix + row.ids) for row in rows]
    scored = translator.score_batch([_tokens(row.source) for row in rows], targets, max_input_length=0)
    for row, one in zip(rows, scored, strict=True):
        row.logprobs = one.log_probs[len(row.prefix) - 1 :][: len(row.ids)]


def _tokens(ids: Sequence[int]) -> list[str]:
    return [str(id) for id in ids]
