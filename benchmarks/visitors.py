"""Many visitors streaming at once: our engine against the bare server with its best slot count, and a queue of one."""

from __future__ import annotations

from typing import Any

from benchmarks.figures import Figure, Options, figure
from benchmarks.machine import Rates
from benchmarks.sides import Side, alternate, opened
from benchmarks.texts import PROMPT_TOKENS
from benchmarks.weights import fetched, safetensors
from engine.catalogue.models import read_catalogue

MODEL = "smollm2-135m-instruct"
VISITORS = (8, 32)
SLOTS = (4, 8, 16, 32)


def measure(options: Options, rates: Rates) -> list[Figure]:
    """Tokens a second in sum, and when the last visitor saw the first token."""
    return [figure for visitors in VISITORS for figure in _crowd(visitors, options, rates)]


def _crowd(visitors: int, options: Options, rates: Rates) -> list[Figure]:
    path, tokens = fetched(MODEL), options.choose(48, 12)
    slots = best_slots(visitors, options)
    functions: dict[str, tuple[str, dict[str, Any]]] = {
        "ours": ("benchmarks.ours:stories", {"model": MODEL}),
        "bare xllamacpp": ("benchmarks.peers:bare_llama", {"path": str(path), "slots": slots, "context_tokens": 1024}),
        "queue of one": ("benchmarks.peers:pipeline_stories", {"folder": str(safetensors(MODEL))}),
    }
    # A queue of one gives the same sum however many wait in it, so that two visitors are enough to know it.
    crowd = {"ours": visitors, "bare xllamacpp": visitors, "queue of one": min(visitors, 1 if options.is_short else 2)}
    with opened(functions, options.threads) as sides:
        for name, side in sides.items():
            side(visitors=crowd[name], tokens=8)
        rounds = alternate(
            {name: lambda name=name: sides[name](visitors=crowd[name], tokens=tokens) for name in sides},  # type: ignore[misc]
            options.pairs,
        )
    parameters = read_catalogue().find(MODEL).parameters
    limit = min(rates.bandwidth / path.stat().st_size * visitors, rates.int8 / (2 * parameters))
    shared: dict[str, Any] = {
        "work": f"{visitors} visitors at once, {MODEL}, {tokens} tokens each", "unit": "tokens/s", "limit": limit,
        "limit_note": "weights read once a step of all visitors, or its operations at the int8 rate",
    }  # fmt: skip
    bare = f"bare xllamacpp, {slots} slots"
    return [
        figure(rounds, "speed", "bare xllamacpp", row="visitors", reach=0.95, **(shared | {"peer": bare})),
        figure(
            rounds,
            "last_first_ms",
            "bare xllamacpp",
            row="visitors",
            reach=1.2,
            is_at_most=True,
            unit="ms",
            work=f"every first token, {visitors} visitors",
            peer=bare,
            limit=rates.prompt_ms(parameters, visitors * PROMPT_TOKENS),
            limit_note="operations of all prompts at the int8 matrix rate",
        ),
        figure(rounds, "speed", "queue of one", row="visitors", reach=8.0, **shared),
    ]


def best_slots(visitors: int, options: Options) -> int:
    """The slot count with which the bare server writes most, one trial each."""
    speeds = {}
    for slots in (count for count in SLOTS if count <= visitors):
        side = Side(
            "benchmarks.peers:bare_llama", options.threads, path=str(fetched(MODEL)), slots=slots, context_tokens=1024
        )
        try:
            side(visitors=1, tokens=8)
            speeds[slots] = side(visitors=visitors, tokens=options.choose(24, 8))["speed"]
        finally:
            side.close()
    return max(speeds, key=lambda slots: speeds[slots])
