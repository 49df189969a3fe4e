"""Why a run failed, in a sentence, and what to change."""

from __future__ import annotations

import errno

from engine.backends.memory import is_memory_error
from engine.errors import InputError, PeopleError
from engine.training.run import LESS_MEMORY


class DivergedError(InputError):
    """The loss is no number any more."""

    def __init__(self, step: int) -> None:
        super().__init__(f"The loss at step {step} is not a finite number: the training diverged.", "learning_rate")


def explain(error: BaseException) -> tuple[str, str]:
    """The error's sentence for people, and advice; either may be empty."""
    if isinstance(error, DivergedError):
        return str(error), "Set learning_rate to a third of what it is, or raise warmup_ratio."
    if isinstance(error, PeopleError):
        return str(error), ""
    if is_memory_error(error):
        return "Memory ran out during training.", f"{LESS_MEMORY}."
    if is_disk_full(error):
        return (
            "The disk is full; nothing more could be saved.",
            "Free disk space or delete old runs, then resume this one.",
        )
    return f"{type(error).__name__}: {error}", "This is a bug, or the base is unusual. The log says more."


def is_disk_full(error: BaseException) -> bool:
    """Whether a file could not be written for want of space (or of the quota)."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return "No space left on device" in str(error)
