"""One story stream: our engine against bare xllamacpp and against the `transformers` pipeline, same weights."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from benchmarks.figures import Figure, Options, figure
from benchmarks.machine import Rates
from benchmarks.sides import alternate, opened
from benchmarks.texts import PROMPT_TOKENS
from benchmarks.weights import fetched, safetensors
from engine.catalogue.models import read_catalogue

MODELS = ("smollm2-135m-instruct", "gemma-3-270m")
SHORT_ROUNDS = 3
"""Times as many rounds as elsewhere, since one lasts only seconds and the goal is a matter of three per cent."""


def measure(options: Options, rates: Rates) -> list[Figure]:
    """Tokens a second and milliseconds to the first token, for each embedded decoder."""
    return [figure for model in MODELS for figure in _model(model, options, rates)]


def _model(model: str, options: Options, rates: Rates) -> list[Figure]:
    path, tokens = fetched(model), options.choose(64, 24)
    functions: dict[str, tuple[str, dict[str, Any]]] = {
        "ours": ("benchmarks.ours:stories", {"model": model}),
        "bare xllamacpp": ("benchmarks.peers:bare_llama", {"path": str(path), "slots": 1}),
        "transformers pipeline": ("benchmarks.peers:pipeline_stories", {"folder": str(safetensors(model))}),
    }
    with opened(functions, options.threads) as sides:
        for side in sides.values():
            side(visitors=1, tokens=8)
        rounds = alternate(
            {name: lambda side=side: side(visitors=1, tokens=tokens) for name, side in sides.items()},  # type: ignore[misc]
            SHORT_ROUNDS * options.pairs,
        )
    speed: dict[str, Any] = {
        "work": f"one story, {model}, {tokens} tokens", "unit": "tokens/s",
        "limit": rates.bandwidth / path.stat().st_size,
        "limit_note": "bytes of the weights read once a token",
    }  # fmt: skip
    first = figure(
        rounds, "first_ms", "bare xllamacpp", row="stories", work=f"first token, {model}", reach=20.0, kind="ms",
        is_at_most=True, unit="ms", combine=lambda ours, theirs: ours - theirs,
    )  # fmt: skip
    return [
        figure(rounds, "speed", "bare xllamacpp", row="stories", reach=0.97, **speed),
        replace(
            first,
            limit=rates.prompt_ms(read_catalogue().find(model).parameters, PROMPT_TOKENS),
            limit_note="operations of the prompt at the int8 matrix rate",
        ),
        figure(rounds, "speed", "transformers pipeline", row="stories", reach=4.0, **speed),
    ]
