"""Classifiers and readers on the CPU by CTranslate2, from an int8 copy of the weights; torch is never imported.

A row's numbers depend on nobody else in its batch: a batch holds rows of one length, and the last layers, in float32,
take one row at a time.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import ctranslate2
import numpy as np
from ctranslate2 import StorageView
from safetensors.numpy import load_file

from engine.backends.abilities import able
from engine.backends.cores import threads_for
from engine.backends.ct2.conversion import HEAD, OUTLINE, read_copy
from engine.backends.ct2.plain_tokenizer import PlainTokenizer
from engine.backends.encoding import Array, EncoderJobs, Encodings, Piece
from engine.backends.memory import free_caches
from engine.backends.protocol import Job

if TYPE_CHECKING:
    from engine.catalogue.models import Model
    from engine.settings import Settings

CONCURRENCY = 2
"""Batches at once, each with its share of the threads."""
BATCH = 64
BATCH_TOKENS = 1024
"""Of one forward pass; more were no faster, and a stop waits for one pass."""
WORKING_BYTES = 64 * 2**20
TASKS = {"classification": "classify", "extraction": "extract"}
HIDDEN: dict[str, Callable[[Array], Array]] = {"tanh": np.tanh, "relu": lambda values: np.maximum(values, 0)}


class CTranslate2Encoder:
    """One classifier or reader. Raises DamagedCopyError."""

    device, dtype = "cpu", "int8"
    batch = BATCH

    def __init__(self, model: Model, folder: Path, settings: Settings) -> None:
        threads = threads_for("transformers", settings)
        self.title, self.concurrency = model.title, min(CONCURRENCY, threads)
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(self.concurrency, "encoder")
        with read_copy(folder, model.title) as copy:
            outline = json.loads((copy / OUTLINE).read_text(encoding="utf-8"))
            self.task = TASKS[outline["architecture"]]
            self.tasks = frozenset({self.task})
            self.context_tokens = min(settings.context_tokens, outline["positions"])
            self._tokenizer = PlainTokenizer(folder / "tokenizer.json", outline["input_names"])
            self._head = load_file(copy / HEAD)
            config = SimpleNamespace(**outline["config"])
            config.id2label = {int(index): name for index, name in config.id2label.items()}
            self._encoder: Any = ctranslate2.Encoder(
                str(copy),
                compute_type="default",
                inter_threads=self.concurrency,
                intra_threads=threads // self.concurrency,
            )
            self.memory_bytes = (copy / "model.bin").stat().st_size + WORKING_BYTES
        self._takes_types = config.model_type == "bert"
        task = Encodings(self.title, self._tokenizer, config, self.context_tokens).tasks[self.task]
        self._jobs = EncoderJobs(self.title, task, self._forward, BATCH_TOKENS, 1.0, self._lock, self._pool.map)

    def run(self, jobs: Sequence[Job]) -> None:
        """Work on jobs of one task until each is finished or failed."""
        self._jobs.run(able(jobs, self.title, self.tasks))

    def count_tokens(self, text: str) -> int:
        """Tokens of the text without special ones; from any thread."""
        with self._lock:
            return len(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def close(self) -> None:
        """Free the memory."""
        self._pool.shutdown()
        self._encoder = self._jobs = None  # type: ignore[assignment]
        free_caches()

    def _forward(self, pieces: list[Piece]) -> list[Array]:
        ids = np.array([piece.ids for piece in pieces], dtype=np.int32)
        lengths = np.full(len(pieces), ids.shape[1], dtype=np.int32)
        types = [piece.types or [0] * ids.shape[1] for piece in pieces] if self._takes_types else None
        output = self._encoder.forward_batch(StorageView.from_array(ids), StorageView.from_array(lengths), types)
        states = np.asarray(output.last_hidden_state)
        if self.task == "extract":
            return [self._layer("out", row).T for row in states]
        return [self._classify(row[0]) for row in states]

    def _classify(self, state: Array) -> Array:
        for name, activation in HIDDEN.items():
            if f"{name}.weight" in self._head:
                state = activation(self._layer(name, state))
        return self._layer("out", state)

    def _layer(self, name: str, states: Array) -> Array:
        return np.asarray(states @ self._head[f"{name}.weight"].T + self._head[f"{name}.bias"])
