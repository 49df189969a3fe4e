"""What people come for. One file an application: request and result, prompts, parsing, samples and metric.

To add one, write its module and one entry below; the HTTP API, evaluation and fine-tuning read APPLICATIONS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from engine.applications import answer, sentiment, translate, write
from engine.core import Engine
from engine.requests import Event


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


def _application(module: ModuleType, icon: str, default_model: str, summary: str) -> Application:
    id = module.__name__.rpartition(".")[2]
    name = id.capitalize()
    return Application(
        id,
        name,
        summary,
        icon,
        default_model,
        getattr(module, f"{name}Request"),
        getattr(module, f"{name}Result"),
        module.run,
        module.stream,
        module.SAMPLES,
        module.METRICS,
    )


APPLICATIONS: dict[str, Application] = {
    made.id: made
    for made in (
        _application(
            translate,
            "translate",
            translate.DEFAULT_MODEL,
            "Translate between English, French, German, Spanish and Chinese, sentence by sentence.",
        ),
        _application(
            write,
            "edit_note",
            write.default_model("story", "en"),
            "Write stories, poems, lyrics and slogans, with the temperature in your hands.",
        ),
        _application(
            sentiment,
            "sentiment_satisfied",
            sentiment.DEFAULT_MODEL,
            "Judge how positive, neutral or negative texts are, one or thousands.",
        ),
        _application(
            answer,
            "quiz",
            answer.DEFAULT_MODEL,
            "Find the words of a passage that answer a question, or learn that it does not say.",
        ),
    )
}
