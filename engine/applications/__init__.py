"""What people come for. One file an application: request and result, prompts, parsing, samples and metrics.

A file here, or in the host's folder, with an `APPLICATION` is all it takes: pages, pickers, links, the HTTP API and
evaluation read this registry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from engine import extensions
from engine.catalogue.models import Architecture, Catalogue, Model
from engine.errors import UnsupportedError
from engine.messages import Text
from engine.requests import Event
from engine.serving.protocol import Caller, Engine

if TYPE_CHECKING:
    from engine.serving.compose import House

Stream = Callable[[Engine, Any, Caller], Iterator[Event]]
"""How an answer comes about."""
Request = TypeVar("Request")
Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class Application(Generic[Request, Result]):
    """One application, as pages, the HTTP API and evaluation see it."""

    id: str
    """Its address: `/api/<id>`."""
    title: Text
    summary: Text
    icon: str
    """A Material symbol's name."""
    order: int = 100
    """Where it stands in lists: lower ones first."""
    architectures: frozenset[Architecture]
    """What its model may be; whether a runtime can do what is asked of it, the engine says."""
    default_model: str
    picker: str = "model"
    """Key of the model picker on its page, for links."""
    example: Mapping[str, str] = field(default_factory=dict)
    """Inputs of its page as they stand in a link; the first is shown."""
    shown: Request | None = None
    """The same inputs as a request, whose answer by the default model Home shows."""
    request_type: type[Request]
    result_type: type[Result]
    stream: Callable[[Engine, Request, Caller], Iterator[Event]]
    """Yields events, the last one with the result."""
    with_house: Callable[[House], Stream] | None = None
    """Its stream where it needs what a house keeps beside the engine, such as documents."""
    samples: Sequence[Request]
    metrics: Mapping[str, Callable[..., float]] = field(default_factory=dict)
    """By name: (predictions, references) -> figure; empty where only people can judge."""
    page: str = ""
    """Its file in `pages/`; without one it gets a page with a text in and a text out."""
    warm_up: Callable[[], object] | None = None
    """Reads what its first request would wait for; done ahead, soon after the server's start."""
    suits: Callable[[Model], bool] | None = None
    """Whether its picker offers a model from the Hub, which no catalogue entry describes; None asks `architectures`."""

    def of(self, house: House) -> Stream:
        """Its stream in a house."""
        return self.with_house(house) if self.with_house else self.stream

    def run(self, engine: Engine, request: Request, caller: Caller) -> Result:
        """The result of `stream`."""
        *_, last = self.stream(engine, request, caller)
        result: Result = last.result
        return result

    def measure(self, predictions: Sequence[Any], references: Sequence[Any], *facts: Any) -> dict[str, float]:
        """The figure of each metric; `facts` are what its metrics want besides, such as the language."""
        return {name: metric(predictions, references, *facts) for name, metric in self.metrics.items()}

    def choose(self, catalogue: Catalogue, model_id: str | None) -> Model:
        """The model asked for, else the default. Raises NotFoundError, UnsupportedError where it is of another kind."""
        model = catalogue.find(model_id or self.default_model)
        if model.architecture not in self.architectures:
            raise UnsupportedError(
                "{model} does not do this: {application}. Choose another model.",
                param="model", model=model.title, application=self.title,
            )  # fmt: skip
        return model

    def offers(self, model: Model) -> bool:
        """Whether its picker offers the model: its entry says so, or it came from the Hub and suits."""
        if model.applications or model.source.kind != "hub":
            return self.id in model.applications
        return self.suits(model) if self.suits else model.architecture in self.architectures

    def models(self, catalogue: Catalogue) -> list[Model]:
        """The models that its picker offers, in the catalogue's order."""
        return [model for model in catalogue.models.values() if self.offers(model)]


def _found(name: str) -> dict[str, Application[Any, Any]]:
    found = [getattr(module, name) for module in extensions.modules("applications") if hasattr(module, name)]
    return {application.id: application for application in sorted(found, key=lambda each: each.order)}


APPLICATIONS = _found("APPLICATION")
"""By id, in the order of the pages."""
PARTS = _found("PART")
"""What an application does besides, at an address under its own; it has no page and stands in no list."""


def warm_up() -> None:
    """Do what the first requests would wait for."""
    for application in APPLICATIONS.values():
        if application.warm_up:
            application.warm_up()
