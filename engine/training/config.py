"""What one run is to do: a dataclass that checks itself and goes to and from `config.json`."""

from __future__ import annotations

import json
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from engine.errors import InputError

Application = Literal["sentiment", "answer"]
Method = Literal["full", "lora", "head"]
Schedule = Literal["linear", "cosine", "constant"]

CHOICES: dict[str, tuple[str, ...]] = {
    "application": ("sentiment", "answer"),
    "method": ("full", "lora", "head"),
    "schedule": ("linear", "cosine", "constant"),
}
BOUNDS: dict[str, tuple[float, float]] = {
    "epochs": (0.01, 1000),
    "batch_size": (1, 4096),
    "max_length": (8, 8192),
    "stride": (0, 4096),
    "learning_rate": (1e-8, 1.0),
    "warmup_ratio": (0, 1),
    "weight_decay": (0, 1),
    "label_smoothing": (0, 0.9),
    "max_grad_norm": (0, 1e6),
    "attention_dropout": (0, 0.9),
    "token_dropout": (0, 0.9),
    "lora_rank": (1, 1024),
    "lora_alpha": (1, 4096),
    "lora_dropout": (0, 0.9),
    "evaluations_per_epoch": (1, 100),
    "average_decay": (0, 0.99999),
    "patience": (0, 1000),
    "seed": (0, 2**32 - 1),
    "threads": (0, 1024),
}
"""Lowest and highest value of each number; a page takes its widgets' limits from here."""


@dataclass(frozen=True)
class TrainingConfig:
    """Everything that decides a run; the same config and data give the same run on one machine.

    Raises InputError with the field's name for a value that cannot be.
    """

    application: Application
    """What the model learns."""
    base: str
    """Folder of the model to start from."""
    train_file: str
    """Rows to learn from: TSV or CSV with a header, JSONL, or SQuAD JSON."""
    validation_file: str
    """Rows held out, in the same form."""
    method: Method = "full"
    """full trains all weights, lora low-rank adapters (merged at the end), head only the last layers."""
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
    schedule: Schedule = "linear"
    """How the learning rate falls after the warm-up."""
    warmup_ratio: float = 0.06
    """Share of the steps in which the learning rate rises."""
    weight_decay: float = 0.01
    """Decay of weights (not of biases and norms)."""
    label_smoothing: float = 0.0
    """Share of probability given to the other labels (sentiment)."""
    max_grad_norm: float = 1.0
    """Gradients are clipped to this norm."""
    attention_dropout: float = 0.0
    """Dropout of attention weights; at 0 attention runs fused, which makes a step a fifth cheaper on a processor."""
    token_dropout: float = 0.0
    """Share of the input's tokens hidden behind the mask token at each reading, so that few rows last more epochs."""
    lora_rank: int = 16
    """Rank of the adapters (lora)."""
    lora_alpha: int = 32
    """Scale of the adapters (lora)."""
    lora_dropout: float = 0.05
    """Dropout before the adapters (lora)."""
    evaluations_per_epoch: int = 1
    """Validations and checkpoints an epoch; the best checkpoint is kept."""
    average_decay: float = 0.0
    """Decay a step of an exponential moving average of the weights, which is then judged and saved; 0 is off."""
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
        for name in ("base", "train_file", "validation_file"):
            if not isinstance(getattr(self, name), str) or not getattr(self, name):
                raise InputError(f"{name} must be the path of a file or folder.", param=name)
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise InputError(f"{name} is {getattr(self, name)!r}; choose one of {', '.join(allowed)}.", param=name)
        for name, (low, high) in BOUNDS.items():
            _check_number(name, getattr(self, name), low, high)
        for name in ("is_bf16", "is_length_grouped"):
            if not isinstance(getattr(self, name), bool):
                raise InputError(f"{name} is {getattr(self, name)!r}; choose true or false.", param=name)
        if self.application == "answer" and self.stride > self.max_length // 2:
            raise InputError("stride must be at most half of max_length.", param="stride")
        if len(set(self.labels)) != len(self.labels) or len(self.labels) < 2:
            raise InputError("labels needs at least two different names.", param="labels")

    def save(self, path: Path) -> None:
        """Write as JSON."""
        path.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")


WHOLE_NUMBERS = {field.name for field in fields(TrainingConfig) if field.type == "int"}


def _check_number(name: str, value: Any, low: float, high: float) -> None:
    kinds = int if name in WHOLE_NUMBERS else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
        kind = "whole number" if name in WHOLE_NUMBERS else "number"
        raise InputError(f"{name} is {value!r}; choose a {kind} from {low:g} to {high:g}.", param=name)


def read_config(path: Path) -> TrainingConfig:
    """Read `config.json`. Raises InputError for a missing file, broken JSON, and an unknown, missing or wrong field."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"The run's config cannot be read ({error}).", param="config") from None
    if not isinstance(values, dict):
        raise InputError("The run's config must be a JSON object.", param="config")
    if unknown := sorted(set(values) - {field.name for field in fields(TrainingConfig)}):
        raise InputError(f"The config has unknown fields: {', '.join(unknown)}.", param=unknown[0])
    needed = [field.name for field in fields(TrainingConfig) if field.default is MISSING]
    if missing := [name for name in needed if name not in values]:
        raise InputError(f"The config lacks {', '.join(missing)}.", param=missing[0])
    if isinstance(values.get("labels"), list):
        values["labels"] = tuple(map(str, values["labels"]))
    return TrainingConfig(**values)
