"""The process that holds models for another one: `python -m engine.backends.apart.child`.

It is told on its standard input what to load and to work on, answers on its standard output, and ends when the input
does, so that it never outlives whoever started it. `parent` is the other side.
"""

from __future__ import annotations

import logging
import os
import pickle
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from engine import logs, priority
from engine.backends import loader
from engine.backends.cores import threads_for
from engine.backends.footprint import measured_bytes
from engine.backends.protocol import Backend
from engine.catalogue.models import Model
from engine.errors import PeopleError
from engine.requests import Request, Result, Token
from engine.settings import Settings, current

log = logging.getLogger(__name__)

THREADS = 256
"""Calls of either kind at once; they mostly wait for each other's computing."""
BRIEF_BYTES, SHORT_BYTES = 700, 4000
"""Of an order: a sentence or two, which half of the threads compute as soon as all; what is longer than short takes
seconds."""
BRIEF_TASKS = {"generate", "classify", "extract", "embed"}
"""One pass over the text, or one for each word; what explains a model makes many."""


class FarJob:
    """The `Job` that a backend sees here; its owner reads the events over there."""

    def __init__(self, desk: Desk, number: int, request: Request, visitor: str, circle: str | None) -> None:
        self.request, self.visitor, self.circle = request, visitor, circle
        self.is_cancelled = False
        self._desk, self.number = desk, number

    def emit(self, text: str, token: Token | None = None) -> None:
        self._desk.say("emit", self.number, text, token)

    def finish(self, result: Result) -> None:
        self._desk.say("finish", self.number, result)

    def fail(self, error: Exception) -> None:
        self._desk.say("fail", self.number, _sayable(error))


class Desk:
    """What came in and goes out: each call in a thread of its own, cancels at once."""

    def __init__(self, words: IO[bytes]) -> None:
        self._words, self._saying = words, threading.Lock()
        self._backends: dict[int, Backend] = {}
        self._writers: set[int] = set()
        """Language models among them, whose answers take seconds."""
        self._jobs: dict[int, FarJob] = {}
        self._threads = threads_for("transformers", current())
        self._brief, self._short = ThreadPoolExecutor(THREADS), ThreadPoolExecutor(THREADS)
        self._long = ThreadPoolExecutor(THREADS, initializer=priority.step_back_alone)
        """What takes seconds steps back behind what somebody waits a moment for, here and in the server."""

    def serve(self, orders: IO[bytes]) -> None:
        """Work until nobody holds the other end; whatever is at work then, nobody waits for it."""
        try:
            while True:
                kind, number, told = pickle.load(orders)  # only our own parent writes there
                if kind != "cancel":
                    self._take(kind, number, told)
                elif job := self._jobs.get(number):
                    job.is_cancelled = True
        finally:
            os._exit(0)

    def say(self, kind: str, number: int, *about: Any) -> None:
        """Tell the other side. Raises what pickling raises."""
        words = pickle.dumps((kind, number, pickle.dumps(about, pickle.HIGHEST_PROTOCOL)))
        with self._saying:
            self._words.write(words)
            self._words.flush()

    def _take(self, kind: str, number: int, told: bytes) -> None:
        """Have a call done; of a request that is not known here, only that is said."""
        try:
            about = list(pickle.loads(told))
        except Exception as error:
            self._reply(number, None, _sayable(error))
            return
        is_long, is_brief = len(told) > SHORT_BYTES, False
        if kind == "run":  # a cancel may be next
            is_long = is_long or about[0] in self._writers
            tasks = {request.task for _, request, *_ in about[1]}
            is_brief = len(told) <= BRIEF_BYTES and tasks <= BRIEF_TASKS and not is_long
            about[1] = [FarJob(self, *one) for one in about[1]]
            self._jobs |= {job.number: job for job in about[1]}
        pool = self._long if is_long else self._brief if is_brief else self._short
        pool.submit(self._do, kind, number, about, is_brief)

    def _do(self, kind: str, number: int, about: list[Any], is_brief: bool) -> None:
        value, error = None, None
        try:
            _compute_with(max(1, self._threads // 2) if is_brief else self._threads)
            value = getattr(self, f"_{kind}")(number, *about)
        except Exception as raised:
            if not isinstance(raised, PeopleError):
                log.exception("%s failed", kind)
            error = _sayable(raised)
        self._reply(number, value, error)

    def _reply(self, number: int, value: Any, error: Exception | None) -> None:
        sizes = {}
        for handle, backend in list(self._backends.items()):
            with suppress(Exception):  # closed meanwhile
                sizes[handle] = backend.memory_bytes, measured_bytes(backend)
        try:
            self.say("reply", number, value, error, sizes)
        except Exception as raised:
            self.say("reply", number, None, _sayable(raised), sizes)

    def _load(self, number: int, model: Model, path: Path, settings: Settings, runtime_id: str) -> dict[str, Any]:
        runtime = next(one for one in loader.runtimes() if one.id == runtime_id)
        backend = self._backends[number] = loader.read(model, path, settings, runtime)
        self._threads = threads_for("transformers", settings)
        if model.is_language_model:
            self._writers.add(number)
        facts = {name: getattr(backend, name) for name in Backend.__annotations__}
        return facts | {"takes_turns": getattr(backend, "takes_turns", False)}

    def _run(self, number: int, handle: int, jobs: list[FarJob]) -> None:
        try:
            self._backends[handle].run(jobs)
        finally:
            for job in jobs:
                self._jobs.pop(job.number, None)

    def _count(self, number: int, handle: int, text: str) -> int:
        return self._backends[handle].count_tokens(text)

    def _close(self, number: int, handle: int) -> None:
        self._writers.discard(handle)
        self._backends.pop(handle).close()

    def _prepare(self, number: int) -> None:
        loader.warm_up(is_apart=True)


def _compute_with(threads: int) -> None:
    """Have torch compute with so many in this thread, once it is there."""
    torch: Any = sys.modules.get("torch")
    if hasattr(torch, "set_num_threads") and torch.get_num_threads() != threads:  # it may be half imported
        torch.set_num_threads(threads)


def _sayable(error: Exception) -> Exception:
    """The error, if it means the same over there; else its name and words."""
    if isinstance(error, PeopleError):
        with suppress(Exception):
            pickle.loads(pickle.dumps(error))
            return error
    return RuntimeError(f"{type(error).__name__}: {error}")


def main() -> None:
    """Serve until nobody holds the other end of the standard input."""
    words, orders = os.fdopen(os.dup(1), "wb"), os.fdopen(os.dup(0), "rb")
    os.dup2(2, 1)  # whatever libraries print must not come between
    logs.set_up(current())
    Desk(words).serve(orders)


if __name__ == "__main__":
    main()
