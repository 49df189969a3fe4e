"""How soon a draft goes on from another word, what telling its probabilities costs, and four drafts beside one.

    python -m benchmarks.drafts [MODEL ...]

Prints medians of five rounds. A draft has 100 tokens; the other word stands after 25, 50 and 75 of them.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from benchmarks.ours import CALLER, open_engine
from engine.applications import write
from engine.applications.drafts import seeded
from engine.applications.together import together
from engine.applications.write import WriteRequest, WriteResult
from engine.serving.protocol import Engine

MODELS = ("smollm2-135m-instruct", "gemma-3-270m")
ROUNDS, TOKENS, PLACES = 5, 100, (25, 50, 75)
ASKED = WriteRequest("a lighthouse keeper and a whale", "story", max_new_tokens=TOKENS)


def timed(engine: Engine, request: WriteRequest) -> tuple[WriteResult, float, float]:
    """The result, and the seconds until its first new word and until its end."""
    started, first = time.perf_counter(), 0.0
    for event in write.stream(engine, request, CALLER):
        if event.kind == "text" and not first:
            first = time.perf_counter() - started
    return event.result, first, time.perf_counter() - started


def rest(engine: Engine, draft: WriteResult, request: WriteRequest, place: int) -> tuple[float, float]:
    """Seconds until the first word and the end of what follows another word at that token."""
    token = draft.tokens[min(place, len(draft.tokens) - 1)]
    begun = draft.text[: token.start] + token.rivals[0].text
    _, first, whole = timed(engine, replace(request, continuation=begun, max_new_tokens=TOKENS - place))
    return first, whole


def measure(engine: Engine, model: str) -> None:
    """Print the lines of one model; its first draft, which loads it, does not count."""
    asked = replace(ASKED, model=model, rivals=10)
    timed(engine, replace(asked, seed=0))
    bare, told, four = [], [], []
    went_on: dict[int, list[tuple[float, float]]] = {place: [] for place in PLACES}
    for seed in range(1, ROUNDS + 1):
        draft, _, seconds = timed(engine, replace(asked, seed=seed))
        told.append(draft.new_tokens / seconds)
        plain, _, seconds = timed(engine, replace(asked, seed=seed, rivals=0))
        bare.append(plain.new_tokens / seconds)
        for place in PLACES:
            went_on[place].append(rest(engine, draft, replace(asked, seed=100 + seed), place))
        started, several = time.perf_counter(), seeded(replace(asked, seed=1000 * seed, rivals=1), 4)
        list(together([partial(write.stream, engine, one, CALLER) for one in several]))
        four.append((time.perf_counter() - started) / (TOKENS / bare[-1]))
    middle = statistics.median
    for place, pairs in went_on.items():
        first, whole = (middle(one) for one in zip(*pairs, strict=True))
        print(
            f"{model}: another word after {place}: first word {first:.2f} s, all {TOKENS - place} tokens {whole:.2f} s"
        )
    print(f"{model}: {middle(bare):.0f} tokens a second, {middle(told):.0f} with ten rivals of each; "
          f"four drafts at once take {middle(four):.1f} times as long as one", flush=True)  # fmt: skip


def main(models: Sequence[str]) -> None:
    engine = open_engine()
    try:
        for model in models or MODELS:
            measure(engine, model)
    finally:
        engine.close()


if __name__ == "__main__":
    main(sys.argv[1:])
