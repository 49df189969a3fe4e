"""Figures of a model on the rows held out: which of two are better. No torch here.

The better metric wins; at an equal metric the lower loss. Training, pages and cards judge by this one order.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from engine.training import tasks
from engine.training.tasks import TrainingTask

Rank = tuple[float, float]
"""Metric and loss of a model, so that the better one's is the higher."""
NOISE_DIGITS = 5
"""Figures that agree in so many digits are no better than one another to a run that waits for better ones."""


def rank(figures: Mapping[str, Any], task: TrainingTask) -> Rank:
    """The rank of a validation's figures, `eval_<name>`; what is missing or no number ranks last."""
    metric, loss = _number(figures.get(f"eval_{task.metric}")), _number(figures.get("eval_loss"))
    metric = -metric if task.is_lower_better else metric
    return tuple(-math.inf if math.isnan(value) else value for value in (metric, -loss))  # type: ignore[return-value]


def without_better(ranks: Iterable[Rank]) -> int:
    """How many validations came after the last that was better than all before it."""
    best, since = (-math.inf, -math.inf), 0
    for metric, loss in ranks:
        now = (_rounded(metric), _rounded(loss))
        best, since = (now, 0) if now > best else (best, since + 1)
    return since


def is_worse(figures: Mapping[str, Any], baseline: Mapping[str, Any], task_id: str) -> bool:
    """Whether a trained model does worse than what it began with; no, where either was not judged."""
    task = tasks.find(task_id)
    is_judged = all(f"eval_{task.metric}" in one for one in (figures, baseline))
    return is_judged and rank(figures, task) < rank(baseline, task)


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


def _rounded(value: float) -> float:
    return float(f"{value:.{NOISE_DIGITS}g}")
