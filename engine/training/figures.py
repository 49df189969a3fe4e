"""Figures of a model on the rows held out: which of two are better. No torch here.

The better metric wins; at an equal metric the lower loss. Training, pages and cards judge by this one order.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from engine.messages import Text, label
from engine.training import tasks
from engine.training.tasks import TrainingTask

Rank = tuple[float, float]
"""Metric and loss of a model, so that the better one's is the higher."""
NOISE_DIGITS = 5
"""Figures that agree in so many digits are no better than one another to a run that waits for better ones."""

EXAMINED_ROWS, GENERATED = 200, ("bleu", "chrf")
"""Rows held out whose texts are written at each validation, and the metrics of what is written."""


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


def shown(status: Mapping[str, Any], metrics: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A run's figures: of the model that is kept, with the training loss of its step; until there is one, the latest.

    `metrics` are the lines of metrics.jsonl, oldest first.
    """
    step, kept = status.get("best_step"), status.get("metrics")
    rows = [row for row in metrics if not kept or not step or row["step"] <= step]
    latest = {name: value for row in rows for name, value in row.items() if value is not None}
    return latest | dict(kept or {})


def is_worse(figures: Mapping[str, Any], baseline: Mapping[str, Any], task_id: str) -> bool:
    """Whether a trained model does worse than what it began with; no, where either was not judged."""
    task = tasks.find(task_id)
    is_judged = all(f"eval_{task.metric}" in one for one in (figures, baseline))
    return is_judged and rank(figures, task) < rank(baseline, task)


def remarks(status: Mapping[str, Any], task_id: str, held_out_rows: int | None = None) -> list[Text]:
    """What to know of the figures that a run's status has of its kept model: whose they are, and what they leave out.

    Pages and cards say the same.
    """
    kept, before, step = (status.get(name) or {} for name in ("metrics", "baseline", "best_step"))
    found = []
    if kept and step:
        found.append(Text("The figures are those of the model that is kept, of step {step:,}.", step=step))
    if absent := status.get("absent_labels"):
        words = Text("No row held out has {labels}, so no figure tells how well that is learned.", labels=list(absent))
        found.append(words)
    if any(f"eval_{name}" in kept for name in GENERATED) and (held_out_rows or 0) > EXAMINED_ROWS:
        found.append(Text("BLEU and chrF are of the first {count} rows held out.", count=EXAMINED_ROWS))
    if is_worse(kept, before, task_id):
        found.append(_worse(kept, before, tasks.find(task_id).metric))
    return found


def _worse(kept: Mapping[str, Any], before: Mapping[str, Any], metric: str) -> Text:
    name = metric if kept[f"eval_{metric}"] != before[f"eval_{metric}"] else "loss"
    return Text(
        "This model does worse than what it began with: {name} {kept:.4g} after training, {before:.4g} before. "
        "Lower learning_rate, train for fewer epochs, or bring more rows.",
        name=label(name), kept=kept[f"eval_{name}"], before=before[f"eval_{name}"],
    )  # fmt: skip


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


def _rounded(value: float) -> float:
    return float(f"{value:.{NOISE_DIGITS}g}")
