"""Any checkpoint that `transformers` knows, on CPU, CUDA or MPS: batches of similar lengths, one forward or many.

It turns jobs into batches and hands out results; how a task is computed is in `encoding`, `generation` and `decoding`.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from engine.backends.abilities import able
from engine.backends.cores import threads_for
from engine.backends.encoding import Array, EncoderJobs, Encodings, Piece
from engine.backends.gguf import read_header
from engine.backends.memory import free_caches, keep_freed_memory
from engine.backends.protocol import Job
from engine.backends.pytorch import TASKS, packed
from engine.backends.pytorch.continuous import ContinuousBatch, PausingStepper, try_continuous
from engine.backends.pytorch.decoding import CausalStepper, Row, Seq2SeqStepper, Stepper, decode
from engine.backends.pytorch.devices import choose_device, choose_dtype, module_bytes
from engine.backends.pytorch.forwards import FORWARDS, Inputs, accepts
from engine.backends.pytorch.generation import RowMaker, working_bytes
from engine.backends.pytorch.gguf_conversion import converted
from engine.backends.pytorch.loading import count_tokens, load_module, load_tokenizer, positions
from engine.backends.pytorch.looking import Looks
from engine.backends.pytorch.shared import Base, base_of
from engine.backends.pytorch.sharing import SharedStepper, Sharing
from engine.errors import UnsupportedError
from engine.inspections import Look, Origin

if TYPE_CHECKING:
    from engine.catalogue.models import Model
    from engine.settings import Settings

ENCODER_BATCH = {"cpu": 32, "mps": 64, "cuda": 256}
SEQ2SEQ_BATCH = {"cpu": 32, "mps": 32, "cuda": 64}
BATCH_TOKENS = {"cpu": 4096, "mps": 16384, "cuda": 65536}
"""Tokens of one forward pass at most, padding included."""
MIN_FILL, SEQ2SEQ_FILL = 0.7, 0.3
"""Share of real tokens in a batch. Padding costs less where most of the work is done token by token, and a second
batch would wait for the first one's last token; a decoder's rows are never parted for it."""
MOST_BATCHES, SEQ2SEQ_BATCHES = 4, 2
"""At once, a step in turn each: whoever comes waits for none of them, and long prompts take half. A step of a second
batch costs as much as one of the first, so that sentences, which wait for few steps, have no more than two."""
CONTINUOUS_CONCURRENCY = 64
"""Answers in the running batch at once; more wait in the line."""
TOKENIZER_SHARE = 18
"""Memory of a tokenizer over its file's size."""
FILL_SHARE = 8
"""A masked model's logits are as wide as its vocabulary, so its batches are this much smaller."""


