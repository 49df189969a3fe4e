"""Lessons: what a task hands to the trainer, one file a family of models. These files load torch, this one does not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.training.data import Feature, Features, collate

Shown = tuple[str, str]
"""A prompt and what the model makes of it."""


def _nothing(_: Any) -> dict[str, Any]:
    return {}


@dataclass(frozen=True)
class Lesson:
    """A model, its data, and how it is judged while it learns. Batches come from `data.Feature`s."""

    model: Any
    tokenizer: Any
    train_set: Features
    validation_set: Sequence[Feature]
    label_names: tuple[str, ...] = ("labels",)
    collate: Callable[[Sequence[Feature]], dict[str, Any]] = collate
    judge: Callable[[Any], dict[str, float]] | None = None
    """Metrics from a transformers EvalPrediction; None where the loss of the tokens says all (perplexity)."""
    examine: Callable[[Any], dict[str, float]] = _nothing
    """Metrics that need the model itself, such as those of generated texts."""
    sample: Callable[[Any], list[Shown]] = lambda model: []
    """What the model makes of the sample prompts now."""
    settings: Callable[[Mapping[str, float]], dict[str, Any]] = _nothing
    """What serving reads from config.json, given the metrics of the kept model."""
    evaluation_batch_size: int = 64
    new_modules: tuple[str, ...] = ()
    """Modules of the model whose weights are not the base's."""
    absent_labels: tuple[str, ...] = ()
    """Labels that no row held out has, so that no figure tells how well they are learned."""

    @property
    def cut_rows(self) -> list[int]:
        """Numbers in the training file of the rows that are longer than the model is shown."""
        return sorted({feature["row"] for feature in self.train_set if feature["is_cut"]})
