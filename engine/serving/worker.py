"""One owner a model and runtime: its queue, the threads that work it off, and the tickets people hold meanwhile.

Which models may be in memory is decided in `local`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import count
from queue import Empty, SimpleQueue

from engine.backends.footprint import measured_bytes
from engine.backends.protocol import Backend, Runtime
from engine.catalogue.models import Model
from engine.errors import MemoryShortError, NotReadyError, PeopleError, too_long
from engine.requests import Event, Generate, Request, Result, Token
from engine.serving.protocol import Caller, ModelStatus, Priority, State
from engine.serving.scheduling import Queue, share
from engine.serving.statistics import Statistics

log = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 0.25
"""How often a waiting stream yields, so that whoever draws it can stop it."""
CALL_CONCURRENCY = 8
"""Rows of one call that may run at once, and of all calls of low priority together. The sentences of a call begin
alike, and a slot that follows another row of theirs need not evaluate that beginning; the others stay free for other
people."""
LONG_CHARACTERS = 4000
"""Of a prompt: those from here on take half of what runs at once at most, since each stays for long."""
APART_CHARACTERS = 1000
"""Of a prompt: those from here on are in no batch with shorter ones."""
GRACE_SECONDS = 10.0
"""How long past its deadline a running request may take to hand over what it has."""


_calls = count()


class Ticket:
    """One request on its way: the `Job` that a backend sees, and the events that its owner reads."""

    def __init__(
        self,
        request: Request,
        deadline_seconds: float,
        statistics: Statistics,
        priority: Priority = "normal",
        visitor: str = "",
        circle: str | None = None,
    ) -> None:
        self.request, self.priority = request, priority
        self.visitor, self.circle = visitor, circle
        self.group: object = self
        """What the tickets of one call share."""
        self._statistics = statistics
        self.submitted = time.monotonic()
        self.deadline = self.submitted + deadline_seconds
        self.deadline_seconds = deadline_seconds
        self.first_text: float | None = None
        self.is_running = False
        self.is_done = False
        self.result: Result | None = None
        self._is_closed = False
        self._error: Exception | None = None
        self._events: SimpleQueue[Event | None] = SimpleQueue()
        """None where there is no event any more. A condition would cost each token twice the time of the queue."""
        self._ending = threading.Lock()

    @property
    def kind(self) -> str:
        """Of work that may be one batch: one task, and no short prompt with one that it would wait for."""
        return f"{self.request.task} {self._characters >= APART_CHARACTERS}"

    @property
    def is_long(self) -> bool:
        """Whether its prompt takes long to read."""
        return self._characters >= LONG_CHARACTERS

    @property
    def _characters(self) -> int:
        request = self.request
        if not isinstance(request, Generate):
            return 0
        return len(request.prompt) + sum(len(one.content) for one in request.messages)

    @property
    def is_late(self) -> bool:
        return time.monotonic() > self.deadline

    @property
    def _is_overdue(self) -> bool:
        return time.monotonic() > self.deadline + (GRACE_SECONDS if self.is_running else 0.0)

    @property
    def is_cancelled(self) -> bool:
        return self._is_closed or self.is_late

    def emit(self, text: str, token: Token | None = None) -> None:
        if self.first_text is None:
            self.first_text = time.monotonic()
        if not self.is_done:
            self._events.put(Event("text", text=text, token=token))

    def finish(self, result: Result) -> None:
        if getattr(result, "finish_reason", "") == "cancelled" and self.is_late and not self._is_closed:
            result = replace(result, finish_reason="deadline")  # type: ignore[arg-type]
        self._statistics.record(result, self.first_text and self.first_text - self.submitted)
        self.result = result
        self._end(Event("done", result=result))

    def fail(self, error: Exception) -> None:
        self._end(None, error)

    def cancel(self) -> None:
        """Nobody waits any more."""
        self._is_closed = True

    def _end(self, last: Event | None, error: Exception | None = None) -> None:
        """The first end counts."""
        with self._ending:
            if self.is_done:
                return
            self._error, self.is_done = error, True
        self._events.put(last)

    def next_event(self, timeout_seconds: float) -> Event | None:
        """The next event, or None after the time-out. Raises the request's error, or NotReadyError when late."""
        with suppress(Empty):
            event = self._events.get(timeout=0 if self.is_done else timeout_seconds)
            if event is not None:
                return event
        if self._error is not None:
            raise self._error
        if self._is_overdue:
            raise NotReadyError(
                "No answer within {seconds} seconds. Ask for a shorter text, or try again later.",
                retry_seconds=10,
                seconds=f"{self.deadline_seconds:.0f}",
            )
        return None


