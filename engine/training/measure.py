"""Measure a saved model on a file: `python -m engine.training.measure MODEL FILE` prints the metrics as JSON."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoTokenizer

from engine.training.config import TrainingConfig
from engine.training.tasks import TASKS
from engine.training.train import make_trainer


def measure(model: Path, file: Path, threads: int = 0) -> dict[str, float]:
    """Metrics of the model in a folder on a file of its task's form, computed in float32.

    The task follows from the model's head. Raises InputError for a bad file.
    """
    settings: Any = AutoConfig.from_pretrained(model)
    is_reader = any("QuestionAnswering" in name for name in settings.architectures or ())
    config = TrainingConfig(
        task="answer" if is_reader else "classification",
        base=str(model),
        train_file=str(file),
        validation_file=str(file),
        max_length=getattr(settings, "window_tokens", 256),
        stride=getattr(settings, "window_stride", 96),
        labels=() if is_reader else tuple(settings.id2label[number] for number in range(settings.num_labels)),
        is_bf16=False,
        threads=threads,
    )
    if threads:
        torch.set_num_threads(threads)
    task = TASKS[config.task](config, AutoTokenizer.from_pretrained(model))
    with tempfile.TemporaryDirectory() as folder:
        return make_trainer(config, task, Path(folder)).evaluate()


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]), Path(sys.argv[2])), indent=2))
