"""Causal models on CUDA: everybody's requests in one running batch over a paged cache, by transformers' own manager.

Each thread submits one request and reads its tokens; how a token is chosen for each is in `continuous_sampling`.
"""

from __future__ import annotations

import itertools
import logging
import queue
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from importlib.util import find_spec
from typing import Any

from torch import Tensor
from transformers import GenerationConfig
from transformers.generation.configuration_utils import ContinuousBatchingConfig

from engine.backends.memory import free_caches, is_memory_error
from engine.backends.pytorch.continuous_sampling import SeenTokens, arguments, processors
from engine.backends.pytorch.decoding import Row, Stepper
from engine.errors import NotReadyError

log = logging.getLogger(__name__)

PAGE_TOKENS = 64
"""Granularity of the cache."""
PREFILL_TOKENS = 1024
"""Most tokens of one forward pass; a longer prompt is read in pieces, so that others' streams do not stand still."""
SHARE_OF_FULL = 4
"""The cache holds this part of what all requests could need; when it is full, the manager pauses the youngest."""
POLL_SECONDS = 0.02
"""How often a thread that waits for a token looks whether its owner left."""
TRIAL_SECONDS = 120
"""How long the first token may take, kernels being compiled for it."""


class Died(Exception):
    """The manager's loop ended under a request; what the row has so far is kept."""


class _Loop:
    """One life of the manager: its thread, and the queues of those who wait for its outputs."""

    def __init__(self, manager: Any) -> None:
        self.manager = manager
        self._queues: dict[str, queue.SimpleQueue[Any]] = {}
        manager.start()
        threading.Thread(target=self._dispatch, name="continuous-batch", daemon=True).start()

    def submit(self, name: str, ids: list[int], **options: Any) -> queue.SimpleQueue[Any]:
        """Begin a request; the queue brings its outputs, and None when the loop ends. Raises Died when it has ended."""
        waiting = self._queues[name] = queue.SimpleQueue()
        accepted = self.manager.add_request(ids, request_id=name, streaming=True, **options)
        if accepted is None or not self.manager.is_running():
            raise Died("the loop had ended")
        return waiting

    def forget(self, name: str, is_over: bool) -> None:
        """Nobody waits for this request any more."""
        self._queues.pop(name, None)
        if not is_over:
            self.manager.cancel_request(name)

    def stop(self) -> None:
        """End the thread and free the cache."""
        self.manager.stop(block=True, timeout=10, hard_stop=True)
        self.manager.destroy()
        self.manager.background_thread_status.fatal_error = None  # its traceback would keep the step's tensors
        free_caches()

    def _dispatch(self) -> None:
        """Hand out what comes. The manager's thread would keep the process alive, so it ends with the main thread."""
        while self.manager.is_running() and threading.main_thread().is_alive():
            output = self.manager.get_result(timeout=0.1)
            if output is not None and (waiting := self._queues.get(output.request_id)) is not None:
                waiting.put(output)
        if not threading.main_thread().is_alive():
            self.manager.stop(block=False, hard_stop=True)
        for waiting in list(self._queues.values()):
            waiting.put(None)


