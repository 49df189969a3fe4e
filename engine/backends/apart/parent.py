"""Models in a process of their own, as the serving process holds them: it loads, asks, cancels, and begins anew where
the process ended. `child` is the other side."""

from __future__ import annotations

import logging
import math
import pickle
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

from engine import priority
from engine.backends import loader
from engine.backends.memory import memory_short, set_aside
from engine.backends.protocol import Backend, Job, Runtime
from engine.catalogue.models import Model
from engine.errors import NotReadyError, stopped_at_work
from engine.jobs import process
from engine.settings import Settings

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.1
"""How often it is looked whether anybody still waits for what is at work."""
CLOSE_SECONDS = 10.0
"""For a model to be closed over there."""
ATTEMPTS = 3
"""At what nobody has heard a word of, each in another process."""


class ChildEnded(Exception):
    """The process is gone, and with it what it was at."""


class _Call:
    """Something asked, and its answer once it is there."""

    def __init__(self) -> None:
        self.is_over = threading.Event()
        self.value: Any = None
        self.error: Exception | None = None

    def end(self, value: Any, error: Exception | None) -> None:
        self.value, self.error = value, error
        self.is_over.set()


class _Sent:
    """A job that was handed over."""

    def __init__(self, job: Job) -> None:
        self.job, self.is_heard, self.is_done, self.is_cancelled = job, False, False, False

    def take(self, kind: str, *about: Any) -> None:
        self.is_heard, self.is_done = True, kind != "emit"
        getattr(self.job, kind)(*about)


class Child:
    """One process. Raises OSError where it cannot be started."""

    def __init__(self) -> None:
        self._process = process.start(process.python("engine.backends.apart.child"), is_conversation=True)
        priority.offer(priority.KILLED_EARLY, self._process.pid)
        self.sizes: dict[int, tuple[int, int | None]] = {}
        """By handle: memory that a model holds, by its own account and measured."""
        self._numbers = count()
        self._calls: dict[int, _Call] = {}
        self._sent: dict[int, _Sent] = {}
        self._changing, self._saying = threading.Lock(), threading.Lock()
        self._is_over = False
        threading.Thread(target=self._hear, name="models-apart", daemon=True).start()

    @property
    def is_alive(self) -> bool:
        return not self._is_over and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    def ask(
        self, kind: str, *about: Any, look: Callable[[], None] = lambda: None, limit_seconds: float = math.inf
    ) -> tuple[int, Any]:
        """The number of a call and its answer; `look` is called now and then meanwhile.

        Raises ChildEnded, also past the limit, and whatever the call raised there.
        """
        call, number, until = _Call(), next(self._numbers), time.monotonic() + limit_seconds
        with self._changing:
            if self._is_over:
                raise ChildEnded
            self._calls[number] = call
        self._say(kind, number, *about)
        while not call.is_over.wait(LOOK_SECONDS):
            look()
            if time.monotonic() > until:
                raise ChildEnded
        if call.error is not None:
            raise call.error
        return number, call.value

    def run(self, handle: int, sent: Sequence[_Sent]) -> None:
        """Have jobs worked on until all are done. Raises as `ask`."""
        numbered = {next(self._numbers): one for one in sent}
        for one in sent:
            one.is_cancelled = False
        self._sent.update(numbered)

        def cancel() -> None:
            for number, one in numbered.items():
                self._cancel(number, one)

        try:
            told = [(number, one.job.request, one.job.visitor, one.job.circle) for number, one in numbered.items()]
            self.ask("run", handle, told, look=cancel)
        finally:
            for number in numbered:
                self._sent.pop(number, None)

    def _cancel(self, number: int, one: _Sent) -> None:
        """Tell that nobody waits any more, where that is so."""
        if not one.is_cancelled and not one.is_done and one.job.is_cancelled:
            one.is_cancelled = True
            self._say("cancel", number)

    def close(self) -> None:
        """End the process, whatever it is at; its memory is the system's again."""
        if self._process.poll() is None:
            process.kill_group(self.pid)
        self._process.wait()

    def _say(self, kind: str, number: int, *about: Any) -> None:
        words = pickle.dumps((kind, number, pickle.dumps(about, pickle.HIGHEST_PROTOCOL)))
        assert self._process.stdin is not None
        with suppress(OSError, ValueError), self._saying:  # where it is gone, `_hear` says so
            self._process.stdin.write(words)
            self._process.stdin.flush()

    def _hear(self) -> None:
        """Pass on what comes, until the process ends; then end what waits for it."""
        assert self._process.stdout is not None and self._process.stdin is not None
        try:
            with self._process.stdout as words, process.watched(self._process, lambda: bool(self._calls)):
                while True:
                    self._pass_on(*pickle.load(words))  # only our own child writes there
        except (EOFError, OSError, pickle.UnpicklingError):  # its end, perhaps in the midst of a word
            pass
        finally:
            with self._changing:
                self._is_over, calls = True, list(self._calls.values())
            for call in calls:
                call.end(None, ChildEnded())
            self.close()
            with suppress(OSError, ValueError):
                self._process.stdin.close()

    def _pass_on(self, kind: str, number: int, told: bytes) -> None:
        """One message to whom it is for. What cannot be read or taken is that one's fault alone."""
        with self._changing:
            call = self._calls.pop(number, None) if kind == "reply" else None
        sent = self._sent.get(number)
        try:
            about = pickle.loads(told)
            if call:
                self.sizes = self.sizes | about[2]
                call.end(about[0], about[1])
            elif sent and kind != "reply":
                sent.take(kind, *about)
                self._cancel(number, sent)
        except Exception as error:
            log.exception("an answer of the models' process could not be passed on")
            if call:
                call.end(None, error)
            elif sent:
                sent.take("fail", error)


