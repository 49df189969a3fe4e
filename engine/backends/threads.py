"""How many threads a runtime computes with: all cores, or fewer where a measurement on this machine found them faster.

The app measures once, when nobody asks for anything, in a child process of low priority:
`python -m engine.backends.threads`.
"""

from __future__ import annotations

import os
import platform
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Literal

from engine.files import read_json, write_json
from engine.jobs import process
from engine.priority import step_back
from engine.requests import Classify, Generate, Request, Sampling
from engine.settings import Settings, available_cores, current

if TYPE_CHECKING:
    from engine.catalogue.store import Store
    from engine.serving.compose import House

Runtime = Literal["llamacpp", "transformers"]
Speed = Callable[[int], float]
"""Measures with so many threads; in any unit a second."""

PROBES: dict[Runtime, str] = {"llamacpp": "smollm2-135m-instruct", "transformers": "sentiment-minilm"}
"""The embedded models that are measured with, on whatever serves models of that runtime here: CTranslate2 or torch."""
REQUESTS: dict[Runtime, Sequence[Request]] = {
    "llamacpp": [Generate("Once upon a time", sampling=Sampling(32, 0.0))],
    "transformers": [Classify("The rooms were clean, the staff was kind, and breakfast came late. " * 4)] * 64,
}
FILE = "threads.json"
ROUNDS = 3
GAIN = 1.1
"""Fewer threads must be this much faster than all cores."""
SPREAD = 1.25
"""Fastest over slowest round, above which something else was at work."""
FIRST_SECONDS = 20.0
"""From the server's start to the first look whether it is idle."""
LOOK_SECONDS = 2.0
CHILD_SECONDS = 180.0
TRIES = 3
"""Measurements begun by one server, of which visitors interrupted all but the last."""


def threads_for(runtime: Runtime, settings: Settings) -> int:
    """Threads for a runtime: the setting, else what was measured on this very machine, else all cores."""
    if settings.threads:
        return settings.threads
    return _measured(settings).get(runtime) or available_cores()


def missing(settings: Settings) -> list[Runtime]:
    """The runtimes that are still to be measured; none where there is no choice or a person made it."""
    if settings.threads or not settings.prefetch or available_cores() == 1:
        return []
    return [runtime for runtime in PROBES if runtime not in _measured(settings)]


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


def watch(house: House, is_over: threading.Event) -> None:
    """Wait until nothing is at work and have measured what is missing; returns when that is done or `is_over`."""
    pause, tries = FIRST_SECONDS, 0
    while tries < TRIES and missing(house.settings) and not is_over.wait(pause):
        pause = LOOK_SECONDS
        if not house.engine.is_busy and not is_machine_busy() and _has_probes(house):
            tries += 1
            if _run_child(house, is_over):
                return


def _has_probes(house: House) -> bool:
    is_cpu = house.engine.status().device == "cpu"
    return is_cpu and all(house.store.availability(id).state == "ready" for id in PROBES.values())


def _run_child(house: House, is_over: threading.Event) -> bool:
    """Whether the measurement came to its end; the first visitor who wants something ends it before."""
    child = process.start(process.python("engine.backends.threads"))
    ends = time.monotonic() + CHILD_SECONDS
    try:
        while child.poll() is None and time.monotonic() < ends:
            if house.engine.is_busy or is_over.wait(0.1):
                return False
    finally:
        process.end(child)
    return True


def _measured(settings: Settings) -> dict[str, int]:
    """What was measured on this machine; nothing else in the file is believed."""
    found = read_json(settings.cache_folder.expanduser() / FILE)
    if found.get("machine") != _machine():
        return {}
    possible = range(1, available_cores() + 1)
    return {name: best for name, best in found.items() if type(best) is int and best in possible}


@cache
def _machine() -> dict[str, Any]:
    """What a measurement holds for."""
    facts: dict[str, Any] = {"processor": _processor(), "cores": available_cores()}
    for package in ("xllamacpp", "ctranslate2", "torch"):
        with suppress(PackageNotFoundError):
            facts[package] = version(package)
    return facts


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _speed(runtime: Runtime, store: Store, settings: Settings) -> Speed:
    """The speed of the runtime as it serves: tokens a second of one stream, or texts a second of a batch."""
    from engine.backends import loader as backends
    from engine.serving.worker import Statistics, Ticket

    model, path = store.catalogue.find(PROBES[runtime]), store.path(PROBES[runtime])

    def speed(count: int) -> float:
        backend = backends.load(model, path, replace(settings, threads=count, slots=1, context_tokens=512))
        for _ in range(2):  # the first time is slower
            tickets = [Ticket(request, CHILD_SECONDS, Statistics()) for request in REQUESTS[runtime]]
            started = time.perf_counter()
            backend.run(tickets)
            seconds = time.perf_counter() - started
            if not all(ticket.result for ticket in tickets):
                raise RuntimeError(f"{model.id} gave no answer")
        backend.close()
        return getattr(tickets[0].result, "tokens_per_second", None) or len(tickets) / seconds

    return speed


def main() -> None:
    """Measure what is missing and keep what the rounds agree on; the rest is measured at the next start."""
    from engine.catalogue.models import read_catalogue
    from engine.catalogue.store import Store

    if is_machine_busy():
        sys.exit("Others compute on this machine, so that a measurement would mislead. Try again when it is idle.")
    step_back()
    settings = current()
    store = Store(settings, read_catalogue())
    for runtime in missing(settings):
        if best := measure(_speed(runtime, store, settings), available_cores()):
            kept = {"machine": _machine(), **_measured(settings), runtime: best}
            write_json(settings.cache_folder.expanduser() / FILE, kept)


if __name__ == "__main__":
    main()
