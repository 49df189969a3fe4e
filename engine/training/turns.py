"""How a training behaves towards others: it stops when asked, and is below everything else on the processor."""

from __future__ import annotations

import os
import threading

from engine import SPIN_COUNT, priority
from engine.settings import current
from engine.training.run import Run


def is_asked_to_stop(run: Run, stop: threading.Event) -> bool:
    """Whether a signal or the folder's stop file asked the run to end."""
    return stop.is_set() or run.is_stop_asked


def spin_freely() -> None:
    """Before torch is imported: threads wait as OpenMP has it by default, a tenth faster than as the engine has it.

    What computes at a lower priority hinders no answer by it.
    """
    if os.environ.get("GOMP_SPINCOUNT") == SPIN_COUNT:
        del os.environ["GOMP_SPINCOUNT"]


def step_back() -> None:
    """Lower this process's priority to that of trainings."""
    priority.step_back(current().training_nice)
