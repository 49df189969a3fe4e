"""The engine: asks the store for weights, keeps models within the memory budget, and streams everybody's work.

The queue and the threads of one model are in `worker`, the rules of turns and eviction in `scheduling`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from engine.backends import loader as backends
from engine.backends.protocol import Backend
from engine.catalogue.models import Catalogue, Model
from engine.errors import ConflictError, MemoryShortError, NotReadyError, PeopleError
from engine.requests import Event, Request, resolved
from engine.serving.access import check
from engine.serving.identity import identify
from engine.serving.protocol import Caller, EngineStatus, Priority
from engine.serving.scheduling import Resident, choose_evictions
from engine.serving.worker import Ticket, Worker
from engine.serving.wrapper import Streaming
from engine.settings import Settings, expected_device
from engine.sizes import size_in_words

Load = Callable[[Model, Path, Settings], Backend]
Find = Callable[[str], Path]
"""Where a model's weights are; raises a PeopleError where they are not there."""


class LocalEngine(Streaming):
    """The engine that works in this process."""

    def __init__(self, settings: Settings, catalogue: Catalogue, path: Find, load: Load = backends.load) -> None:
        self.settings, self.catalogue = settings, catalogue
        self._path = path
        self._load = load
        self._workers: dict[str, Worker] = {}
        self._lock = threading.Condition()

    def stream_all(
        self, model_id: str, requests: Sequence[Request], caller: Caller, *, deadline_seconds: float | None = None
    ) -> Iterator[tuple[int, Event]]:
        """Work on many requests at once; see the protocol."""
        worker, tickets = self._submit(model_id, requests, deadline_seconds, caller.priority)
        try:
            for index, ticket in enumerate(tickets):
                for event in worker.events(ticket):
                    yield index, event
        finally:
            for ticket in tickets:
                ticket.cancel()

    def load(self, model_id: str, caller: Caller) -> None:
        """Begin to load a model before anybody asks for it; returns at once."""
        self._submit(model_id, [], None, caller.priority)

    def count_tokens(self, model_id: str, text: str) -> int | None:
        """Tokens of the text for that model, or None while it is not loaded."""
        worker = self._workers.get(model_id)
        backend = worker.backend if worker else None
        return backend.count_tokens(text) if backend else None

    def is_loaded(self, model_id: str) -> bool:
        """Whether the model is in memory or being read into it."""
        return self._alive(model_id) is not None

    def weights(self, model_id: str) -> str | None:
        """The weights in memory, else those on the disk; see the protocol."""
        with suppress(PeopleError):
            worker, model = self._alive(model_id), self.catalogue.find(model_id)
            return worker.weights if worker else identify(model, self._path(model.id))
        return None

    @property
    def is_busy(self) -> bool:
        """Whether any model is at work, wanted or being loaded."""
        return any(worker.is_busy for worker in list(self._workers.values()))

    def unload(self, model_id: str, caller: Caller) -> None:
        """Free an idle model's memory; see the protocol."""
        check(caller, "unload")
        with self._lock:
            worker = self._workers.get(model_id)
            if worker and worker.is_busy:
                raise ConflictError("{title} is at work. Wait until it is idle, then unload it.", title=worker.title)
            self._workers.pop(model_id, None)
        if worker:
            worker.close()

    def status(self) -> EngineStatus:
        """What is loaded and how it does."""
        models = tuple(worker.status() for worker in list(self._workers.values()))
        device = next((model.device for model in models if model.device), expected_device(self.settings.device))
        used = sum(resident.memory_bytes for resident in self._residents())
        return EngineStatus(device, self.settings.memory_bytes, used, models)

    def close(self) -> None:
        """Cancel everything and free all models."""
        with self._lock:
            workers, self._workers = list(self._workers.values()), {}
        for worker in workers:
            worker.close()

    def _submit(
        self, model_id: str, requests: Sequence[Request], deadline_seconds: float | None, priority: Priority
    ) -> tuple[Worker, list[Ticket]]:
        model, longest = self.catalogue.find(model_id), self.settings.deadline_seconds
        requests = [resolved(request) for request in requests]  # before a model is loaded for what cannot act
        with self._lock:
            worker = self._alive(model.id) or self._new_worker(model)
            return worker, worker.submit(requests, min(deadline_seconds or longest, longest), priority)

    def _alive(self, model_id: str) -> Worker | None:
        """The worker that has the model or is about to."""
        worker = self._workers.get(model_id)
        return worker if worker and worker.state in ("loading", "ready") else None

    def _new_worker(self, model: Model) -> Worker:
        path = self._path(model.id)
        if model.memory_bytes > self.settings.memory_bytes:
            raise MemoryShortError(
                "{title} needs {needed} of memory; the budget is {budget}. Choose a smaller model, or raise "
                "PARLANCE_MEMORY_BYTES.",
                param="model",
                title=model.title,
                needed=size_in_words(model.memory_bytes),
                budget=size_in_words(self.settings.memory_bytes),
            )
        worker = Worker(
            model.id,
            model.title,
            model.memory_bytes,
            self.settings.queue_length,
            lambda: self._read(model, path, worker),
        )
        worker.weights = identify(model, path)
        self._workers[model.id] = worker
        worker.start()
        return worker

    def _read(self, model: Model, path: Path, worker: Worker) -> Backend:
        """Load within the budget: idle models make room, busy ones are waited for while somebody wants this one."""
        with self._lock:
            while (evicted := self._evictions(model)) is None:
                if not worker.is_wanted:
                    raise NotReadyError(
                        "Other models are at work and leave no memory for {title}. Try again in a minute.",
                        retry_seconds=30,
                        title=model.title,
                    )
                self._lock.wait(0.2)
            worker.has_memory = True
        self._evict(evicted)
        try:
            backend = self._load(model, path, self.settings)
        except MemoryShortError:
            self._evict([other.id for other in self._residents(model.id) if not other.is_busy])
            backend = self._load(model, path, self.settings)
        if identify(model, path) != worker.weights:
            worker.weights = None  # replaced meanwhile, and nobody knows which of them were read
        return backend

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