class TransformersBackend:
    """One model of any architecture. `is_continuous` forces or forbids continuous batching, which is else for CUDA;
    `base` is the folder of the encoder that a head is put on, where its own folder holds no more than that.

    Raises NotFoundError, InputError, UnsupportedError or MemoryShortError when it cannot be loaded.
    """

    concurrency, takes_turns = 1, True
    _continuous: ContinuousBatch | None = None
    _sharing: Sharing | None = None
    _rows: Any = None
    _base: Base | None = None

    def __init__(
        self,
        model: Model,
        path: Path,
        settings: Settings,
        is_continuous: bool | None = None,
        base: Path | None = None,
    ) -> None:
        self.title, self.tasks = model.title, TASKS[model.architecture]
        torch.set_num_threads(threads_for("transformers", settings))
        keep_freed_memory()
        device = choose_device(settings)
        dtype = choose_dtype(settings, device)
        folder = converted(model.title, path) if path.is_file() else path
        self._read_tokenizer(model, base or folder, is_shared=base is not None)
        self.module: Any = load_module(model, folder, device, dtype, base)
        self.device, self.dtype = device.type, str(dtype).removeprefix("torch.")
        self.context_tokens = positions(self.module.config, self.tokenizer, settings.context_tokens)
        if "generate" in self.tasks:
            self._prepare_generation(settings, is_continuous)
        else:
            self.batch = ENCODER_BATCH[self.device]
            shared = packed.table_bytes(self.module) if base else 0
            self._own_bytes = working_bytes(module_bytes(self.module) - shared)
            self._own_bytes += 0 if base else _tokenizer_bytes(folder)
            if self._base:
                self._base.bytes_held = shared + _tokenizer_bytes(base or folder)
        self._encoders = self._prepare_encoding(folder)
        origin = Origin(self.dtype, read_header(path).dtype if path.is_file() else "")
        self._looks = Looks(
            model.title, self.module, self.tokenizer, self.context_tokens, origin, self._lock, self._rows
        )

    def _read_tokenizer(self, model: Model, folder: Path, *, is_shared: bool) -> None:
        """A tokenizer of its own, or that of a base which others may use too."""
        if not is_shared:
            self.tokenizer, self._lock = load_tokenizer(model.title, folder), threading.Lock()
            return
        self._base = base_of(folder, self, lambda: load_tokenizer(model.title, folder))
        self.tokenizer, self._lock = self._base.tokenizer, self._base.lock

    @property
    def memory_bytes(self) -> int:
        """Memory it holds, with its share of what several models hold together."""
        return self._own_bytes + (self._base.share() if self._base else 0)

    def _prepare_encoding(self, folder: Path) -> dict[str, EncoderJobs]:
        """What works on each task but to write."""
        if "generate" in self.tasks and not self.tokenizer.is_fast:
            self.tasks -= {"embed", "score"}
        tasks = self.tasks & FORWARDS.keys()
        if tasks and not self.tokenizer.is_fast:
            raise UnsupportedError(
                "{model} has a tokenizer that cannot say where its tokens lie in a text. Choose another model.",
                param="model", model=self.title,
            )  # fmt: skip
        self.context_tokens = min(self.context_tokens, _pooling_window(folder) or self.context_tokens)
        config = self.module.config
        candidates = (config.pad_token_id, self.tokenizer.pad_token_id, self.tokenizer.eos_token_id, 0)
        self._pad_id = config.pad_token_id = next(id for id in candidates if id is not None)
        self._mask_id = self.tokenizer.mask_token_id if "fill" in tasks else 0
        self._takes_types = accepts(self.module, "token_type_ids")
        encodings = Encodings(self.title, self.tokenizer, config, self.context_tokens)
        return {
            task: EncoderJobs(
                self.title, encodings.tasks[task], partial(self._forward, task),
                BATCH_TOKENS[self.device] // (FILL_SHARE if task == "fill" else 1), MIN_FILL, self._lock,
            )
            for task in tasks
        }  # fmt: skip

    def _prepare_generation(self, settings: Settings, is_continuous: bool | None) -> None:
        is_seq2seq = bool(self.module.config.is_encoder_decoder)
        self.concurrency = min(SEQ2SEQ_BATCHES if is_seq2seq else MOST_BATCHES, settings.slots)
        self.batch = SEQ2SEQ_BATCH[self.device] if is_seq2seq else settings.slots // self.concurrency
        self._row_tokens = BATCH_TOKENS[self.device] if is_seq2seq else self.batch * self.context_tokens
        self._row_fill = SEQ2SEQ_FILL if is_seq2seq else 0.0
        self._rows = RowMaker(self.title, self.module, self.tokenizer, self.context_tokens, self._lock, is_seq2seq)
        rows = self.batch * self.concurrency
        self._own_bytes = self._rows.working_bytes(module_bytes(self.module), rows, self.module.dtype.itemsize)
        self._stepper: Any = Seq2SeqStepper if is_seq2seq else CausalStepper
        if not is_seq2seq and (self.device == "cuda" if is_continuous is None else is_continuous):
            self._start_continuous(settings.is_public)
        self._sharing = Sharing(self.module) if self._continuous is None else None

    def _start_continuous(self, is_public: bool) -> None:
        ending = self._rows.ending
        if ending.rules is not None:
            return
        about = self.module, CONTINUOUS_CONCURRENCY, self.context_tokens, frozenset(ending.end_ids), is_public
        self._continuous = try_continuous(lambda: ContinuousBatch(*about))
        if self._continuous is not None:
            self.concurrency, self.batch, self.takes_turns = CONTINUOUS_CONCURRENCY, 1, False
            self._own_bytes += self._continuous.memory_bytes

    def run(self, jobs: Sequence[Job]) -> None:
        """Work on jobs of one task until each is finished or failed."""
        mine = able(jobs, self.title, self.tasks)
        looks = [job for job in mine if isinstance(job.request, Look) or getattr(job.request, "rivals", False)]
        mine = [job for job in mine if job not in looks]
        with torch.inference_mode():
            self._look(looks)
            if not mine:
                return
            task = mine[0].request.task
            if task == "generate":
                self._rows.run(mine, self._row_tokens, self._row_fill, self._decode)
            else:
                self._encoders[task].run(mine)

    def count_tokens(self, text: str) -> int:
        """Tokens of the text without special ones; from any thread."""
        with self._lock:
            return count_tokens(self.tokenizer, text)

    def close(self) -> None:
        """Free the memory."""
        if self._continuous is not None:
            self._continuous.close()
            self._continuous = None
        self.module = self.tokenizer = self._rows = self._encoders = self._looks = None  # type: ignore[assignment]
        if self._base:
            self._base.users.discard(self)
            self._base = None
        free_caches()

    def _look(self, jobs: Sequence[Job]) -> None:
        if jobs:
            with self._alone():
                self._looks.run(jobs)

    def _alone(self) -> AbstractContextManager[None]:
        """Around a use of the module between the steps of those who write."""
        if self._continuous is not None:
            return self._continuous.pause()
        return self._sharing.line if self._sharing is not None else nullcontext()

    def _decode(self, rows: list[Row]) -> None:
        stepper: Any = self._stepper(self.module, self._rows.pad_id)
        if self._continuous is not None:
            if all(row.request.top_logprobs == 0 and not row.sampling.is_counting for row in rows):
                for row in rows:
                    self._continuous.generate(row)
                return
            self._step(PausingStepper(stepper, self._continuous), rows)
        elif self._sharing is not None:
            with SharedStepper(stepper, self._sharing) as shared:
                self._step(shared, rows)
        else:
            self._step(stepper, rows)

    def _step(self, stepper: Stepper, rows: list[Row]) -> None:
        decode(stepper, rows, self._rows.ending, self._rows.token_text)

    def _forward(self, task: str, pieces: list[Piece]) -> list[Array]:
        with self._alone():
            return FORWARDS[task](self.module, self._inputs(pieces), self._mask_id)

    def _inputs(self, pieces: Sequence[Piece]) -> Inputs:
        width = max(len(piece.ids) for piece in pieces)
        inputs = {
            "input_ids": [piece.ids + [self._pad_id] * (width - len(piece.ids)) for piece in pieces],
            "attention_mask": [[1] * len(piece.ids) + [0] * (width - len(piece.ids)) for piece in pieces],
        }
        if pieces[0].types is not None and self._takes_types:
            inputs["token_type_ids"] = [(piece.types or []) + [0] * (width - len(piece.ids)) for piece in pieces]
        return {name: torch.tensor(rows, device=self.module.device) for name, rows in inputs.items()}


def _tokenizer_bytes(folder: Path) -> int:
    """Memory of a tokenizer: of 250,000 pieces 300 MB, more than the layers of a small encoder."""
    file = folder / "tokenizer.json"
    return TOKENIZER_SHARE * file.stat().st_size if file.is_file() else 0


def _pooling_window(folder: Path) -> int | None:
    """The length that a sentence embedder was trained on, from the file that sentence-transformers keeps it in."""
    try:
        return int(json.loads((folder / "sentence_bert_config.json").read_text())["max_seq_length"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
