"""The engine: asks the store for weights, keeps models within the memory budget, and streams everybody's work.

Lines and threads of one model are in `worker`, the rules of turns and eviction in `scheduling`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from weakref import WeakValueDictionary

from engine.backends import loader as backends
from engine.backends.protocol import Backend
from engine.catalogue.models import Catalogue, Model
from engine.errors import ConflictError, MemoryShortError, NotReadyError, PeopleError
from engine.requests import Event, Request, Result
from engine.serving.access import check
from engine.serving.protocol import Caller, EngineStatus
from engine.serving.results import Key, Results, events_of, fingerprint, identify, is_whole, repeated
from engine.serving.scheduling import Resident, choose_evictions
from engine.serving.worker import HEARTBEAT_SECONDS, Ticket, Worker
from engine.settings import Settings, expected_device
from engine.sizes import size_in_words

Load = Callable[[Model, Path, Settings], Backend]
Find = Callable[[str], Path]
"""Where a model's weights are; raises a PeopleError where they are not there."""


@dataclass(frozen=True, eq=False)
class _Call:
    """What requests that came together share: how many they are, and their time, on the monotonic clock."""

    model: Model
    count: int
    seconds: float
    since: float = field(default_factory=time.monotonic)


@dataclass(eq=False)
class _Asked:
    """One request on its way, and what answers it: a kept result, the same request under way, or a ticket."""

    call: _Call
    request: Request
    fingerprint: str | None
    """None where the answer will not be the same the next time."""
    key: Key | None = None
    kept: Result | None = None
    same: _Asked | None = None
    is_alone: bool = False
    """Waits for nobody any more."""
    worker: Worker | None = None
    ticket: Ticket | None = None

    @property
    def result(self) -> Result | None:
        return self.ticket.result if self.ticket else None

    @property
    def has_failed(self) -> bool:
        return self.ticket is not None and self.ticket.is_done and self.ticket.result is None

    def can_wait_for(self, first: _Asked) -> bool:
        """Whether the other will be answered or given up no later than this one would be."""
        if self.is_alone:
            return False
        if first.ticket is None:  # it gets its ticket together with this one, or never
            return first.call is self.call
        is_early = first.ticket.deadline <= self.call.since + self.call.seconds
        return is_early and first.call.count <= self.call.count and not first.ticket.is_over

    def waiting(self) -> Iterator[Event]:
        """Signs of life until it is over, for those who want the same and leave its events alone."""
        while self.worker and self.ticket and not self.ticket.wait(HEARTBEAT_SECONDS):
            yield self.worker.waiting_event(self.ticket)

    def cancel(self) -> None:
        if self.ticket:
            self.ticket.cancel()


