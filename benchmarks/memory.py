"""Memory of the whole process with four applications loaded, against the files of their weights."""

from __future__ import annotations

from typing import Any

from benchmarks.figures import Figure, Options, figure
from benchmarks.machine import Rates
from benchmarks.sides import Side, Work
from engine.backends.ggml.slots import STEPS
from engine.backends.gguf import read_header
from engine.catalogue.models import Model, read_catalogue
from engine.catalogue.store import Store
from engine.settings import Settings

MODELS = ("smollm2-135m-instruct", "gemma-3-270m", "multilingual-e5-small", "sentiment-e5", "answer-e5")


def measure(options: Options, rates: Rates) -> list[Figure]:
    """The memory of a process and its children that have served a request of each."""
    rounds = []
    for _ in range(options.pairs):
        side = Side("benchmarks.memory:loaded", options.threads)
        try:
            seen = side()
        finally:
            side.close()
        rounds.append(
            {
                "ours": {"MB": seen["whole"] - seen["slots"]},
                "files": {"MB": seen["files"]},
                "libraries": {"MB": seen["libraries"]},
                "slots": {"MB": seen["slots"]},
            }
        )
    libraries, slots = rounds[0]["libraries"]["MB"], rounds[0]["slots"]["MB"]
    return [
        figure(
            rounds, "MB", "files", row="memory", work="memory with four applications, but for slots", reach=1.6,
            peer="the files of the weights", is_at_most=True, unit="MB", limit=rounds[0]["files"]["MB"],
            limit_note="the files themselves",
            note=f"of which {libraries:.0f} MB are the libraries before any weights; slots hold {slots:.0f} MB more",
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
        slots = sum(slot_bytes(engine.catalogue.find(model), engine.settings) for model in MODELS)
        held = process.memory_info().rss + sum(_own(child) for child in process.children(recursive=True))
        engine.close()
        return {"whole": held / 1e6, "libraries": libraries / 1e6, "files": files / 1e6, "slots": slots / 1e6}

    return work


def _own(process: Any) -> int:
    """A child's memory without what its libraries' files share with the process that started it."""
    facts = process.memory_full_info()
    return int(getattr(facts, "pss", 0) or facts.uss)


def weight_bytes(model: Model) -> int:
    """Size of a model's weights on disk, as the catalogue has it."""
    return read_catalogue().find(model.id).size_bytes


def slot_bytes(model: Model, settings: Settings) -> int:
    """Memory of the slots that a language model begins with; of other models none."""
    path = Store(settings, read_catalogue()).path(model.id)
    if not path.is_file():
        return 0
    header = read_header(path)
    return header.cache_bytes(header.context_tokens(settings), min(settings.slots, STEPS[0]))
