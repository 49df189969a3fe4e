"""What long prompts cost, in one process with the engine: rows of `python -m benchmarks.load`."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from statistics import median
from typing import Any

from engine.backends.loader import runtimes
from engine.catalogue.models import read_catalogue
from engine.catalogue.store import Store
from engine.requests import Generate, Sampling
from engine.serving.local import LocalEngine
from engine.serving.protocol import Caller
from engine.settings import current

MODEL = "smollm2-135m-instruct"
WORDS = "time sun sea sky road bird rain snow tree fire lake moon star wind song hand door bed cup".split()  # noqa: SIM905
ROUNDS = 15
READ_WORDS = {"llamacpp": 900, "transformers": 500}


@contextmanager
def engine_on(runtime: str) -> Iterator[LocalEngine]:
    """An engine that has no other runtime, with its model loaded."""
    settings = replace(current(), deadline_seconds=600.0)
    store = Store(settings, read_catalogue())
    only = [one for one in runtimes() if one.id == runtime]
    engine = LocalEngine(settings, store.catalogue, store.path, runtimes=lambda *_: only)
    try:
        words(engine, 12, 2)
        yield engine
    finally:
        engine.close()
        store.close()


def words(
    engine: LocalEngine, length: int, tokens: int, visitor: str = "one", is_enough: Callable[[], bool] = lambda: False
) -> list[float]:
    """Seconds from a request to each piece of its answer, for a prompt of so many words that nobody sent before."""
    prompt = " ".join(random.choice(WORDS) for _ in range(length))
    request = Generate(prompt, sampling=Sampling(tokens, 0.8, seed=random.randrange(10**6)))
    started, seen = time.perf_counter(), list[float]()
    with closing(engine.stream_all(MODEL, [request], Caller(visitor, "host"))) as events:  # type: ignore[type-var]
        for _, event in events:
            if event.kind == "text":
                seen.append(time.perf_counter() - started)
            if is_enough():
                break
    return seen


def alone() -> dict[str, Any]:
    """A long prompt alone, read as it is and, in turns with that, in one piece: seconds to its first word. Of many
    rounds the shortest tell what both cost where other work comes between."""
    from engine.backends.ggml import backend as llamacpp
    from engine.backends.pytorch import sharing as transformers

    limits = {"llamacpp": (llamacpp, "LONG_BYTES"), "transformers": (transformers, "LONG_TOKENS")}
    found: dict[str, Any] = {}
    for runtime, (module, name) in limits.items():
        usual, seconds = getattr(module, name), {"stages": list[float](), "whole": list[float]()}
        with engine_on(runtime) as engine:
            for number in range(ROUNDS):
                both = [("stages", usual), ("whole", 10**9)]
                for kind, limit in both if number % 2 else reversed(both):
                    setattr(module, name, limit)
                    seconds[kind].append(words(engine, READ_WORDS[runtime], 1)[0])
        setattr(module, name, usual)
        lost = {by.__name__: by(seconds["stages"]) / by(seconds["whole"]) - 1 for by in (median, min)}
        found[runtime] = seconds | {"words": READ_WORDS[runtime], "lost": lost}
    return found


def beside() -> dict[str, Any]:
    """On the runtime transformers: a short request and a running stream, alone and beside four long prompts."""
    with engine_on("transformers") as engine:

        def speed(seconds: float) -> float:
            end = time.monotonic() + seconds
            seen = words(engine, 12, 1000, "reader", lambda: time.monotonic() > end)
            return (len(seen) - 1) / (seen[-1] - seen[0])

        firsts, speeds = [words(engine, 12, 4)[0] for _ in range(8)], [speed(8)]
        leave = threading.Event()
        many = [
            threading.Thread(target=words, args=(engine, 3700, 8, f"long {number}", leave.is_set))
            for number in range(4)
        ]
        for one in many:
            one.start()
        time.sleep(3)
        besides = [words(engine, 12, 4)[0] for _ in range(10)]
        speeds.append(speed(12))
        still = sum(one.is_alive() for one in many)
        leave.set()
        for one in many:
            one.join()
    return {
        "short_first_s": [median(firsts), median(besides)],
        "short_times": median(besides) / median(firsts),
        "short_longest_s": max(besides),
        "stream_tokens_s": speeds,
        "stream_share": speeds[1] / speeds[0],
        "long_prompts_still_read": still,
    }
