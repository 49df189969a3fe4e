"""`python -m engine.backends.threads` measures with how many threads this machine computes fastest, for `cores`.

It takes a minute or two, and nothing else should be at work meanwhile.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from statistics import median
from typing import Any

from engine.backends import loader
from engine.backends.cores import Kind, keep
from engine.catalogue.models import read_catalogue
from engine.catalogue.store import Store
from engine.requests import Classify, Generate, Request, Result, Sampling, Token
from engine.settings import Settings, available_cores, current

Speed = Callable[[int], float]
"""Measures with so many threads; in any unit a second."""

PROBES: dict[Kind, str] = {"llamacpp": "smollm2-135m-instruct", "transformers": "sentiment-e5"}
"""The embedded models that are measured with."""
REQUESTS: dict[Kind, Sequence[Request]] = {
    "llamacpp": [Generate("Once upon a time", sampling=Sampling(32, 0.0, seed=1))],
    "transformers": [Classify("The rooms were clean, the staff was kind, and breakfast came late. " * 4)] * 64,
}
ROUNDS = 3
GAIN = 1.1
"""Fewer threads must be this much faster than all cores."""
SPREAD = 1.25
"""Fastest over slowest round, above which something else was at work."""


def counts(cores: int) -> list[int]:
    """1, 2, 4 and so on, and all cores."""
    return [*(2**power for power in range(cores.bit_length()) if 2**power < cores), cores]


def choose(speeds: Mapping[int, Sequence[float]]) -> int | None:
    """The best number of threads by the medians of its rounds; None where the rounds do not agree.

    `speeds` holds, by number of threads, the speed in each round; the largest number is all cores.
    """
    cores = max(speeds)
    fastest = max(speeds, key=lambda count: median(speeds[count]))
    best = fastest if median(speeds[fastest]) > GAIN * median(speeds[cores]) else cores
    return best if all(max(speeds[count]) <= SPREAD * min(speeds[count]) for count in (fastest, cores)) else None


def measure(speed: Speed, cores: int) -> int | None:
    """Measure with every number in turn, and again, so that what disturbs one round disturbs all numbers alike."""
    speeds: dict[int, list[float]] = {count: [] for count in counts(cores)}
    for _ in range(ROUNDS):
        for count, found in speeds.items():
            found.append(speed(count))
    return choose(speeds)


def is_machine_busy() -> bool:
    """Whether others computed on a quarter of the machine in the last minute."""
    with suppress(OSError, AttributeError):  # not on every system
        return os.getloadavg()[0] > (os.cpu_count() or 1) / 4
    return False


class _Probe:
    """A job that keeps its result."""

    is_cancelled, visitor, circle = False, "", None

    def __init__(self, request: Request) -> None:
        self.request = request
        self.result: Any = None

    def emit(self, text: str, token: Token | None = None) -> None: ...

    def finish(self, result: Result) -> None:
        self.result = result

    def fail(self, error: Exception) -> None:
        raise error


def _speed(kind: Kind, store: Store, settings: Settings) -> Speed:
    """The speed of a probe as it serves: tokens a second of one stream, or texts a second of a batch."""
    model, path = store.catalogue.find(PROBES[kind]), store.path(PROBES[kind])

    def speed(count: int) -> float:
        backend = loader.load(model, path, replace(settings, threads=count, slots=1, context_tokens=512))
        for _ in range(2):  # the first time is slower
            jobs = [_Probe(request) for request in REQUESTS[kind]]
            started = time.perf_counter()
            backend.run(jobs)
            seconds = time.perf_counter() - started
        backend.close()
        return getattr(jobs[0].result, "tokens_per_second", None) or len(jobs) / seconds

    return speed


def main() -> None:
    """Measure for each kind of runtime and keep what the rounds agree on."""
    if is_machine_busy():
        sys.exit("Others compute on this machine, so that a measurement would mislead. Try again when it is idle.")
    settings = current()
    store = Store(settings, read_catalogue())
    for kind, model_id in PROBES.items():
        if best := measure(_speed(kind, store, settings), available_cores()):
            keep(kind, best, settings)
            print(f"{kind}: {best} of {available_cores()} threads, measured with {model_id}")
        else:
            print(f"{kind}: the rounds did not agree; nothing was kept. Try again when nothing else is at work.")


if __name__ == "__main__":
    main()
