"""Vectors of kept documents, made in the background: the engine is asked with low priority, a batch at a time."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from engine.documents.passages import Passage
from engine.documents.search import Vectors
from engine.documents.shelf import Shelf
from engine.errors import NotFoundError, PeopleError
from engine.requests import Embed, Embedding
from engine.serving.patience import Patience
from engine.serving.protocol import Caller, Engine

log = logging.getLogger(__name__)

ENCODER = "multilingual-e5-small"
"""It knows a hundred languages, and was taught to tell questions from passages."""
BATCH = 32
"""Passages of one call: as many as a stop may wait for."""
MAX_ENDED = 500
"""Documents whose end is remembered."""

State = Literal["waiting", "working", "done", "stopped", "failed"]


@dataclass(frozen=True)
class Progress:
    """How far a document is: passages with a vector, of how many; `seconds_left` is None before the first batch."""

    state: State
    done: int
    total: int
    seconds_left: float | None = None
    error: PeopleError | None = None


@dataclass(eq=False)
class _Work:
    owner: str
    id: str
    caller: Caller
    passages: Sequence[Passage]
    vectors: Vectors
    done: int = 0
    state: State = "waiting"
    seconds: float = 0.0
    error: PeopleError | None = None
    is_stopped: bool = False
    ended: threading.Event = field(default_factory=threading.Event)


class Indexing:
    """One thread for everybody's documents; owners take turns batch by batch. What has begun is kept when it is whole,
    and begun anew after a restart."""

    def __init__(self, engine: Engine, shelf: Shelf) -> None:
        self.engine, self.shelf = engine, shelf
        self._works: dict[str, _Work] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_closed = False

    def begin(self, owner: str, id: str, caller: Caller) -> None:
        """Have a document's vectors made, unless they are there or on their way. Raises NotFoundError."""
        if self.shelf.vectors(owner, id) is not None:
            return
        passages = self.shelf.passages(owner, id)
        with self._changed:
            known = self._works.get(id)
            if self._is_closed or (known and known.state in ("waiting", "working")):
                return
            for ended in [id for id, work in self._works.items() if work.ended.is_set()][:-MAX_ENDED]:
                del self._works[ended]
            made = np.zeros((len(passages), 0), dtype=np.float16)
            if known is not None:
                made = known.vectors  # what was made before a stop is not made again
            work = _Work(owner, id, replace(caller, priority="low"), passages, made, known.done if known else 0)
            self._works[id] = work
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="indexing", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def progress(self, owner: str, id: str) -> Progress:
        """How far a document is; "stopped" where nobody began. Raises NotFoundError."""
        total = len(self.shelf.passages(owner, id))
        if self.shelf.vectors(owner, id) is not None:
            return Progress("done", total, total)
        work = self._works.get(id)
        if work is None:
            return Progress("stopped", 0, total)
        left = work.seconds / work.done * (total - work.done) if work.done and work.seconds else None
        return Progress(work.state, work.done, total, left, work.error)

    def stop(self, id: str) -> None:
        """Make no more of a document's vectors; those that are made serve."""
        with self._changed:
            work = self._works.get(id)
            if work and not work.ended.is_set():
                work.is_stopped, work.state = True, "stopped"
                work.ended.set()
                self._changed.notify_all()

    def vectors(self, owner: str, ids: Sequence[str]) -> tuple[Vectors | None, int]:
        """Vectors of the passages of documents, zeros where there are none yet, and how many there are.

        Raises NotFoundError.
        """
        found = []
        for id in ids:
            work, count = self._works.get(id), len(self.shelf.passages(owner, id))
            whole = self.shelf.vectors(owner, id)
            found.append(whole if whole is not None else work.vectors if work else np.zeros((count, 0), np.float16))
        width = max((one.shape[1] for one in found), default=0)
        if not width:
            return None, 0
        rows = np.concatenate([one if one.shape[1] else np.zeros((len(one), width), np.float16) for one in found])
        return rows, int(rows.any(axis=1).sum())

    def wait(self, ids: Sequence[str], seconds: float) -> bool:
        """Wait for the ends of documents on their way; whether they came."""
        end = time.monotonic() + seconds
        works = [work for id in ids if (work := self._works.get(id))]
        return all(work.ended.wait(max(0.0, end - time.monotonic())) for work in works)

    def close(self) -> None:
        """Give up what is on its way."""
        with self._changed:
            self._is_closed = True
            for work in self._works.values():
                work.is_stopped = True
            self._changed.notify_all()

    def _run(self) -> None:
        last = ""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._is_closed or self._waiting())
                if self._is_closed:
                    return
                waiting = self._waiting()
                work = next((one for one in waiting if one.owner > last), waiting[0])
                work.state = "working"
            last = work.owner
            self._step(work)

    def _waiting(self) -> list[_Work]:
        """The first document of each owner that has one to be worked on, owners in their order."""
        found: dict[str, _Work] = {}
        for work in self._works.values():
            if not work.ended.is_set():
                found.setdefault(work.owner, work)
        return [found[owner] for owner in sorted(found)]

    def _step(self, work: _Work) -> None:
        """One batch."""
        began = time.monotonic()
        try:
            batch = work.passages[work.done : work.done + BATCH]
            rows = self._asked(work, [Embed(one.searched, "passage") for one in batch])
            if rows is None:
                return
            if not work.vectors.shape[1]:
                work.vectors = np.zeros((len(work.passages), rows.shape[1]), dtype=np.float16)
            work.vectors[work.done : work.done + len(rows)] = rows
            work.done += len(rows)
            work.seconds += time.monotonic() - began
            if work.done == len(work.passages):
                self.shelf.keep_vectors(work.owner, work.id, work.vectors)
                self._end(work, "done")
        except NotFoundError:  # deleted meanwhile
            self._end(work, "stopped")
        except PeopleError as error:
            self._end(work, "failed", error)
        except Exception:
            log.exception("the index of a document could not be made")
            self._end(work, "failed")

    def _asked(self, work: _Work, requests: Sequence[Embed]) -> Vectors | None:
        """Their vectors; None where it was stopped meanwhile. A busy engine is waited for. Raises PeopleError."""
        patience = Patience(lambda seconds: self._pause(work, seconds))
        while not work.is_stopped:
            found: list[Embedding] = []
            items = self.engine.stream_all(ENCODER, requests, work.caller)
            try:
                for _, event in items:
                    if work.is_stopped:
                        return None
                    if event.kind == "done":
                        found.append(event.result)
                return np.array([one.vector for one in found], dtype=np.float16)
            except PeopleError as error:
                patience.wait(error)
            finally:
                with suppress(Exception):
                    items.close()  # type: ignore[attr-defined]
        return None

    def _pause(self, work: _Work, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: work.is_stopped, seconds)

    def _end(self, work: _Work, state: State, error: PeopleError | None = None) -> None:
        with self._changed:
            if not work.ended.is_set():
                work.state, work.error = state, error
            work.ended.set()
