"""What each architecture can do, and the sentence for those who ask it for something else."""

from __future__ import annotations

from collections.abc import Sequence

from engine.backends.protocol import Job
from engine.errors import UnsupportedError

TASKS = {
    "causal": "generate",
    "seq2seq": "generate",
    "classification": "classify",
    "extraction": "extract",
    "masked": "fill",
    "embedding": "embed",
}
VERBS = {
    "generate": "write text",
    "classify": "classify texts",
    "extract": "find answers in a passage",
    "fill": "guess masked words",
    "embed": "embed texts",
}


def able(jobs: Sequence[Job], title: str, task: str) -> list[Job]:
    """The jobs of this task; the others fail."""
    for job in jobs:
        if job.request.task != task:
            job.fail(
                UnsupportedError(
                    f"{title} can {VERBS[task]}; it cannot {VERBS[job.request.task]}. Choose another model.",
                    param="model",
                )
            )
    return [job for job in jobs if job.request.task == task]
