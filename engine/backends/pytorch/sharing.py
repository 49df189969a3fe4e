"""Several batches on one model that writes: each goes on by a step in its turn, and long prompts stand still between.

A newcomer so waits for a step of others or for a layer of their prompts, not for their answers; who is next is
`turns`' to say. A prompt alone costs what one pass over it does.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any

from torch import Tensor
from torch.nn import Module, ModuleList

from engine.backends.pytorch.decoding import CausalStepper, Row, Seq2SeqStepper
from engine.backends.turns import SHARED_SECONDS, Reader, Turns

LONG_TOKENS = 256
"""Of a batch's prompts, padding included: from here on others have turns between their layers."""
LEAST_TOKENS, MOST_TOKENS = 32, 4096
"""Of one pass: it costs as much as some tokens, and holds memory for each."""
FIRST_TOKEN_SECONDS = 0.005
"""What a prompt's token takes, until a pass has shown it."""


class Line:
    """A lock that goes to who has waited longest."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._last = self._next = 0

    def __enter__(self) -> None:
        with self._changed:
            place, self._last = self._last, self._last + 1
            self._changed.wait_for(lambda: self._next == place)

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._next += 1
            self._changed.notify_all()

    @contextmanager
    def left(self) -> Iterator[None]:
        """Out of the lock, and in it again."""
        self.__exit__()
        try:
            yield
        finally:
            self.__enter__()


class _Unwanted(Exception):
    """Nobody waits for the prompts that are read."""


class Sharing:
    """What the batches of one model share."""

    def __init__(self, module: Any) -> None:
        self.line, self.turns = Line(), Turns()
        self._token_seconds = FIRST_TOKEN_SECONDS
        self._mine = threading.local()
        found = layers(module)
        self._layers = max(1, len(found))
        for layer in found:
            layer.register_forward_pre_hook(self._breathe)

    @property
    def tokens(self) -> int:
        """Of a pass whose layers each take no longer than a turn."""
        return int(min(MOST_TOKENS, max(LEAST_TOKENS, self._layers * SHARED_SECONDS / self._token_seconds)))

    def read(self, work: Callable[[], Tensor], tokens: int, reader: Reader, is_wanted: Callable[[], bool]) -> Tensor:
        """A pass over so many tokens, in which others have their turns. Raises _Unwanted."""
        paused = 0.0

        def pause() -> None:
            nonlocal paused
            if not is_wanted():
                raise _Unwanted
            if self.turns.is_due:
                began = time.perf_counter()
                with self.line.left():
                    goes_on = self.turns.pause(reader, is_wanted)
                paused += time.perf_counter() - began
                if not goes_on:
                    raise _Unwanted

        with self.line:
            started, self._mine.pause = time.perf_counter(), pause
            try:
                return work()
            finally:
                self._mine.pause = None
                self._token_seconds = (time.perf_counter() - started - paused) / tokens

    def _breathe(self, *_: object) -> None:
        """Before each layer of each pass."""
        if pause := getattr(self._mine, "pause", None):
            pause()


def layers(module: Any) -> list[Module]:
    """The parts of a model that work one after the other: what its outermost lists hold."""
    if isinstance(module, ModuleList):
        return list(module)
    return [layer for child in module.children() for layer in layers(child)]


class SharedStepper:
    """The stepper of one batch among others of its model."""

    def __init__(self, stepper: CausalStepper | Seq2SeqStepper, sharing: Sharing) -> None:
        self._stepper, self._sharing = stepper, sharing
        self._answering = ExitStack()

    def __enter__(self) -> SharedStepper:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._answering.close()

    def start(self, rows: Sequence[Row]) -> Tensor | None:
        width = self._stepper.begin(rows)
        if width * len(rows) >= LONG_TOKENS:
            logits = self._read(rows, width)
            if logits is not None:
                self._answering.enter_context(self._sharing.turns.answering())()
            return logits
        begin = self._answering.enter_context(self._sharing.turns.answering())
        with self._sharing.line:
            logits = self._stepper.read(width)
        begin()
        return logits

    def step(self, ids: Sequence[int]) -> Tensor:
        with self._sharing.line:
            return self._stepper.step(ids)

    def keep(self, places: Sequence[int]) -> None:
        self._stepper.keep(places)

    def _read(self, rows: Sequence[Row], width: int) -> Tensor | None:
        """Read long prompts; None where nobody wants them any more."""

        def is_wanted() -> bool:
            return not all(row.job.is_cancelled for row in rows)

        done, logits, sharing = 0, None, self._sharing
        with sharing.turns.reading(width * len(rows), rows[0].job.visitor) as reader:
            while done < width:
                columns = max(1, sharing.tokens // len(rows)) if self._stepper.can_go_on else width
                end = min(width, done + columns)
                with sharing.turns.stage(reader, is_wanted) as seconds:
                    try:
                        if not seconds:
                            return None
                        work, tokens = lambda end=end: self._stepper.read(end), (end - done) * len(rows)
                        logits = sharing.read(work, tokens, reader, is_wanted)
                    except _Unwanted:
                        return None
                    done, reader.left = end, (width - end) * len(rows)
        return logits
