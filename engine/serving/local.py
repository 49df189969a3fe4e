"""The engine of this machine: chooses runtimes, keeps models within the memory budget, and streams everybody's work.

The queue and the threads of one model on one runtime are in `worker`, the rules of turns and eviction in `scheduling`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from engine.backends import loader
from engine.backends.abilities import unable
from engine.backends.protocol import Backend, Runtime
from engine.catalogue.models import Catalogue, Model
from engine.errors import ConflictError, MemoryShortError, NotReadyError, PeopleError, UnsupportedError
from engine.requests import Event, Request, needs, resolved
from engine.serving.access import check
from engine.serving.identity import identify
from engine.serving.protocol import Caller, EngineStatus
from engine.serving.scheduling import Resident, choose_evictions
from engine.serving.worker import Ticket, Worker
from engine.serving.wrapper import Streaming
from engine.settings import Settings, expected_device
from engine.sizes import size_in_words

Key = tuple[str, str]
"""Of a worker: the model's id and the runtime's."""
Find = Callable[[str], Path]
"""Where a model's weights are; raises a PeopleError where they are not there."""
Choose = Callable[[Model, Path, Settings], Sequence[Runtime]]
"""The runtimes that can serve the weights at a path now, fastest first."""
Load = Callable[[Model, Path, Settings, Runtime], Backend]

LOOK_SECONDS = 5.0
"""How long a worker is taken again before it is looked whether a faster runtime is ready by now."""
MEMORY_SECONDS = 1.0
"""From one look whether there is memory for a model to the next."""


