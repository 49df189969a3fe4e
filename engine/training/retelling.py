"""One prompt before, in the middle of and after a run, written now from the weights that the run has kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from engine.errors import NotFoundError
from engine.jobs.folder import Job
from engine.training.config import read_config
from engine.training.failures import describe as describe
from engine.training.run import past_weights

KIND = "retell"
MOST_CHARACTERS = 400


def moments(steps: Sequence[int]) -> list[int]:
    """Of the steps whose weights are kept, one near the middle and the last; step 0, the base, comes before them."""
    if not steps:
        return []
    last = max(steps)
    middle = min(steps, key=lambda step: abs(step - last / 2))
    return sorted({middle, last})


def work(job: Job) -> Mapping[str, Any]:
    """Load what was kept, one after the other, and let each go on from the prompt with the run's own settings."""
    import torch

    from engine.training.checkpoints import load_weights
    from engine.training.session import make_lesson, make_trainer

    folder = job.folder.parents[1] / job.config["run"]
    kept = past_weights(folder)
    if not kept:
        raise NotFoundError("This run has kept no weights. Start another, and keep some on its way.", param="run")
    config = replace(read_config(folder / "config.json"), sample_prompts=(job.config["prompt"],))
    lesson = make_lesson(config, folder)
    trainer = make_trainer(config, lesson, job.folder)
    steps, told = [0, *moments(list(kept))], []
    for done, step in enumerate(steps):
        job.advance(done, len(steps))
        if step:
            load_weights(kept[step], trainer.model)
        torch.manual_seed(config.seed)
        told += [{"step": step, "prompt": prompt, "text": text} for prompt, text in lesson.sample(trainer.model)]
    return {"samples": told}
