"""Quick answers of models in the process that asks and in one of their own, beside threads that compute in Python as
pages do: a row of `python -m benchmarks.load`."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

from benchmarks.ours import CALLER, open_engine
from engine.applications import APPLICATIONS
from engine.applications.sentiment import SentimentRequest
from engine.applications.translate import TranslateRequest
from engine.requests import Embed
from engine.serving.protocol import Engine

ROUNDS = 20
BUSY = (0, 1, 2)
ASKED: dict[str, Callable[[Engine], Any]] = {
    "sentiment": lambda engine: APPLICATIONS["sentiment"].run(engine, SentimentRequest("I liked the sea."), CALLER),
    "translation": lambda engine: APPLICATIONS["translate"].run(
        engine, TranslateRequest("We talked about the sea all day.", "en", "pt"), CALLER
    ),
    "embedding": lambda engine: engine.run("multilingual-e5-small", [Embed("the sea")], CALLER),
}


def apart() -> dict[str, Any]:
    """Milliseconds of an answer here and apart, in turns: the middle and the longest, beside so many busy threads."""
    from app import TURN_SECONDS

    usual = sys.getswitchinterval()
    engines = {name: open_engine(is_torch_apart=name == "apart") for name in ("here", "apart")}
    for ask in ASKED.values():
        for engine in engines.values():
            ask(engine)
    sys.setswitchinterval(TURN_SECONDS)
    told = {f"beside {count}": _beside(count, engines) for count in BUSY}
    sys.setswitchinterval(usual)
    for engine in engines.values():
        engine.close()
    return told


def _beside(count: int, engines: dict[str, Engine]) -> dict[str, Any]:
    told: dict[str, Any] = {}
    with computing(count):
        for name, ask in ASKED.items():
            seconds: dict[str, list[float]] = {place: [] for place in engines}
            for _ in range(ROUNDS):
                for place, engine in engines.items():
                    started = time.perf_counter()
                    ask(engine)
                    seconds[place].append(time.perf_counter() - started)
            told[name] = {place: [round(1000 * of(all)) for of in (median, max)] for place, all in seconds.items()}
    return told


@contextmanager
def computing(count: int) -> Iterator[list[int]]:
    """So many threads that compute in Python meanwhile; how often each has."""
    is_over, done = threading.Event(), [0] * count

    def compute(place: int) -> None:
        while not is_over.is_set():
            json.dumps([{"a": number, "b": str(number)} for number in range(60)])
            done[place] += 1

    threads = [threading.Thread(target=compute, args=(place,)) for place in range(count)]
    for one in threads:
        one.start()
    try:
        yield done
    finally:
        is_over.set()
        for one in threads:
            one.join()