class ContinuousBatch:
    """The running batch of one model. `generate` may be called from `concurrency` threads at once.

    Raises whatever the manager raises when the model cannot be run this way.
    """

    def __init__(
        self, module: Any, concurrency: int, context_tokens: int, end_ids: frozenset[int], is_public: bool
    ) -> None:
        self._is_public = is_public
        self._module, self._concurrency, self._context_tokens = module, concurrency, context_tokens
        self._end_ids = sorted(end_ids)
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._slots: queue.SimpleQueue[int] = queue.SimpleQueue()
        for slot in range(concurrency):
            self._slots.put(slot)
        self._is_closed = False
        self._loop = self._start()
        self._try()

    def generate(self, row: Row) -> None:
        """Work on a row until it is done. Should memory run out under it, it is tried once more where it stopped.

        Raises MemoryError, NotReadyError, or RuntimeError for a fault of the manager.
        """
        slot = self._slots.get()
        try:
            if not self._attempt(row, slot):
                self._attempt(row, slot, is_last=True)
        finally:
            self._slots.put(slot)

    def pause(self) -> AbstractContextManager[None]:
        """Hold the loop between two of its steps, to use the module meanwhile."""
        return self._loop.manager.pause()

    def close(self) -> None:
        """Stop the loop and free its cache."""
        self._is_closed = True
        self._loop.stop()

    def _start(self) -> _Loop:
        tokens = max(self._concurrency * self._context_tokens // SHARE_OF_FULL, 2 * self._context_tokens)
        settings = ContinuousBatchingConfig(
            page_size=PAGE_TOKENS,
            num_blocks=-(-tokens // PAGE_TOKENS),
            max_batch_tokens=PREFILL_TOKENS,
            max_requests_per_batch=self._concurrency,
            # The penalty needs each token before the next is drawn, so one step ends before the next is prepared.
            use_async_batching=False,
            use_cuda_graph=False,
            auto_switch_to_flash=find_spec("flash_attn") is not None,
            allow_block_sharing=not self._is_public,  # else one's answer is quicker where another asked alike
        )
        greedy = GenerationConfig(do_sample=False, eos_token_id=self._end_ids or None, pad_token_id=0)
        manager = self._module.init_continuous_batching(greedy, settings)
        vocabulary = int(self._module.get_output_embeddings().weight.shape[0])
        seen = SeenTokens(self._concurrency, vocabulary, self._module.device)
        manager.logit_processor = processors(seen, vocabulary)
        self._step_bytes = seen.memory_bytes
        return _Loop(manager)

    @property
    def memory_bytes(self) -> int:
        """The cache, and the working space of one step."""
        return int(self._loop.manager.batch_processor.cache.cache_tensor.nbytes) + self._step_bytes

    def _revive(self, dead: _Loop) -> None:
        """Begin anew with an empty cache; the first thread that notices does it."""
        with self._lock:
            if self._is_closed:
                raise NotReadyError("The model was unloaded. Try again.", retry_seconds=1)
            if self._loop is dead:
                log.warning("continuous batching stopped and is started again")
                dead.stop()
                self._loop = self._start()

    def _attempt(self, row: Row, slot: int, is_last: bool = False) -> bool:
        """True when the row is done, False when the loop ended under it and a new one is there."""
        loop, name, is_over = self._loop, f"row-{next(self._numbers)}", False
        try:
            waiting = loop.submit(
                name,
                row.prefix + row.ids,
                max_new_tokens=row.sampling.max_new_tokens - len(row.ids),
                eos_token_id=self._end_ids or -1,
                **arguments(row.sampling, slot),
            )
            is_over = self._follow(row, waiting)
        except Died as error:
            is_over = True
            self._revive(loop)
            if is_last:
                raise (MemoryError if "memory" in str(error) else RuntimeError)(str(error)) from error
            return False
        finally:
            loop.forget(name, is_over)
        return True

    def _follow(self, row: Row, waiting: queue.SimpleQueue[Any]) -> bool:
        """Take tokens until the row is done. True when the manager is done with it, too."""
        known, is_over = len(row.ids), False
        while not row.check():
            try:
                output = waiting.get(timeout=POLL_SECONDS)
            except queue.Empty:
                continue
            if output is None or output.error is not None:
                raise Died(output.error if output else "the loop ended")
            is_over = output.is_finished()
            for id in output.generated_tokens[len(row.ids) - known :]:
                if row.is_done or row.take(id, None, None, id in self._end_ids):
                    break
        return is_over

    def _try(self) -> None:
        """One token for real: a model that the paged cache cannot serve must not be found out by a visitor."""
        try:
            waiting = self._loop.submit("trial", [1, 2, 3], max_new_tokens=1, eos_token_id=-1)
            output = waiting.get(timeout=TRIAL_SECONDS)
            if output is None or output.error is not None:
                raise RuntimeError(output.error if output else "the loop ended")
        except BaseException:
            self.close()
            raise
        finally:
            self._loop.forget("trial", is_over=True)


class PausingStepper:
    """A stepper that shares its module with a running batch: each forward pass happens between two of its steps."""

    def __init__(self, stepper: Stepper, batch: ContinuousBatch) -> None:
        self._stepper, self._batch = stepper, batch

    def start(self, rows: Sequence[Row]) -> Tensor | None:
        with self._batch.pause():
            return self._stepper.start(rows)

    def step(self, ids: Sequence[int]) -> Tensor:
        with self._batch.pause():
            return self._stepper.step(ids)

    def keep(self, places: Sequence[int]) -> None:
        self._stepper.keep(places)


def try_continuous(make: Callable[[], ContinuousBatch]) -> ContinuousBatch | None:
    """The running batch, or None where the model cannot be served by it (its own loop then does)."""
    try:
        return make()
    except Exception as error:  # the manager raises whatever the model lacks
        if is_memory_error(error):
            raise
        log.warning("continuous batching is off for this model: %s", error)
        free_caches()
        return None
