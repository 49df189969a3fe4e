"""Several answers at once: their events as they come, so that all of them can be seen growing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from queue import SimpleQueue

from engine.requests import Event

AT_ONCE = 4
"""Streams of one visitor that run at a time, as many as a language model has slots to begin with."""

Item = Event | Exception | None
"""An event, what went wrong with a stream, or its end."""


def together(makers: Sequence[Callable[[], Iterator[Event]]]) -> Iterator[tuple[int, Event | Exception]]:
    """(number, event) of all streams in the order in which they come; one that fails says so last, others go on.

    Closing it closes all of them within an event of each.
    """
    items: SimpleQueue[tuple[int, Item]] = SimpleQueue()
    is_over = threading.Event()
    pool = ThreadPoolExecutor(AT_ONCE, "together")
    try:
        for number, make in enumerate(makers):
            pool.submit(_read, number, make, items, is_over)
        running = len(makers)
        while running:
            number, item = items.get()
            running -= item is None
            if item is not None:
                yield number, item
    finally:
        is_over.set()
        pool.shutdown(wait=False, cancel_futures=True)


def _read(
    number: int, make: Callable[[], Iterator[Event]], items: SimpleQueue[tuple[int, Item]], is_over: threading.Event
) -> None:
    """Pass on a stream's events in a thread of its own, until nobody wants them any more."""
    try:
        with closing(make()) as events:  # type: ignore[type-var]
            for event in events:
                if is_over.is_set():
                    return
                items.put((number, event))
    except Exception as error:  # whatever it is belongs to the one who reads the others
        items.put((number, error))
    items.put((number, None))