class LocalEngine:
    """The engine that works in this process."""

    def __init__(self, settings: Settings, catalogue: Catalogue, path: Find, load: Load = backends.load) -> None:
        self.settings, self.catalogue = settings, catalogue
        self._path = path
        self._load = load
        self._workers: dict[str, Worker] = {}
        self._results = Results(settings.result_cache_bytes)
        self._under_way: WeakValueDictionary[Key, _Asked] = WeakValueDictionary()
        self._lock = threading.Condition()

    def stream(
        self, model_id: str, request: Request, caller: Caller, *, deadline_seconds: float | None = None
    ) -> Iterator[Event]:
        """Work on one request; see the protocol."""
        (asked,) = self._submit(model_id, [request], deadline_seconds)
        try:
            yield from self._events(asked)
        finally:
            asked.cancel()

    def run(
        self, model_id: str, requests: Sequence[Request], caller: Caller, *, deadline_seconds: float | None = None
    ) -> list[Result]:
        """Work on many requests at once, in batches or slots as the backend has them; results in the order given."""
        order = sorted(range(len(requests)), key=lambda index: _length(requests[index]))
        sorted_requests = [requests[index] for index in order]
        events = self.stream_all(model_id, sorted_requests, caller, deadline_seconds=deadline_seconds)
        results = {order[place]: event.result for place, event in events if event.kind == "done"}
        return [results[index] for index in range(len(requests))]

    def stream_all(
        self, model_id: str, requests: Sequence[Request], caller: Caller, *, deadline_seconds: float | None = None
    ) -> Iterator[tuple[int, Event]]:
        """Work on many requests at once and yield (index, event) in the order given, one request after the other.

        Later ones run meanwhile, as far as the model has slots. Closing cancels all.
        """
        group = self._submit(model_id, requests, deadline_seconds)
        try:
            for index, asked in enumerate(group):
                for event in self._events(asked):
                    yield index, event
        finally:
            for asked in group:
                asked.cancel()

    def load(self, model_id: str, caller: Caller) -> None:
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

    def unload(self, model_id: str, caller: Caller) -> None:
        """Free an idle model's memory, and what it answered; see the protocol."""
        check(caller, "unload")
        with self._lock:
            worker = self._workers.get(model_id)
            if worker and worker.is_busy:
                raise ConflictError("{title} is at work. Wait until it is idle, then unload it.", title=worker.title)
            self._workers.pop(model_id, None)
        if worker:
            worker.close()
        self._results.forget(model_id)

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

    def _submit(self, model_id: str, requests: Sequence[Request], deadline_seconds: float | None) -> list[_Asked]:
        model = self.catalogue.find(model_id)
        for request in requests:
            if request.task == "generate":
                request.sampling.checked()  # before a model is loaded for settings that cannot act
        seconds = min(deadline_seconds or self.settings.deadline_seconds, self.settings.deadline_seconds)
        call = _Call(model, len(requests), seconds)
        known = [fingerprint(request) if self._results.limit_bytes else None for request in requests]
        group = [_Asked(call, *pair) for pair in zip(requests, known, strict=True)]
        self._begin(call, group)
        return group

    def _begin(self, call: _Call, group: Sequence[_Asked]) -> None:
        """Give each request what answers it: a kept result, the same request under way, or a ticket of its own."""
        with self._lock:
            worker = self._workers.get(call.model.id)
            if worker and worker.state in ("failed", "closed"):
                worker = None
            if any(asked.fingerprint for asked in group):
                weights = worker.weights if worker else self._weights(call.model)
                for asked in group:
                    self._look_up(asked, weights)
            fresh = [asked for asked in group if asked.kept is None and asked.same is None]
            if group and not fresh:
                return
            worker = worker or self._new_worker(call.model)
            tickets = worker.submit([asked.request for asked in fresh], call.seconds, call.since)
            for asked, ticket in zip(fresh, tickets, strict=True):
                asked.worker, asked.ticket = worker, ticket

    def _look_up(self, asked: _Asked, weights: str | None) -> None:
        """Find a kept result or the same request under way; without either, others may wait for this one."""
        asked.same = None
        if asked.fingerprint and weights:
            asked.key = Key(asked.call.model.id, weights, asked.fingerprint)
            asked.kept = self._results.find(asked.key)
            first = self._under_way.get(asked.key)
            if asked.kept is None and first is not None and asked.can_wait_for(first):
                asked.same = first
            elif asked.kept is None:
                self._under_way[asked.key] = asked

    def _events(self, asked: _Asked) -> Iterator[Event]:
        """The events of a request; where the one that it waited for came to nothing, it takes a turn of its own."""
        while asked.same is not None:
            yield from asked.same.waiting()
            result = asked.same.result
            if result is not None and (is_whole(result) or asked.same.call is asked.call):
                asked.kept, asked.same = repeated(result), None
            else:  # fifty who waited for one that failed do not wait for each other's failures one by one
                asked.is_alone = asked.same.has_failed
                self._begin(asked.call, [asked])
        if asked.kept is not None:
            yield from events_of(asked.kept)
        elif asked.worker is not None and asked.ticket is not None:
            for event in asked.worker.events(asked.ticket):
                if event.kind == "done":
                    self._results.keep(asked.key, event.result)
                yield event

    def _weights(self, model: Model) -> str | None:
        """Which weights a model has on the disk, None where they are not ready."""
        with suppress(PeopleError):
            return identify(model, self._path(model.id))
        return None

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


def _length(request: Request) -> int:
    """Characters of the input, to put similar lengths into one batch."""
    return sum(len(getattr(request, name, "")) for name in ("text", "prompt", "passage"))
