"""Memory of the whole process with four applications loaded, against the files of their weights."""

from __future__ import annotations

from typing import Any

from benchmarks.figures import Figure, Options, figure
from benchmarks.machine import Rates
from benchmarks.sides import Side, Work
from engine.catalogue.models import Model, read_catalogue

MODELS = ("smollm2-135m-instruct", "gemma-3-270m", "sentiment-minilm", "answer-minilm")


def measure(options: Options, rates: Rates) -> list[Figure]:
    """The resident memory of a process that has served a request of each."""
    rounds = []
    for _ in range(options.pairs):
        side = Side("benchmarks.memory:loaded", options.threads)
        try:
            seen = side()
        finally:
            side.close()
        rounds.append(
            {"ours": {"MB": seen["whole"]}, "files": {"MB": seen["files"]}, "libraries": {"MB": seen["libraries"]}}
        )
    libraries = rounds[0]["libraries"]["MB"]
    return [
        figure(
            rounds, "MB", "files", row="memory", work="memory with four applications loaded", reach=1.6,
            peer="the files of the weights", is_at_most=True, unit="MB", limit=rounds[0]["files"]["MB"],
            limit_note="the files themselves",
            note=f"of which {libraries:.0f} MB are the libraries before any weights",
        )
    ]  # fmt: skip


def loaded() -> Work:
    """One request to each application, then what the process holds."""
    import psutil  # type: ignore[import-untyped]

    from benchmarks.ours import CALLER, open_engine
    from engine.applications import APPLICATIONS
    from engine.backends import loader as backends

    def work() -> dict[str, Any]:
        process = psutil.Process()
        backends.warm_up()
        libraries = process.memory_info().rss
        engine = open_engine()
        for application in APPLICATIONS.values():
            application.run(engine, application.samples[0], CALLER)
        files = sum(weight_bytes(engine.catalogue.find(model)) for model in MODELS)
        held = process.memory_info().rss
        engine.close()
        return {"whole": held / 1e6, "libraries": libraries / 1e6, "files": files / 1e6}

    return work


def weight_bytes(model: Model) -> int:
    """Size of a model's weights on disk, as the catalogue has it."""
    return read_catalogue().find(model.id).size_bytes
