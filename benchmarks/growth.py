"""How cost grows with length, visitors, rows and models: curves of our engine alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

from benchmarks.figures import Options
from benchmarks.sides import Side, Work, at_once
from benchmarks.texts import WORDS

Curve = dict[str, Any]
"""`title`, names of both axes, and `points`: pairs of numbers."""
STORY_MODEL, ROW_MODEL = "smollm2-135m-instruct", "sentiment-e5"
LENGTHS, VISITORS, ROWS = (32, 128, 512, 1024, 2048), (1, 2, 4, 8, 16, 32), (1, 30, 100, 300, 1000, 2000)
ORDER = ("sentiment-e5", "answer-e5", "multilingual-e5-small", "smollm2-135m-instruct", "gemma-3-270m")


def measure(options: Options) -> dict[str, Curve]:
    """All curves; medians of two (one when short)."""
    times = 1 if options.is_short else 2
    side = Side("benchmarks.growth:engine", options.threads)
    try:
        return {
            "length": {
                "title": "prompt length", "x": "tokens of the prompt, about", "y": "seconds to the first token",
                "points": _points(side, "first_token", _some(LENGTHS, options), times),
            },
            "visitors": {
                "title": "visitors at once", "x": "visitors", "y": "seconds until all have 32 tokens",
                "points": _points(side, "crowd", _some(VISITORS, options), times),
            },
            "rows": {
                "title": "rows of one request", "x": "rows (sentiment)", "y": "seconds",
                "points": _points(side, "rows", _some(ROWS, options), times),
            },
            "models": {
                "title": "models in memory", "x": "models loaded", "y": "ms of a sentiment request",
                "points": _points(side, "models", _some(tuple(range(1, len(ORDER) + 1)), options), times),
            },
        }  # fmt: skip
    finally:
        side.close()


def _some(values: Sequence[int], options: Options) -> Sequence[int]:
    return values[:2] if options.is_short else values


def _points(side: Side, what: str, values: Sequence[int], times: int) -> list[list[float]]:
    return [[value, median(side(what=what, value=value)["cost"] for _ in range(times))] for value in values]


def engine() -> Work:
    """One engine that is asked for each point."""
    from benchmarks.ours import CALLER, open_engine, wait_loaded
    from engine.applications.sentiment import APPLICATION, SentimentRequest
    from engine.requests import Classify, Generate, Sampling

    made, numbers = open_engine(), iter(range(10**9))
    for model in (ROW_MODEL, STORY_MODEL):
        wait_loaded(made, model)

    APPLICATION.run(
        made, SentimentRequest(["once, so that what is read at the first request is there"], ROW_MODEL), CALLER
    )

    def first_token(value: int) -> float:
        """Every prompt begins differently, so that none finds the state of an earlier one."""
        words = " ".join(WORDS[(next(numbers) * 7 + place) % len(WORDS)] for place in range(value))
        asked = Generate(f"{next(numbers)} {words}", sampling=Sampling(4, 0.8, seed=1))
        stream = made.stream(STORY_MODEL, asked, CALLER)
        started = time.perf_counter()
        firsts = [time.perf_counter() - started for event in stream if event.kind == "text"]
        return firsts[0]

    def crowd(value: int) -> float:
        def one(number: int, tokens: int) -> tuple[int, float]:
            asked = Generate(f"Story {next(numbers)}: once", sampling=Sampling(tokens, 0.8, seed=number))
            return sum(event.kind == "text" for event in made.stream(STORY_MODEL, asked, CALLER)), 0.0

        return _seconds(lambda: at_once(one, value, 32))

    def rows(value: int) -> float:
        texts = [" ".join(WORDS[(place * 5 + n) % len(WORDS)] for n in range(12)) for place in range(value)]
        return _seconds(
            lambda: APPLICATION.run(
                made, SentimentRequest([f"{next(numbers)} {text}" for text in texts], ROW_MODEL), CALLER
            )
        )

    def models(value: int) -> float:
        for model in ORDER[:value]:
            wait_loaded(made, model)
        asked = [Classify(f"{next(numbers)} the film was slow and warm") for _ in range(20)]
        return 1000 * median(_seconds(lambda one=one: made.run(ROW_MODEL, [one], CALLER)) for one in asked)  # type: ignore[misc]

    crowd(32)  # the slots for it are made once, see the notes

    costs: dict[str, Callable[[int], float]] = {
        "first_token": first_token, "crowd": crowd, "rows": rows, "models": models
    }  # fmt: skip
    return lambda what, value: {"cost": costs[what](value)}


def _seconds(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
