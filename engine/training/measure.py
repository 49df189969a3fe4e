"""Measure a saved model on a file: `python -m engine.training.measure MODEL FILE [CONFIG]` prints the metrics as JSON.

CONFIG is the config.json of the run that made the model; heads for classification and answers tell their own task.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from transformers import AutoConfig

from engine.errors import InputError
from engine.training.config import TrainingConfig, read_config
from engine.training.session import make_lesson, make_trainer


def measure(model: Path, file: Path, threads: int = 0, config: TrainingConfig | None = None) -> dict[str, float]:
    """Metrics of the model in a folder on a file of its task's form, computed in float32.

    Without a config the task follows from the model's head. Raises InputError for a bad file.
    """
    found = config or _guessed(model, file)
    found = replace(
        found, base=str(model), train_file=str(file), validation_file=str(file), method="full", is_bf16=False,
        threads=threads, token_dropout=0.0,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        metrics: dict[str, float] = make_trainer(found, make_lesson(found, Path(folder)), Path(folder)).evaluate()
    return metrics


def _guessed(model: Path, file: Path) -> TrainingConfig:
    settings: Any = AutoConfig.from_pretrained(model, local_files_only=True)
    names = " ".join(settings.architectures or ())
    if "QuestionAnswering" in names:
        length, stride = getattr(settings, "window_tokens", 256), getattr(settings, "window_stride", 96)
        return TrainingConfig("answer", str(model), str(file), str(file), max_length=length, stride=stride)
    if "SequenceClassification" in names:
        labels = tuple(settings.id2label[number] for number in range(settings.num_labels))
        return TrainingConfig("classification", str(model), str(file), str(file), labels=labels)
    raise InputError("What this model learned is not known: give the config.json of its run too.", param="config")


if __name__ == "__main__":
    given = read_config(Path(sys.argv[3])) if len(sys.argv) > 3 else None
    print(json.dumps(measure(Path(sys.argv[1]), Path(sys.argv[2]), config=given), indent=2))
