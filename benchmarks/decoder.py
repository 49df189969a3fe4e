"""Tokens a second of the llama.cpp backend against bare xllamacpp: one stream and eight, alternated, medians.

`python -m benchmarks.decoder [model] [--pairs 5] [--tokens 64] [--threads N]`; the weights come from the store.
Bare means xllamacpp's own defaults (its attention, repacked weights, batches of 512) with as many threads and slots.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import engine  # noqa: F401  (its OpenMP setting has to be there before xllamacpp is)
from engine.backends.llamacpp import LlamaCppBackend
from engine.catalogue import read_catalogue
from engine.requests import Generate, Request, Result, Sampling, Token
from engine.settings import Settings, current
from engine.store import Store

PROMPT = "In a small town by the sea there lived an old clockmaker, number {}, who"
STREAMS = 8


@dataclass
class Run:
    """A job that only keeps its result."""

    request: Request
    is_cancelled: bool = False
    results: list[Any] = field(default_factory=list)

    def emit(self, text: str, token: Token | None = None) -> None: ...

    def finish(self, result: Result) -> None:
        self.results.append(result)

    def fail(self, error: Exception) -> None:
        raise error


class Ours:
    """The backend, asked through its jobs."""

    def __init__(self, backend: LlamaCppBackend) -> None:
        self.backend = backend

    def generate(self, index: int, tokens: int) -> int:
        job = Run(Generate(PROMPT.format(index), sampling=Sampling(tokens, 0.8, seed=index)))
        self.backend.run([job])
        return int(job.results[0].new_tokens)


class Bare:
    """The binding alone, streaming, with a callback that does nothing."""

    def __init__(self, path: Path, settings: Settings) -> None:
        import xllamacpp

        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(path)
        parameters.n_parallel = settings.slots
        parameters.n_ctx = settings.slots * settings.context_tokens
        parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = settings.threads
        parameters.verbosity = 0
        self.server = xllamacpp.Server(parameters)

    def generate(self, index: int, tokens: int) -> int:
        chunks: list[dict[str, Any]] = []
        body = {"prompt": PROMPT.format(index), "n_predict": tokens, "temperature": 0.8, "seed": index, "stream": True}
        self.server.handle_completions(body | {"top_k": 0, "top_p": 1.0, "min_p": 0.0}, chunks.append)
        return int(chunks[-1]["usage"]["completion_tokens"])


def speed(generate: Callable[[int, int], int], streams: int, tokens: int) -> float:
    """Tokens a second of all streams together, from the call to the last token."""
    start = time.perf_counter()
    with ThreadPoolExecutor(streams) as pool:
        total = sum(pool.map(lambda index: generate(index, tokens), range(streams)))
    return total / (time.perf_counter() - start)


def main() -> None:
    """Print one line for one stream and one for eight."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="smollm2-135m-instruct")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--threads", type=int, default=0)
    options = parser.parse_args()
    settings = replace(current(), slots=STREAMS, context_tokens=1024, threads=options.threads or current().threads)
    catalogue = read_catalogue()
    store = Store(settings, catalogue)
    path = store.path(options.model)
    ours, bare = Ours(LlamaCppBackend(catalogue.find(options.model), path, settings)), Bare(path, settings)
    print(f"{options.model}, {settings.threads} threads, {options.tokens} new tokens, medians of {options.pairs} pairs")
    print("streams   ours   bare   ours/bare (median of the pairs' ratios)")
    for streams in (1, STREAMS):
        speed(ours.generate, streams, 4), speed(bare.generate, streams, 4)
        pairs = [
            (speed(ours.generate, streams, options.tokens), speed(bare.generate, streams, options.tokens))
            for _ in range(options.pairs)
        ]
        own, other = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = statistics.median(a / b for a, b in pairs)
        print(f"{streams:7} {own:6.1f} {other:6.1f}   {ratio:.2f}", flush=True)
    ours.backend.close()
    store.close()


if __name__ == "__main__":
    main()
