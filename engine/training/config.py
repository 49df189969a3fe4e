"""What one run is to do: a dataclass that checks itself and goes to and from `config.json`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from engine.errors import InputError

Application = Literal["sentiment", "answer"]
Method = Literal["full", "lora", "head"]


@dataclass(frozen=True)
class TrainingConfig:
    """Everything that decides a run; the same config and data give the same run on one machine."""

    application: Application
    """What the model learns."""
    base: str
    """Folder of the model to start from."""
    train_file: str
    """Rows to learn from: TSV or CSV with a header, JSONL, or SQuAD JSON."""
    validation_file: str
    """Rows held out, in the same form."""
    method: Method = "full"
    """full trains all weights, lora low-rank adapters (merged at the end), head only the last layer."""
    epochs: float = 3.0
    """Passes over the training rows."""
    batch_size: int = 16
    """Rows a step."""
    max_length: int = 256
    """Longest input in tokens; longer ones are cut (answer: into overlapping windows)."""
    stride: int = 96
    """Tokens that neighbouring windows share (answer)."""
    learning_rate: float = 2e-4
    """Peak learning rate of AdamW."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """How the learning rate falls after the warm-up."""
    warmup_ratio: float = 0.06
    """Share of the steps in which the learning rate rises."""
    weight_decay: float = 0.01
    """Decay of weights (not of biases and norms)."""
    label_smoothing: float = 0.0
    """Share of probability given to the other labels (sentiment)."""
    max_grad_norm: float = 1.0
    """Gradients are clipped to this norm."""
    lora_rank: int = 16
    """Rank of the adapters (lora)."""
    lora_alpha: int = 32
    """Scale of the adapters (lora)."""
    lora_dropout: float = 0.05
    """Dropout before the adapters (lora)."""
    evaluations_per_epoch: int = 1
    """Validations and checkpoints an epoch; the best checkpoint is kept."""
    average_decay: float = 0.0
    """Decay a step of an exponential moving average of the weights, which is then what is validated; 0 is off."""
    patience: int = 0
    """Stop after this many validations without a better one; 0 never stops early."""
    seed: int = 13
    """Of data order, dropout and new layers."""
    is_bf16: bool = True
    """bfloat16 autocast."""
    is_length_grouped: bool = True
    """Batches of similar lengths."""
    threads: int = 0
    """Threads for computing; 0 takes all cores."""
    labels: tuple[str, ...] = ("negative", "neutral", "positive")
    """Label names in the order of the model's outputs (sentiment)."""

    def __post_init__(self) -> None:
        bounds: dict[str, tuple[float, float]] = {
            "epochs": (0.01, 1000),
            "batch_size": (1, 4096),
            "max_length": (8, 8192),
            "learning_rate": (1e-8, 1.0),
            "warmup_ratio": (0, 1),
            "weight_decay": (0, 1),
            "label_smoothing": (0, 0.9),
            "lora_rank": (1, 1024),
            "evaluations_per_epoch": (1, 100),
            "average_decay": (0, 0.99999),
        }
        for name, (low, high) in bounds.items():
            if not low <= getattr(self, name) <= high:
                raise InputError(f"{name} is {getattr(self, name)}; choose a value from {low} to {high}.", param=name)
        for name, allowed in (("application", ("sentiment", "answer")), ("method", ("full", "lora", "head"))):
            if getattr(self, name) not in allowed:
                raise InputError(f"{name} is {getattr(self, name)!r}; choose one of {', '.join(allowed)}.", param=name)
        if not 0 <= self.stride < self.max_length:
            raise InputError("stride must be at least 0 and less than max_length.", param="stride")

    def save(self, path: Path) -> None:
        """Write as JSON."""
        path.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")


def read_config(path: Path) -> TrainingConfig:
    """Read `config.json`. Raises InputError for a missing file, broken JSON or an unknown field."""
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"The run's config cannot be read ({error}).", param="config") from None
    known = {field.name for field in fields(TrainingConfig)}
    if unknown := sorted(set(values) - known):
        raise InputError(f"The config has unknown fields: {', '.join(unknown)}.", param=unknown[0])
    return TrainingConfig(**values | {"labels": tuple(values.get("labels", ()) or TrainingConfig.labels)})
