"""What every view has: a request, a result, which models can give it, and the words for one that cannot."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.applications import Application
from engine.backends import loader
from engine.catalogue.models import Architecture, Catalogue, Model
from engine.errors import UnsupportedError
from engine.inspections import Origin
from engine.messages import Text
from engine.requests import Event, Request
from engine.serving.protocol import Caller, Engine
from engine.settings import current

ALL: frozenset[Architecture] = frozenset({"causal", "seq2seq", "classification", "extraction", "masked", "embedding"})
_known: dict[tuple[str, str, bool], frozenset[str]] = {}


@dataclass(frozen=True, kw_only=True)
class View(Application[Any, Any]):
    """One view of the inside of a model, as pages and the HTTP API see it."""

    needs: frozenset[str]
    """What a runtime must be able to do, one of these."""

    def offers(self, model: Model) -> bool:
        """Whether a runtime can give the view of that model."""
        return not self.needs.isdisjoint(abilities(model))

    def choose(self, catalogue: Catalogue, model_id: str | None) -> Model:
        """The model asked for, else the default. Raises NotFoundError, UnsupportedError with one that can."""
        model = catalogue.find(model_id or self.default_model)
        if not self.offers(model):
            raise UnsupportedError(
                "{model} has no view of {view}. Choose another, such as {other}.",
                param="model", model=model.title, view=self.title, other=catalogue.find(self.default_model).title,
            )  # fmt: skip
        return model


def abilities(model: Model) -> frozenset[str]:
    """What any runtime can do with such a model, wherever its weights are."""
    key = model.architecture, model.runtime, bool(model.source.carrier)
    if key not in _known:
        tasks = [runtime.tasks(model, Path(), current()) for runtime in loader.runtimes()]
        _known[key] = frozenset[str]().union(*tasks)
    return _known[key]


def stream(
    engine: Engine, model: Model, request: Request, caller: Caller, make: Callable[[Any], Any]
) -> Generator[Event]:
    """The engine's events, the last with what `make` makes of its result."""
    for event in engine.stream(model.id, request, caller):
        yield Event("done", result=make(event.result)) if event.kind == "done" else event


def origin_in_words(origin: Origin) -> Text:
    """What the numbers were computed with, where that is not the file that other pages use."""
    if not origin.weights:
        return Text("Computed in {dtype}.", dtype=origin.dtype)
    return Text(
        "Computed in {dtype} from a copy of the {weights} weights that the other pages use: "
        "their figures differ a little.",
        dtype=origin.dtype, weights=origin.weights,
    )  # fmt: skip
