"""Several batches on one decoder: each goes on by a step in its turn, and long prompts are read in stages between.

A newcomer so waits for a step or a stage of others, not for their answers; whose stage is next is `turns`' to say.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType

from torch import Tensor

from engine.backends.pytorch.decoding import CausalStepper, Row
from engine.backends.turns import Turns

LONG_TOKENS = 256
"""Of a batch's prompts, padding included: from here on they are read in stages."""
LEAST_TOKENS, MOST_TOKENS = 32, 256
"""Of a stage: a pass costs as much as some tokens, and alone a stage is as long as a newcomer may have to wait for."""
FIRST_TOKEN_SECONDS = 0.005
"""What a prompt's token takes, until a stage has shown it."""


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


class Sharing:
    """What the batches of one model share."""

    def __init__(self) -> None:
        self.line, self.turns = Line(), Turns()
        self.token_seconds = FIRST_TOKEN_SECONDS

    def tokens(self, seconds: float) -> int:
        """Tokens of a stage that may take so long."""
        return int(min(MOST_TOKENS, max(LEAST_TOKENS, seconds / self.token_seconds)))


class SharedStepper:
    """The stepper of one batch among others of its model."""

    def __init__(self, stepper: CausalStepper, sharing: Sharing) -> None:
        self._stepper, self._sharing = stepper, sharing
        self._answering = ExitStack()

    def __enter__(self) -> SharedStepper:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._answering.close()

    def start(self, rows: Sequence[Row]) -> Tensor | None:
        width = self._stepper.begin(rows)
        if width * len(rows) >= LONG_TOKENS and self._stepper.can_go_on:
            self._read(rows, width)
        if all(row.job.is_cancelled for row in rows):
            return None
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

    def _read(self, rows: Sequence[Row], width: int) -> None:
        """Read long prompts up to their last stage, while somebody wants them."""

        def is_wanted() -> bool:
            return not all(row.job.is_cancelled for row in rows)

        done, sharing = 0, self._sharing
        with sharing.turns.reading(width * len(rows), rows[0].job.visitor) as reader:
            while is_wanted():
                with sharing.turns.stage(reader, is_wanted) as seconds:
                    columns = max(1, sharing.tokens(seconds) // len(rows))
                    if not seconds or done + columns >= width:
                        return
                    with sharing.line:
                        started = time.perf_counter()
                        self._stepper.read(done + columns)
                    sharing.token_seconds = (time.perf_counter() - started) / (columns * len(rows))
                    done += columns
                    reader.left = (width - done) * len(rows)
