"""Our side of the rows: the engine as the app has it, in a process of its own."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.sides import Work, at_once
from benchmarks.texts import QUESTIONS, TOP_K, documents, mixed_rows, passages, short_sentences, story_prompt
from benchmarks.weights import seq2seq_model
from engine.catalogue.models import Model
from engine.requests import Embed, Extract, Generate, Sampling
from engine.serving.compose import open_house
from engine.serving.protocol import Caller, Engine
from engine.settings import current

LONG_SECONDS = 3600.0
CALLER = Caller("benchmark", "host")


def open_engine(*models: Model, **settings: Any) -> Engine:
    """An engine with the machine's settings, patient enough for a benchmark, that knows these models as well."""
    chosen = replace(
        current(), **({"deadline_seconds": LONG_SECONDS, "prefetch": False, "result_cache_bytes": 0} | settings)
    )
    return open_house(chosen, more=models).engine


def wait_loaded(engine: Engine, model_id: str) -> None:
    """Have the model in memory."""
    engine.load(model_id, CALLER)
    while next(one.state for one in engine.status().models if one.id == model_id) == "loading":
        time.sleep(0.05)


def stories(model: str) -> Work:
    """Streams of one model: `visitors` at once, each of `tokens` new tokens; see `at_once`."""
    engine = open_engine()
    wait_loaded(engine, model)

    def one(number: int, tokens: int) -> tuple[int, float]:
        asked = Generate(story_prompt(number), sampling=Sampling(tokens, 0.8, top_k=TOP_K, seed=number))
        started, first, count = time.perf_counter(), 0.0, 0
        for event in engine.stream(model, asked, CALLER):
            if event.kind == "text" and not first:
                first = time.perf_counter() - started
            elif event.kind == "done":
                count = event.result.new_tokens
        return count, first

    return lambda visitors, tokens: at_once(one, visitors, tokens)


def sentiment(count: int, model: str = "sentiment-e5") -> Work:
    """Mixed rows through the application, as page and API do it; the labels."""
    from engine.applications.sentiment import APPLICATION, SentimentRequest

    rows = mixed_rows(count)
    engine = open_engine(max_rows=max(2000, count))
    wait_loaded(engine, model)
    return lambda: {
        "labels": [one.label for one in APPLICATION.run(engine, SentimentRequest(rows, model), CALLER).results]
    }


def answers(count: int, model: str = "answer-e5") -> Work:
    """A question to each of so many long documents."""
    engine = open_engine()
    wait_loaded(engine, model)
    asked = [Extract(QUESTIONS[place % len(QUESTIONS)], text) for place, text in enumerate(documents(count))]

    def work() -> dict[str, Any]:
        results = engine.run(model, asked, CALLER)
        return {"answers": [one.spans[0].text for one in results]}  # type: ignore[union-attr]

    return work


def translations(folder: str, count: int, tokens: int) -> Work:
    """Greedy translations by the seq2seq model in the folder."""
    model = seq2seq_model(Path(folder))
    engine = open_engine(model)
    wait_loaded(engine, model.id)
    asked = [Generate(text, sampling=Sampling(tokens, 0.0)) for text in short_sentences(count)]

    def work() -> dict[str, Any]:
        results = engine.run(model.id, asked, CALLER)
        return {"tokens": sum(one.new_tokens for one in results)}  # type: ignore[misc, union-attr]

    return work


def embeddings(count: int, model: str = "minilm-l6") -> Work:
    """A vector for each of so many passages."""
    engine = open_engine()
    wait_loaded(engine, model)
    asked = [Embed(text) for text in passages(count)]

    def work() -> dict[str, Any]:
        results = engine.run(model, asked, CALLER)
        return {"vectors": [list(one.vector) for one in results[:8]]}  # type: ignore[union-attr]

    return work