class Worker:
    """Loads one model on one runtime in a thread of its own, then works its queue off in as many as that takes."""

    def __init__(self, model: Model, runtime: Runtime, limit: int, load: Callable[[], Backend]) -> None:
        self.id, self.title, self.runtime = model.id, model.title, runtime
        self._is_language_model = model.is_language_model
        self.key = model.id, runtime.id
        self._estimate_bytes = model.memory_bytes
        self.state: State = "loading"
        self.has_memory = False
        """Set by the owner of the budget when this model may take its memory."""
        self.weights: str | None = None
        """Set by the owner: which weights these are, None where that is not certain."""
        self.last_used = time.monotonic()
        self.statistics = Statistics()
        self._load = load
        self._queue: Queue[Ticket] = Queue(limit)
        self._running: set[Ticket] = set()
        self._idle = 0
        self._changed = threading.Condition()
        """What idle threads wait on: as many wake as there are new tickets, since one that ends one looks itself."""
        self._threads = [threading.Thread(target=self._start, name=f"{self.id}-loader", daemon=True)]
        self._backend: Backend | None = None

    def start(self) -> None:
        self._threads[0].start()

    @property
    def backend(self) -> Backend | None:
        return self._backend

    @property
    def is_alive(self) -> bool:
        """Whether it has the model or is about to."""
        return self.state in ("loading", "ready")

    def replaces(self, other: Worker) -> bool:
        """Whether it is ready to do all that the other one does, faster."""
        if self._backend is None or other.backend is None or self.state != "ready":
            return False
        return other.runtime.speed < self.runtime.speed and other.backend.tasks <= self._backend.tasks

    @property
    def memory_bytes(self) -> int:
        return self._backend.memory_bytes if self._backend else self._estimate_bytes

    @property
    def is_busy(self) -> bool:
        with self._changed:
            return self.state == "loading" or self._count_running() > 0 or len(self._queue) > 0

    def _count_running(self) -> int:
        """Tickets without their end: whoever was just told a result must not find the model still at work on it."""
        return sum(not ticket.is_done for ticket in self._running)

    @property
    def is_wanted(self) -> bool:
        """Whether somebody still waits in the queue."""
        with self._changed:
            return self._queue.is_wanted

    def submit(self, requests: Sequence[Request], deadline_seconds: float, caller: Caller) -> list[Ticket]:
        """Put the requests in the queue as one group, in the order given. Raises BusyError when it is full."""
        visitor = caller.id or f"call {next(_calls)}"  # who has no name is told apart by the call
        about = deadline_seconds, self.statistics, caller.priority, visitor, caller.circle
        tickets = [Ticket(request, *about) for request in requests]
        for ticket in tickets:
            ticket.group = tickets[0]
        with self._changed:
            self._queue.join(tickets, caller.priority)
            self.last_used = time.monotonic()
            self._changed.notify(len(tickets))
        return tickets

    def events(self, ticket: Ticket) -> Iterator[Event]:
        """The ticket's events until its last; closing this generator cancels the request."""
        is_checked = False
        try:
            while True:
                event = ticket.next_event(HEARTBEAT_SECONDS)
                is_checked = is_checked or self.check(ticket)
                yield event or self._waiting_event(ticket)
                if event is not None and event.kind == "done":
                    return
        finally:
            ticket.cancel()

    def check(self, ticket: Ticket) -> bool:
        """Refuse a prompt that is too long for the model before its turn; False while it is not loaded.

        What a chat template adds is not counted, so the model itself has the last word. Raises ContextError.
        """
        backend, request = self._backend, ticket.request
        if backend is None or not isinstance(request, Generate) or not self._is_language_model:
            return backend is not None
        text, limit = request.prompt or "".join(one.content for one in request.messages), backend.context_tokens - 1
        tokens = 0
        if len(text.encode("utf-8", "replace")) > limit:  # a token has a byte or more
            with suppress(Exception):  # a model that fails says so itself, as it works
                tokens = backend.count_tokens(text)
        if tokens > limit:
            raise too_long(tokens, self.title, limit, "messages" if request.messages else "prompt")
        return True

    def _waiting_event(self, ticket: Ticket) -> Event:
        """What a ticket waits for."""
        with self._changed:
            if self.state == "loading":
                return Event("loading")
            return Event("queued", position=self._queue.position(ticket))

    def _start(self) -> None:
        try:
            backend = self._load()
        except Exception as error:
            self._abandon(error)
            return
        with self._changed:
            if self.state == "closed":
                backend.close()
                return
            self._backend, self.state = backend, "ready"
            self._threads += [
                threading.Thread(target=self._work, args=(backend,), name=f"{self.id}-{number}", daemon=True)
                for number in range(backend.concurrency)
            ]
            for thread in self._threads[1:]:
                thread.start()

    def _abandon(self, error: Exception) -> None:
        if not isinstance(error, PeopleError):
            log.exception("%s could not be loaded", self.id)
            error = NotReadyError(
                "{title} could not be loaded ({fault}). Choose another model.",
                title=self.title,
                fault=type(error).__name__,
            )
        with self._changed:
            self.state = "failed"
            for ticket in self._queue.drain():
                ticket.fail(error)

    def _work(self, backend: Backend) -> None:
        while True:
            with self._changed:
                self._idle += 1
                self._changed.wait_for(lambda: self.state == "closed" or self._queue.has(self._may_start))
                if self.state == "closed":
                    return
                parts = min(self._idle, self._queue.groups) if _takes_turns(backend) else self._idle
                number = share(len(self._queue), backend.batch, parts)
                tickets = self._queue.take(number, self._may_start)
                self._idle -= 1
                self._running.update(tickets)
            for ticket in tickets:
                ticket.is_running = True
            self._run(backend, tickets)
            with self._changed:
                self._running.difference_update(tickets)
                self.last_used = time.monotonic()

    def _may_start(self, ticket: Ticket) -> bool:
        """Whether its call has room left, and long prompts and work of low priority leave some to others; of batches
        only long prompts do, and calls whose next batch would only have a turn less for the one before."""
        if self._backend and ticket.is_long:
            long = sum(one.is_long for one in self._running)
            if long >= max(1, self._backend.concurrency // 2):
                return False
        if self._backend is None or self._backend.batch > 1:  # asked for each row of a batch, so nothing is counted
            return not (_takes_turns(self._backend) and any(one.group is ticket.group for one in self._running))
        if sum(one.group is ticket.group for one in self._running) >= CALL_CONCURRENCY:
            return False
        low = sum(running.priority == "low" for running in self._running)
        return ticket.priority == "normal" or low < max(1, min(CALL_CONCURRENCY, self._backend.concurrency - 1))

    def _run(self, backend: Backend, tickets: list[Ticket]) -> None:
        """Run the batch; short of memory, run its halves; a fault of ours fails its tickets and nothing else."""
        if not tickets:
            return
        try:
            backend.run(tickets)
        except MemoryShortError as error:
            if len(tickets) > 1:
                middle = len(tickets) // 2
                self._run(backend, tickets[:middle])
                self._run(backend, tickets[middle:])
            else:
                tickets[0].fail(error)
        except Exception as error:
            if not isinstance(error, PeopleError):
                log.exception("%s failed while working", self.id)
            for ticket in tickets:
                ticket.fail(error)
        for ticket in tickets:
            ticket.fail(NotReadyError("{title} gave no answer. Try again.", retry_seconds=1, title=self.title))

    def close(self, wait_seconds: float = 10.0) -> None:
        """Cancel what is under way, wait for the threads, free the model."""
        with self._changed:
            self.state = "closed"
            for ticket in [*self._queue.drain(), *self._running]:
                ticket.cancel()
                ticket.fail(NotReadyError("{title} was unloaded. Try again.", retry_seconds=1, title=self.title))
            self._changed.notify_all()
        deadline = time.monotonic() + wait_seconds
        for thread in self._threads:
            if thread is not threading.current_thread() and thread.ident is not None:
                thread.join(max(0.0, deadline - time.monotonic()))
        if self._backend is not None and not any(thread.is_alive() for thread in self._threads):
            self._backend.close()
            self._backend = None

    def status(self) -> ModelStatus:
        with self._changed:
            backend = self._backend
            return ModelStatus(
                id=self.id,
                title=self.title,
                runtime=self.runtime.id,
                state=self.state,
                memory_bytes=self.memory_bytes,
                device=backend.device if backend else "",
                dtype=backend.dtype if backend else "",
                queued=len(self._queue),
                running=self._count_running(),
                requests=self.statistics.requests,
                tokens_per_second=self.statistics.tokens_per_second,
                first_token_seconds=self.statistics.first_token_seconds,
                measured_bytes=measured_bytes(backend) if backend else None,
            )


def _takes_turns(backend: Backend | None) -> bool:
    """Whether its batches at once compute one after the other, so that parting a call among them gains nothing."""
    return getattr(backend, "takes_turns", False)
