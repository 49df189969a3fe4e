"""How long each view of Explore takes to open, of a text of 64 tokens, with the model loaded: engine and figure.

    python -m benchmarks.looks [VIEW ...]

Prints the median and the longest of three rounds in seconds, each of another text, beside what the page may take;
of *Why this answer?* (`gradients`, `layers`) also the largest completeness error.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.ours import CALLER, open_engine
from engine.explain import VIEWS
from engine.explain.attention import AttentionRequest
from engine.explain.chain import ChainRequest
from engine.explain.choosing import NextRequest
from engine.explain.lens import LensRequest
from engine.explain.tokens import TokensRequest
from engine.explain.why import WhyRequest
from engine.serving.protocol import Engine
from pages.parts import plots

SMALL, GEMMA, JUDGE = "smollm2-135m-instruct", "gemma-3-270m", "sentiment-e5"
ROUNDS, TOKENS = 3, 64
STORY = (
    "The committee met on {day} to discuss the proposal, and after three hours of debate it decided, by a narrow "
    "majority, to postpone the vote until the next meeting. Nobody was surprised, since the chair had warned of it in "
    "the morning, and the papers had written about little else for days. The members went home late, tired and cold."
)
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday")

Asked = Callable[[str, str], Any]
Drawn = Callable[[Any], Any]
LOOKS: dict[str, tuple[tuple[str, ...], Asked, Drawn, float]] = {
    "tokens": ((SMALL, GEMMA), lambda text, model: TokensRequest(text, model), lambda found: found.pieces, 2),
    "next": ((SMALL, GEMMA), lambda text, model: NextRequest(text, model=model), plots.choices, 2),
    "chain": ((SMALL, GEMMA), lambda text, model: ChainRequest(text, model=model),
              lambda found: plots.chain_bars({"": found}), 2),
    "attention": ((SMALL, GEMMA), lambda text, model: AttentionRequest(text, layer=3, model=model),
                  lambda found: plots.matrix(found.weights.values().mean(0), found.rows, found.columns), 2),
    "lens": ((SMALL, GEMMA), lambda text, model: LensRequest(text, model=model), plots.lens_table, 2),
    "gradients": ((JUDGE, SMALL, GEMMA), lambda text, model: WhyRequest(text, method="gradients", model=model),
                  lambda found: plots.speaking(found.words), 30),
    "layers": ((JUDGE, SMALL, GEMMA), lambda text, model: WhyRequest(text, method="layers", model=model),
               lambda found: plots.speaking(found.words), 30),
}  # fmt: skip
GEMMAS_LENS = 5.0
WHYS = ("gradients", "layers")


def text_of(engine: Engine, model: str, day: str) -> str:
    """As much of the story as has TOKENS tokens."""
    words = STORY.format(day=day).split()
    while (engine.count_tokens(model, " ".join(words)) or 0) > TOKENS:
        words.pop()
    return " ".join(words)


def rounds(engine: Engine, view: str, model: str) -> list[tuple[float, float]]:
    """Seconds and completeness error of each round; the first, which loads the model, is left out."""
    _, ask, draw, _ = LOOKS[view]
    found = []
    for day in DAYS[: ROUNDS + 1]:
        request, started = ask(text_of(engine, model, day), model), time.perf_counter()
        result = VIEWS["why" if view in WHYS else view].run(engine, request, CALLER)
        draw(result)
        found.append((time.perf_counter() - started, getattr(result, "error", 0.0)))
    return found[1:]


def main(views: Sequence[str]) -> None:
    """Print a line for each view and model."""
    engine = open_engine()
    try:
        for view in views or LOOKS:
            for model in LOOKS[view][0]:
                took, errors = zip(*rounds(engine, view, model), strict=True)
                most = GEMMAS_LENS if (view, model) == ("lens", GEMMA) else LOOKS[view][3]
                middle = statistics.median(took)
                error = f", off by {max(errors):.2%} at most" if view in WHYS else ""
                told = f"{middle:6.2f} s, at most {max(took):6.2f} (may {most:.0f}){error}"
                print(f"{view:10} {model:24} {told}", flush=True)
    finally:
        engine.close()


if __name__ == "__main__":
    main(sys.argv[1:])
