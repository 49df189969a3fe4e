"""Texts a second of a classifier: our batches against `transformers.pipeline` on the same weights, texts and dtype.

Run `python -m benchmarks.encoder [folder]`; the ratio counts, the figures depend on the machine and what else it does.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import transformers

from engine.backends.transformers import TransformersBackend
from engine.catalogue import Model, Source
from engine.requests import Classify, Request, Result
from engine.settings import read_settings

SENTENCE = "the film a story was slow warm and of brilliant dull actors never quite but scenes music ending with"
BATCH = 32


class Slot:
    """A job that only keeps its result."""

    is_cancelled = False

    def __init__(self, request: Request) -> None:
        self.request: Any = request
        self.result: Any = None

    def emit(self, text: str, token: object = None) -> None:
        """Classification emits nothing."""

    def finish(self, result: Result) -> None:
        self.result = result

    def fail(self, error: Exception) -> None:
        raise error


def make_texts(count: int) -> list[str]:
    """Texts of 4 to 120 words, most of them short, as people send them."""
    source, words = random.Random(0), SENTENCE.split()
    return [" ".join(source.choices(words, k=min(120, 4 + int(source.expovariate(1 / 20))))) for _ in range(count)]


def open_backend(folder: Path) -> TransformersBackend:
    """The backend on a classifier's folder, with the settings of the environment."""
    model = Model(
        id="classifier", title=folder.name, family="", architecture="classification", runtime="transformers",
        parameters=0, languages=(), licence="", size_bytes=0, memory_bytes=0, applications=(), source=Source("local"),
    )  # fmt: skip
    return TransformersBackend(model, folder, read_settings())


def run_ours(backend: TransformersBackend, texts: list[str]) -> list[str]:
    """Labels by our backend, `BATCH` jobs a call, as the core hands them over (short ones first)."""
    slots = [Slot(Classify(text)) for text in texts]
    ordered = sorted(slots, key=lambda slot: len(slot.request.text))
    for start in range(0, len(ordered), BATCH):
        backend.run(ordered[start : start + BATCH])
    return [slot.result.label for slot in slots]


def seconds(work: Callable[[], Any]) -> float:
    """How long the work takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    """Measure in turns, so that a busy moment of the machine hits all alike."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("models/sentiment-minilm"))
    parser.add_argument("--texts", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    texts = make_texts(options.texts)
    backend = open_backend(options.folder)
    pipe = transformers.pipeline(
        "text-classification", model=backend.module, tokenizer=backend.tokenizer, device=backend.module.device
    )
    rivals: dict[str, Callable[[], list[str]]] = {
        "ours": lambda: run_ours(backend, texts),
        "pipeline, one by one": lambda: [answer["label"] for answer in pipe(texts, truncation=True)],
        f"pipeline, batch {BATCH}": lambda: [a["label"] for a in pipe(texts, truncation=True, batch_size=BATCH)],
    }
    labels = {name: work() for name, work in rivals.items()}
    rounds = [{name: seconds(work) for name, work in rivals.items()} for _ in range(options.rounds)]
    times = {name: [taken[name] for taken in rounds] for name in rivals}
    print(f"{options.folder.name}: {len(texts)} texts, {backend.device}, {backend.dtype}")
    for name, values in times.items():
        agreement = sum(a == b for a, b in zip(labels[name], labels["ours"], strict=True)) / len(texts)
        ratio = median(values) / median(times["ours"])
        speed = len(texts) / median(values)
        print(f"{name:24} {speed:8.1f} texts/s, time {ratio:5.2f} x ours, same label {agreement:.0%}")


if __name__ == "__main__":
    main()