class Apart:
    """The process that holds models, started when it is wanted, and anew where it ended."""

    def __init__(self) -> None:
        self._child: Child | None = None
        self._is_closed = False
        self._changing = threading.Lock()

    def child(self) -> Child:
        """The one that is there, or another. Raises ChildEnded once this is closed."""
        with self._changing:
            if self._is_closed:
                raise ChildEnded
            if self._child is None or not self._child.is_alive:
                self._child = Child()
            return self._child

    def prepare(self) -> None:
        """Have it import what models need before anybody waits for it."""
        with suppress(ChildEnded):
            self.child().ask("prepare")

    def read(self, model: Model, path: Path, settings: Settings, runtime: Runtime) -> Backend:
        """Load weights over there. Raises as `loader.read`."""
        return FarBackend(self, model, path, settings, runtime)

    def close(self) -> None:
        """End the process; there will be no other."""
        with self._changing:
            self._is_closed = True
            if self._child:
                self._child.close()


class FarBackend:
    """A model that is loaded in another process, and there again where that ended."""

    tasks: frozenset[str]
    concurrency: int
    batch: int
    device: str
    dtype: str
    context_tokens: int
    takes_turns: bool

    def __init__(self, apart: Apart, model: Model, path: Path, settings: Settings, runtime: Runtime) -> None:
        self._apart, self._model = apart, model
        self._about = model, path, settings, runtime.id
        self._loading, self._is_closed = threading.Lock(), False
        self._there: tuple[Child, int] | None = None
        with suppress(ChildEnded):
            self._open()
        try:
            self._open()  # another model's work may have ended the first process
        except ChildEnded:
            raise NotReadyError(
                "{model} was stopped while it was loaded, most likely for want of memory. Unload another model, and "
                "try again.", retry_seconds=10, model=model.title,
            ) from None  # fmt: skip

    @property
    def memory_bytes(self) -> int:
        return self._sizes[0]

    @property
    def measured_bytes(self) -> int | None:
        """Memory that it really took, where that could be measured."""
        return self._sizes[1]

    def run(self, jobs: Sequence[Job]) -> None:
        """As the backend over there; what nobody has heard a word of when the process ends is begun anew.

        Raises MemoryShortError where that happens to several jobs twice, so that they are tried with fewer.
        """
        sent = [_Sent(job) for job in jobs]
        for attempt in range(ATTEMPTS):
            left = [one for one in sent if not one.is_done]
            if not left or any(one.is_heard for one in left):
                break
            try:
                child, handle = self._open()
                child.run(handle, left)
                return
            except ChildEnded:
                log.warning("the models' process ended while %s was at work", self._model.title)
                if attempt and len(sent) > 1 and not any(one.is_heard for one in sent):
                    raise memory_short(self._model.title) from None
        for one in sent:
            if not one.is_done:
                one.job.fail(stopped_at_work(self._model.title))

    def count_tokens(self, text: str) -> int:
        """Tokens of the text, from any thread."""
        try:
            child, handle = self._open()
            _, counted = child.ask("count", handle, text)
        except ChildEnded:
            raise stopped_at_work(self._model.title) from None
        return int(counted)

    def close(self) -> None:
        """Free the memory over there."""
        with self._loading:
            self._is_closed, there, self._there = True, self._there, None
        if there and there[0].is_alive:
            with suppress(ChildEnded):
                there[0].ask("close", there[1], limit_seconds=CLOSE_SECONDS)

    @property
    def _sizes(self) -> tuple[int, int | None]:
        there = self._there
        return there[0].sizes.get(there[1], (0, None)) if there else (0, None)

    def _open(self) -> tuple[Child, int]:
        """The process and the model's handle in it. Raises ChildEnded and what loading raises."""
        with self._loading:
            if self._is_closed:
                raise ChildEnded
            if self._there is None or not self._there[0].is_alive:
                model = self._model
                with set_aside(model.id, model.memory_bytes, lambda free: loader.refusal(model, free)):
                    child = self._apart.child()
                    handle, facts = child.ask("load", *self._about)
                vars(self).update(facts)
                self._there = child, handle
            return self._there