class LocalEngine(Streaming):
    """The engine that works in this process."""

    def __init__(
        self,
        settings: Settings,
        catalogue: Catalogue,
        path: Find,
        *,
        runtimes: Choose = loader.runtimes_for,
        load: Load = loader.load,
    ) -> None:
        self.settings, self.catalogue = settings, catalogue
        self._path, self._runtimes, self._load = path, runtimes, load
        self._workers: dict[Key, Worker] = {}
        self._chosen: dict[tuple[str, frozenset[str]], tuple[Worker, float]] = {}
        """By model and what is needed of it: who did it last, and when that was looked up."""
        self._lock = threading.Condition()

    def stream_all(
        self, model_id: str, requests: Sequence[Request], caller: Caller, *, deadline_seconds: float | None = None
    ) -> Iterator[tuple[int, Event]]:
        """Work on many requests at once; see the protocol."""
        submitted = self._submit(model_id, requests, caller, deadline_seconds)
        try:
            for worker, ticket in submitted:
                worker.check(ticket)
            for index, (worker, ticket) in enumerate(submitted):
                for event in worker.events(ticket):
                    yield index, event
        finally:
            for _, ticket in submitted:
                ticket.cancel()

    def load(self, model_id: str, caller: Caller) -> None:
        """Begin to load a model before anybody asks for it; returns at once."""
        with self._lock:
            self._worker(self.catalogue.find(model_id), frozenset())

    def count_tokens(self, model_id: str, text: str) -> int | None:
        """Tokens of the text for that model, or None while it is not loaded."""
        backends = (worker.backend for worker in self._alive(model_id))
        return next((backend.count_tokens(text) for backend in backends if backend), None)

    def is_loaded(self, model_id: str) -> bool:
        """Whether the model is in memory or being read into it."""
        return bool(self._alive(model_id))

    def weights(self, model_id: str) -> str | None:
        """The weights in memory, else those on the disk; see the protocol."""
        with suppress(PeopleError):
            model, known = self.catalogue.find(model_id), {worker.weights for worker in self._alive(model_id)}
            known = known or {identify(model, self._path(model.id))}
            return known.pop() if len(known) == 1 else None
        return None

    @property
    def is_busy(self) -> bool:
        """Whether any model is at work, wanted or being loaded."""
        return any(worker.is_busy for worker in list(self._workers.values()))

    def unload(self, model_id: str, caller: Caller) -> None:
        """Free an idle model's memory; see the protocol."""
        check(caller, "unload")
        with self._lock:
            workers = [worker for worker in self._workers.values() if worker.id == model_id]
            for worker in workers:
                if worker.is_busy:
                    raise ConflictError(
                        "{title} is at work. Wait until it is idle, then unload it.", title=worker.title
                    )
            for worker in workers:
                del self._workers[worker.key]
        for worker in workers:
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
        self, model_id: str, requests: Sequence[Request], caller: Caller, deadline_seconds: float | None
    ) -> list[tuple[Worker, Ticket]]:
        """A ticket for each request, those of one runtime as one group in its queue."""
        model, longest = self.catalogue.find(model_id), self.settings.deadline_seconds
        seconds = min(deadline_seconds or longest, longest)
        requests = [resolved(request) for request in requests]  # before a model is loaded for what cannot act
        wanted = [needs(request) for request in requests]
        with self._lock:
            workers = {one: self._worker(model, one) for one in dict.fromkeys(wanted)}
            owners = [workers[one] for one in wanted]
            tickets: dict[int, Ticket] = {}
            for worker in dict.fromkeys(owners):
                places = [place for place, owner in enumerate(owners) if owner is worker]
                own = [requests[place] for place in places]
                group = worker.submit(own, seconds, caller)
                tickets |= zip(places, group, strict=True)
        return [(owner, tickets[place]) for place, owner in enumerate(owners)]

    def _alive(self, model_id: str) -> list[Worker]:
        """The workers that have the model or are about to."""
        return [worker for worker in list(self._workers.values()) if worker.id == model_id and worker.is_alive]

    def _worker(self, model: Model, wanted: frozenset[str]) -> Worker:
        """The worker with the fastest runtime that can do what is wanted."""
        worker, looked = self._chosen.get((model.id, wanted), (None, 0.0))
        if worker is None or not worker.is_alive:
            path = self._path(model.id)
            return self._take(model, wanted, path, self._runtime(model, path, wanted))
        if time.monotonic() - looked >= LOOK_SECONDS:
            self._chosen[model.id, wanted] = worker, time.monotonic()
            threading.Thread(target=self._look, args=(model, wanted, worker), daemon=True).start()
        return worker

    def _look(self, model: Model, wanted: frozenset[str], worker: Worker) -> None:
        """Take a faster runtime from here on where there is one. It reads files, for which nobody waits."""
        with suppress(PeopleError):  # what is in memory stays when its files go
            path = self._path(model.id)
            runtime = self._runtime(model, path, wanted)
            with self._lock:
                if self._workers.get(worker.key) is worker:  # else it was unloaded meanwhile
                    self._take(model, wanted, path, runtime)

    def _take(self, model: Model, wanted: frozenset[str], path: Path, runtime: Runtime) -> Worker:
        """The worker with that runtime, begun where there is none; slower ones that it replaces go."""
        known = self._workers.get((model.id, runtime.id))
        worker = known if known and known.is_alive else self._new_worker(model, path, runtime)
        self._chosen[model.id, wanted] = worker, time.monotonic()
        self._evict([other.key for other in self._alive(model.id) if worker.replaces(other)])
        return worker

    def _runtime(self, model: Model, path: Path, wanted: frozenset[str]) -> Runtime:
        tasks = {
            runtime: runtime.tasks(model, path, self.settings) for runtime in self._runtimes(model, path, self.settings)
        }
        for runtime, able in tasks.items():
            if wanted <= able:
                return runtime
        if not tasks:
            raise UnsupportedError(
                "Nothing here can run {title}. Choose another model.", param="model", title=model.title
            )
        able = frozenset[str]().union(*tasks.values())
        raise unable(model.title, able, (wanted - able) or wanted)

    def _new_worker(self, model: Model, path: Path, runtime: Runtime) -> Worker:
        if model.memory_bytes > self.settings.memory_bytes:
            raise MemoryShortError(
                "{title} needs {needed} of memory; the budget is {budget}. Choose a smaller model, or raise "
                "PARLANCE_MEMORY_BYTES.",
                param="model",
                title=model.title,
                needed=size_in_words(model.memory_bytes),
                budget=size_in_words(self.settings.memory_bytes),
            )
        worker = Worker(model, runtime, self.settings.queue_length, lambda: self._read(model, path, worker))
        worker.weights = identify(model, path)
        self._workers[worker.key] = worker
        worker.start()
        return worker

    def _read(self, model: Model, path: Path, worker: Worker) -> Backend:
        """Load as soon as there is memory for it; where the system has less than the budget, others make room too."""
        while True:
            self._wait_for_budget(worker)
            try:
                backend = self._load(model, path, self.settings, worker.runtime)
            except MemoryShortError:
                with self._lock:  # whoever asks for it stands in its queue by now
                    worker.has_memory = False  # two that wait for memory do not wait for each other
                    others = self._residents(worker)
                    idle = [other.key for other in others if not other.is_busy]
                    if not idle and not (others and worker.is_wanted):
                        raise
                self._evict(idle)
                time.sleep(0 if idle else MEMORY_SECONDS)
            else:
                break
        if identify(model, path) != worker.weights:
            worker.weights = None  # replaced meanwhile, and nobody knows which of them were read
        return backend

    def _wait_for_budget(self, worker: Worker) -> None:
        """Idle models make room within the budget; busy ones are waited for while somebody wants this one."""
        with self._lock:
            while (evicted := self._evictions(worker)) is None:
                if not worker.is_wanted:
                    raise NotReadyError(
                        "Other models are at work and leave no memory for {title}. Try again in a minute.",
                        retry_seconds=30,
                        title=worker.title,
                    )
                self._lock.wait(0.2)
            worker.has_memory = True
        self._evict(evicted)

    def _evictions(self, newcomer: Worker) -> list[Key] | None:
        return choose_evictions(self._residents(newcomer), newcomer.memory_bytes, self.settings.memory_bytes)

    def _evict(self, keys: Sequence[Key]) -> None:
        with self._lock:
            idle = [self._workers.pop(key) for key in keys if key in self._workers and not self._workers[key].is_busy]
        for worker in idle:
            worker.close()

    def _residents(self, newcomer: Worker | None = None) -> list[Resident]:
        return [
            Resident(worker.key, worker.memory_bytes, worker.last_used, worker.is_busy)
            for worker in list(self._workers.values())
            if worker is not newcomer and worker.has_memory and worker.is_alive
        ]
