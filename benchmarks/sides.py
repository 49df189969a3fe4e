"""The sides of a comparison, each a process of its own that loads once and then works when it is told to.

A side is a function `module:name` of this package: its options load, what it returns is called for each measurement.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
Work = Callable[..., dict[str, Any]]
THREADS = int(os.environ.get("OMP_NUM_THREADS", "1"))
"""Of this side. A peer takes it from here and never imports the engine, whose settings of OpenMP are its own."""


class Side:
    """A process that holds one side. Raises RuntimeError when it ends before it should."""

    def __init__(self, function: str, threads: int, **options: Any) -> None:
        self.function = function
        # What the engine set for itself in this process must not act on its peers.
        environment = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"} | {
            "OMP_NUM_THREADS": str(threads),
            "PARLANCE_THREADS": str(threads),
            "HF_HUB_OFFLINE": "1",
            "TRANSFORMERS_VERBOSITY": "error",
        }
        command = [sys.executable, "-m", "benchmarks.sides", function, json.dumps(options)]
        self._process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.loaded: dict[str, Any] = self._answer()

    def __call__(self, **arguments: Any) -> dict[str, Any]:
        """Work once; what the side measured, and `seconds` by its own clock."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(arguments) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.function} ended with status {self._process.wait()}; its words are above")
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def opened(functions: Mapping[str, tuple[str, dict[str, Any]]], threads: int) -> Iterator[dict[str, Side]]:
    """The sides by name, loaded one after the other, and ended at last."""
    sides: dict[str, Side] = {}
    try:
        for name, (function, options) in functions.items():
            sides[name] = Side(function, threads, **options)
        yield sides
    finally:
        for side in sides.values():
            side.close()


def alternate(works: Mapping[str, Callable[[], dict[str, Any]]], rounds: int) -> list[dict[str, dict[str, Any]]]:
    """Have every side work once a round, in turns that change direction, so that a busy moment hits all alike."""
    names, done = list(works), []
    for number in range(rounds):
        order = names if number % 2 == 0 else names[::-1]
        done.append({name: works[name]() for name in order})
    return done


_calls = count()


def at_once(one: Callable[[int, int], tuple[int, float]], visitors: int, tokens: int) -> dict[str, Any]:
    """Have so many visitors ask at the same moment; `one` takes a number, another for each visitor of each call, and
    how many tokens to write.

    It returns how many came and after how many seconds the first. The result: tokens a second in sum, milliseconds to
    the first token of the first and of the last who got one.
    """
    first_number = 1000 * next(_calls)
    started = time.perf_counter()
    with ThreadPoolExecutor(visitors) as pool:
        seen = list(pool.map(lambda number: one(first_number + number, tokens), range(visitors)))
    seconds = time.perf_counter() - started
    firsts = sorted(1000 * first for _, first in seen)
    total = sum(written for written, _ in seen)
    return {"speed": total / seconds, "first_ms": firsts[0], "last_first_ms": firsts[-1], "tokens": total}


def serve(function: str, options: dict[str, Any]) -> None:
    """The child: load, then answer each line of arguments with one of measurements."""
    protocol = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints must not come between
    module, _, name = function.partition(":")
    started = time.perf_counter()
    work: Work = getattr(importlib.import_module(module), name)(**options)
    print(json.dumps({"seconds": time.perf_counter() - started}), file=protocol, flush=True)
    for line in sys.stdin:
        started = time.perf_counter()
        answer = work(**json.loads(line))
        print(json.dumps({"seconds": time.perf_counter() - started} | answer), file=protocol, flush=True)
    protocol.close()
    os._exit(0)  # some runtimes' threads would hold the process


if __name__ == "__main__":
    serve(sys.argv[1], json.loads(sys.argv[2]))
