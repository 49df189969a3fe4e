"""The engine: asks the store for weights, keeps models within the memory budget, and streams everybody's work.

Lines and threads of one model are in `worker`, the rules of turns and eviction in `scheduling`.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine import backends, tuned
from engine.backends import Backend
from engine.catalogue import Catalogue, Model, read_catalogue
from engine.errors import ConflictError, MemoryShortError, NotReadyError
from engine.requests import Event, Request, Result
from engine.scheduling import Resident, choose_evictions
from engine.settings import Settings, current
from engine.store import Store
from engine.worker import ModelStatus, Ticket, Worker

Load = Callable[[Model, Path, Settings], Backend]


@dataclass(frozen=True)
class EngineStatus:
    """The engine at one moment; sizes in bytes."""

    device: str
    budget_bytes: int
    used_bytes: int
    models: tuple[ModelStatus, ...]


class Engine:
    """One engine a process: pages, the HTTP API and evaluations all call this one."""

    def __init__(self, settings: Settings, catalogue: Catalogue, store: Store, load: Load = backends.load) -> None:
        self.settings, self.catalogue, self.store = settings, catalogue, store
        self._load = load
        self._workers: dict[str, Worker] = {}
        self._lock = threading.Condition()
        store.in_use = self.is_loaded

    def stream(self, model_id: str, request: Request, *, deadline_seconds: float | None = None) -> Iterator[Event]:
        """Work on one request; yields events, "done" last. Closing the generator cancels within one decoding step.

        Nothing is submitted before the first `next`. While the request waits, "queued" or "loading" comes several
        times a second; position 0 means that it is being worked on and has no text yet.
        Raises a PeopleError: unknown or missing model, full line, short memory, passed deadline, bad input.
        """
        worker, (ticket,) = self._submit(model_id, [request], deadline_seconds)
        yield from worker.events(ticket)

    def run(self, model_id: str, requests: Sequence[Request], *, deadline_seconds: float | None = None) -> list[Result]:
        """Work on many requests at once, in batches or slots as the backend has them; results in the order given."""
        order = sorted(range(len(requests)), key=lambda index: _length(requests[index]))
        events = self.stream_all(model_id, [requests[index] for index in order], deadline_seconds=deadline_seconds)
        results = {order[place]: event.result for place, event in events if event.kind == "done"}
        return [results[index] for index in range(len(requests))]

    def stream_all(
        self, model_id: str, requests: Sequence[Request], *, deadline_seconds: float | None = None
    ) -> Iterator[tuple[int, Event]]:
        """Work on many requests at once and yield (index, event) in the order given, one request after the other.

        Later ones run meanwhile, as far as the model has slots. Closing cancels all.
        """
        worker, tickets = self._submit(model_id, requests, deadline_seconds)
        try:
            for index, ticket in enumerate(tickets):
                for event in worker.events(ticket):
                    yield index, event
        finally:
            for ticket in tickets:
                ticket.cancel()

    def preload(self, model_id: str) -> None:
        """Begin to load a model before anybody asks for it; returns at once."""
        self._submit(model_id, [], None)

    def count_tokens(self, model_id: str, text: str) -> int | None:
        """Tokens of the text for that model, or None while it is not loaded."""
        worker = self._workers.get(model_id)
        backend = worker.backend if worker else None
        return backend.count_tokens(text) if backend else None

    def is_loaded(self, model_id: str) -> bool:
        """Whether the model is in memory or being read into it."""
        worker = self._workers.get(model_id)
        return worker is not None and worker.state in ("loading", "ready")

    @property
    def is_busy(self) -> bool:
        """Whether any model is at work, wanted or being loaded."""
        return any(worker.is_busy for worker in list(self._workers.values()))

    def unload(self, model_id: str) -> None:
        """Free an idle model's memory. Raises ConflictError while somebody's work is on it."""
        with self._lock:
            worker = self._workers.get(model_id)
            if worker is None:
                return
            if worker.is_busy:
                raise ConflictError(f"{worker.title} is at work. Wait until it is idle, then unload it.")
            del self._workers[model_id]
        worker.close()

    def delete(self, model_id: str) -> None:
        """Unload an idle model and delete its files from the cache."""
        self.unload(model_id)
        self.store.delete(model_id)

    def status(self) -> EngineStatus:
        """What is loaded and how it does."""
        models = tuple(worker.status() for worker in list(self._workers.values()))
        device = next((model.device for model in models if model.device), self._expected_device())
        used = sum(resident.memory_bytes for resident in self._residents())
        return EngineStatus(device, self.settings.memory_bytes, used, models)

    def close(self) -> None:
        """Cancel everything, stop fetching, free all models."""
        self.store.close()
        with self._lock:
            workers, self._workers = list(self._workers.values()), {}
        for worker in workers:
            worker.close()

    def _expected_device(self) -> str:
        """The likely device, told without importing torch (which takes seconds)."""
        if self.settings.device != "auto":
            return self.settings.device
        if Path("/dev/nvidiactl").exists():
            return "cuda"
        return "mps" if sys.platform == "darwin" else "cpu"

    def _submit(
        self, model_id: str, requests: Sequence[Request], deadline_seconds: float | None
    ) -> tuple[Worker, list[Ticket]]:
        model = self.catalogue.find(model_id)
        for request in requests:
            if request.task == "generate":
                request.sampling.checked()  # before a model is loaded for settings that cannot act
        seconds = min(deadline_seconds or self.settings.deadline_seconds, self.settings.deadline_seconds)
        with self._lock:
            worker = self._workers.get(model.id)
            if worker is None or worker.state in ("failed", "closed"):
                worker = self._new_worker(model)
            return worker, worker.submit(requests, seconds)

    def _new_worker(self, model: Model) -> Worker:
        path = self.store.path(model.id)
        if model.memory_bytes > self.settings.memory_bytes:
            raise MemoryShortError(
                f"{model.title} needs {_gigabytes(model.memory_bytes)} of memory; the budget is "
                f"{_gigabytes(self.settings.memory_bytes)}. Choose a smaller model, or raise PARLANCE_MEMORY_BYTES.",
                param="model",
            )
        worker = Worker(
            model.id,
            model.title,
            model.memory_bytes,
            self.settings.queue_length,
            lambda: self._read(model, path, worker),
        )
        self._workers[model.id] = worker
        worker.start()
        return worker

    def _read(self, model: Model, path: Path, worker: Worker) -> Backend:
        """Load within the budget: idle models make room, busy ones are waited for while somebody wants this one."""
        with self._lock:
            while (evicted := self._evictions(model)) is None:
                if not worker.is_wanted:
                    raise NotReadyError(
                        f"Other models are at work and leave no memory for {model.title}. Try again in a minute.",
                        retry_seconds=30,
                    )
                self._lock.wait(0.2)
            worker.has_memory = True
        self._evict(evicted)
        try:
            return self._load(model, path, self.settings)
        except MemoryShortError:
            self._evict([other.id for other in self._residents(model.id) if not other.is_busy])
            return self._load(model, path, self.settings)

    def _evictions(self, model: Model) -> list[str] | None:
        return choose_evictions(self._residents(model.id), model.memory_bytes, self.settings.memory_bytes)

    def _evict(self, model_ids: Sequence[str]) -> None:
        with self._lock:
            idle = [self._workers.pop(id) for id in model_ids if id in self._workers and not self._workers[id].is_busy]
        for worker in idle:
            worker.close()

    def _residents(self, newcomer_id: str = "") -> list[Resident]:
        return [
            Resident(worker.id, worker.memory_bytes, worker.last_used, worker.is_busy)
            for worker in list(self._workers.values())
            if worker.id != newcomer_id and worker.has_memory and worker.state in ("loading", "ready")
        ]


def _length(request: Request) -> int:
    """Characters of the input, to put similar lengths into one batch."""
    return sum(len(getattr(request, name, "")) for name in ("text", "prompt", "passage"))


def _gigabytes(size_bytes: int) -> str:
    return f"{size_bytes / 2**30:.1f} GB"


_engine: Engine | None = None
_engine_lock = threading.Lock()


def get_engine() -> Engine:
    """The process's engine, made at the first call."""
    global _engine
    with _engine_lock:
        if _engine is None:
            catalogue = read_catalogue()
            settings = current()
            for model in tuned.models(settings.runs_folder):
                catalogue.add(model)
            _engine = Engine(settings, catalogue, Store(settings, catalogue))
        return _engine
