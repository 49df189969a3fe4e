"""The mean of several models' weights: `python -m engine.training.average OUT MODEL MODEL …` (folders).

Runs that start from the same base often lie in one valley, where the mean generalises better than each of them
("model soups", Wortsman et al. 2022). Config and tokenizer are the first model's.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from engine.errors import InputError, PeopleError

WEIGHTS = "model.safetensors"


def average(models: Sequence[Path], target: Path) -> None:
    """Write the mean of the models into the folder `target`, in the first one's precision.

    Raises InputError where a folder holds no weights, or they are not of the same names and shapes.
    """
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    if len(models) < 2:
        raise InputError("An average needs at least two models.", param="models")
    for model in models:
        if not (model / WEIGHTS).is_file():
            raise InputError(f"{model.name} has no {WEIGHTS}. Choose the folder of a run's kept model.", param="models")
    first, *others = (load_file(model / WEIGHTS) for model in models)
    shapes = {name: tensor.shape for name, tensor in first.items()}
    for model, weights in zip(models[1:], others, strict=True):
        if {name: tensor.shape for name, tensor in weights.items()} != shapes:
            raise InputError(f"{model.name} is built differently from {models[0].name}.", param="models")
    mean = {
        name: (sum((weights[name].float() for weights in others), tensor.float()) / len(models)).to(tensor.dtype)
        if tensor.is_floating_point()
        else tensor
        for name, tensor in first.items()
    }
    with safe_open(models[0] / WEIGHTS, "pt") as file:
        metadata = file.metadata()
    shutil.copytree(models[0], target, ignore=shutil.ignore_patterns(WEIGHTS, "README.md"))
    save_file(mean, target / WEIGHTS, metadata=metadata)


def main(arguments: Sequence[str]) -> int:
    """Average as the command line says. Returns the exit status."""
    if len(arguments) < 3:
        print(__doc__, file=sys.stderr)
        return 2
    target, *models = map(Path, arguments)
    try:
        average(models, target)
    except (PeopleError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
