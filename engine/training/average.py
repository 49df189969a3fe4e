"""The mean of several models' weights: `python -m engine.training.average OUT MODEL MODEL …` (folders).

Runs that start from the same base often lie in one valley, where the mean generalises better than each of them
("model soups", Wortsman et al. 2022). Config and tokenizer are the first model's. `check_mean` says whether runs have
such a mean; `jobs.create_mean` makes a run of it.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from engine.backends.ct2.conversion import NAME as COPY
from engine.errors import ConflictError, InputError
from engine.files import read_json
from engine.training.config import TrainingConfig
from engine.training.failures import as_command
from engine.training.views import RunView

WEIGHTS = "model.safetensors"


def average(models: Sequence[Path], target: Path) -> Path:
    """Write the mean of the models into the folder `target`, in the first one's precision; returns it.

    Raises InputError where a folder holds no weights, or they are not of the same names, shapes and labels.
    """
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    if len(models) < 2:
        raise InputError("An average needs at least two models.", param="models")
    for model in models:
        if not (model / WEIGHTS).is_file():
            raise InputError(
                "{name} has no {file}. Choose the folder of a run's kept model.",
                name=model.name, file=WEIGHTS, param="models",
            )  # fmt: skip
    first, *others = (load_file(model / WEIGHTS) for model in models)
    shapes = {name: tensor.shape for name, tensor in first.items()}
    for model, weights in zip(models[1:], others, strict=True):
        if {name: tensor.shape for name, tensor in weights.items()} != shapes or _labels(model) != _labels(models[0]):
            raise InputError(
                "{name} is built differently from {other}.", name=model.name, other=models[0].name, param="models"
            )
    mean = {
        name: (sum((weights[name].float() for weights in others), tensor.float()) / len(models)).to(tensor.dtype)
        if tensor.is_floating_point()
        else tensor
        for name, tensor in first.items()
    }
    with safe_open(models[0] / WEIGHTS, "pt") as file:
        metadata = file.metadata()
    shutil.copytree(models[0], target, ignore=shutil.ignore_patterns(WEIGHTS, "README.md", f"*{COPY}*"))
    save_file(mean, target / WEIGHTS, metadata=metadata)
    return target


def _labels(model: Path) -> Any:
    """Outputs of the same number may still mean other things."""
    return read_json(model / "config.json").get("id2label")


def check_mean(runs: Sequence[RunView]) -> None:
    """Raise ConflictError with the reason where these runs have no mean that makes sense."""
    if len(runs) < 2:
        raise ConflictError("A mean needs at least two runs.", param="runs")
    first = runs[0].config
    for run in runs:
        if run.config is None or run.is_alive or not run.has_model:
            raise ConflictError("{title} has no finished model yet.", title=run.title, param="runs")
        if run.config.method != "full":
            raise ConflictError(
                "{title} was trained by the method {method}, not full.",
                title=run.title, method=run.config.method, param="runs",
            )  # fmt: skip
        assert first
        if _start(run.config) != _start(first) or not run.config.base:
            raise ConflictError("A mean needs runs of one task from the same base.", param="runs")
        if _rows(runs[0].folder, first) != _rows(run.folder, run.config):
            raise ConflictError("A mean needs runs with the same rows held out, to judge it by.", param="runs")


def _start(config: TrainingConfig) -> list[Any]:
    """What must be the same."""
    names = ("task", "base", "labels", "source_language", "target_language")
    return [getattr(config, name) for name in names]


def _rows(folder: Path, config: TrainingConfig) -> bytes | Path:
    """The rows held out; where they cannot be read, their path, which is no other run's."""
    path = folder / config.validation_file
    with suppress(OSError):
        return path.read_bytes()
    return path


def main(arguments: Sequence[str]) -> int:
    """Average as the command line says. Returns the exit status."""
    if len(arguments) < 3:
        print(__doc__, file=sys.stderr)
        return 2
    target, *models = map(Path, arguments)
    return as_command(lambda: average(models, target))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
