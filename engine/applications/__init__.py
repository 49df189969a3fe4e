"""What people come for. One file an application: request and result, prompts, parsing, samples and metric.

To add one, write its module and list it below; the HTTP API, evaluation and fine-tuning read APPLICATIONS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.applications import answer, sentiment, translate, write
from engine.requests import Event
from engine.serving.local import Engine


@dataclass(frozen=True)
class Application:
    """One application, as pages, the HTTP API and evaluation see it. `icon` is a Material symbol's name."""

    id: str
    title: str
    summary: str
    icon: str
    default_model: str
    request_type: type[Any]
    result_type: type[Any]
    run: Callable[[Engine, Any], Any]
    stream: Callable[[Engine, Any], Iterator[Event]]
    samples: Sequence[Any]
    metrics: Mapping[str, Callable[..., float]]
    """By name: (predictions, references) -> figure; empty where only people can judge."""


def _application(module: Any) -> Application:
    id = module.__name__.rpartition(".")[2]
    name = id.capitalize()
    return Application(
        id,
        name,
        module.SUMMARY,
        module.ICON,
        module.DEFAULT_MODEL,
        getattr(module, f"{name}Request"),
        getattr(module, f"{name}Result"),
        module.run,
        module.stream,
        module.SAMPLES,
        module.METRICS,
    )


APPLICATIONS: dict[str, Application] = {
    module.__name__.rpartition(".")[2]: _application(module) for module in (translate, write, sentiment, answer)
}
