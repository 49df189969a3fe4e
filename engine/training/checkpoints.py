"""Checkpoints: trainable weights, optimizer, schedule, random numbers and the trainer's state, as safetensors and JSON.

A checkpoint gets its name when it is whole, so a kill at any moment leaves the one before.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from engine.files import placed
from engine.training.run import KEPT, STATE_FILE, WEIGHTS_FILE, is_whole

OPTIMIZER_FILE, OTHER_FILE, RNG_FILE, REST_FILE = (
    "optimizer.safetensors", "unaveraged.safetensors", "chance.safetensors", "rest.json",
)  # fmt: skip


def save(folder: Path, trainer: Any, other: Mapping[str, torch.Tensor]) -> None:
    """Write the trainer's state into the new folder. `other` are the weights behind the averages, if any."""
    with placed(folder) as temporary:
        save_file(_plain(trainable(trainer.model)), temporary / WEIGHTS_FILE)
        if other:
            save_file(_plain(other), temporary / OTHER_FILE)
        state = trainer.optimizer.state_dict()
        save_file(
            {f"{number}.{name}": value.contiguous() for number, values in state["state"].items()
             for name, value in values.items()},
            temporary / OPTIMIZER_FILE,
        )  # fmt: skip
        save_file(_rng_states(), temporary / RNG_FILE)
        rest = {
            "groups": state["param_groups"],
            "schedule": trainer.lr_scheduler.state_dict(),
            "python": random.getstate(),
            "numpy": [*np.random.get_state()[:1], *np.random.get_state()[2:]],  # type: ignore[index]
        }
        (temporary / REST_FILE).write_text(json.dumps(rest, default=float), encoding="utf-8")
        trainer.state.save_to_json(str(temporary / STATE_FILE))


def look_back(folder: Path, step: int) -> None:
    """Keep the weights of the checkpoint of that step beside the checkpoints that come and go."""
    weights = folder / f"checkpoint-{step}" / WEIGHTS_FILE
    with placed(folder / f"{KEPT}{step}") as part:
        try:
            os.link(weights, part / WEIGHTS_FILE)  # no second copy while the checkpoint is there
        except OSError:
            shutil.copy(weights, part / WEIGHTS_FILE)


def trainable(model: Any) -> dict[str, torch.Tensor]:
    """The trainable weights, by name."""
    return {name: weight.detach() for name, weight in model.named_parameters() if weight.requires_grad}


@torch.no_grad()
def load_weights(file: Path, model: Any) -> None:
    """Put a checkpoint's weights into the model."""
    kept = load_file(file)
    for name, weight in trainable(model).items():
        weight.copy_(kept[name])


def load_other(folder: Path) -> dict[str, torch.Tensor]:
    """The weights behind the averages; empty where there are none."""
    path = folder / OTHER_FILE
    return load_file(path) if path.exists() else {}


def load_optimizer(folder: Path, optimizer: Any, schedule: Any) -> None:
    """Restore optimizer and schedule."""
    rest = json.loads((folder / REST_FILE).read_text(encoding="utf-8"))
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in load_file(folder / OPTIMIZER_FILE).items():
        number, _, name = key.partition(".")
        state.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": rest["groups"]})
    schedule.load_state_dict(rest["schedule"])


def _plain(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.contiguous() for name, tensor in tensors.items()}


def _rng_states() -> dict[str, torch.Tensor]:
    words = torch.from_numpy(np.random.get_state()[1].astype(np.int64))  # type: ignore[index]
    states = {"torch": torch.get_rng_state(), "numpy": words}
    return states | ({"cuda": torch.cuda.get_rng_state()} if torch.cuda.is_available() else {})


def load_rng(folder: Path) -> None:
    """Restore the random numbers of Python, NumPy and torch."""
    rest = json.loads((folder / REST_FILE).read_text(encoding="utf-8"))
    states = load_file(folder / RNG_FILE)
    version, inner, gauss = rest["python"]
    random.setstate((version, tuple(inner), gauss))
    kind, *others = rest["numpy"]
    np.random.set_state((kind, states["numpy"].numpy().astype(np.uint32), *others))
    torch.set_rng_state(states["torch"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])


def forget_old(folder: Path, best_step: int | None, last_step: int) -> None:
    """Delete the checkpoints but for the best and the last."""
    kept = {f"checkpoint-{best_step}", f"checkpoint-{last_step}"}
    for path in folder.glob("checkpoint-*"):
        if path.name not in kept or not is_whole(path):
            shutil.rmtree(path, ignore_errors=True)
