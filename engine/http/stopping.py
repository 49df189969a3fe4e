"""The server's end, told to all answers under way."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from engine.errors import NotReadyError

is_stopping = threading.Event()
WORD_SECONDS = 0.6
"""From the signal to the server's end: every answer under way looks four times a second, and its page says what
happened while it still can."""


def check_going_on() -> None:
    """Raise NotReadyError once the server was told to end."""
    if is_stopping.is_set():
        raise NotReadyError("The server is stopping. Try again in a minute.", retry_seconds=60)


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Have SIGINT and SIGTERM end all answers under way, before they do what they did: the server waits for those.

    A second signal does that at once.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    before = {int(number): handler for number, handler in handlers.items() if callable(handler)}

    waiting: list[threading.Timer] = []

    def stop(number: int, frame: Any) -> None:
        if not is_stopping.is_set():
            is_stopping.set()
            waiting.append(threading.Timer(WORD_SECONDS, signal.raise_signal, (number,)))  # the main thread's to hear
            waiting[0].daemon = True
            waiting[0].start()
            return
        waiting[0].cancel()
        before[number](number, frame)

    for number in before:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for timer in waiting:
            timer.cancel()
        for number, handler in before.items():
            if signal.getsignal(number) is stop:
                signal.signal(number, handler)
        is_stopping.clear()
