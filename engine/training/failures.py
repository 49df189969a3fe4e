"""Why a run failed, in a sentence, and what to change."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

from engine.backends.memory import is_memory_error
from engine.errors import InputError
from engine.jobs import failures
from engine.jobs.failures import is_disk_full
from engine.messages import Text
from engine.training.run import LESS_MEMORY

log = logging.getLogger(__name__)


class DivergedError(InputError):
    """The loss is no number any more."""

    def __init__(self, step: int) -> None:
        sentence = Text("The loss at step {step} is not a finite number: the training diverged.", step=step)
        super().__init__(sentence, "learning_rate")


def describe(error: BaseException) -> tuple[Text, Text]:
    """The error's sentence for people, and advice; either may be empty."""
    if isinstance(error, DivergedError):
        return error.text, Text("Set learning_rate to a third of what it is, or raise warmup_ratio.")
    if is_memory_error(error):
        return Text("Memory ran out during training."), Text("{advice}.", advice=LESS_MEMORY)
    if is_disk_full(error):
        advice = Text("Free disk space or delete old runs, then resume this one.")
        return Text("The disk is full; nothing more could be saved."), advice
    return failures.describe(error)


def as_command(work: Callable[[], object]) -> int:
    """Do what a command line asks for and print what it returns; a fault's sentence goes to stderr.

    Returns the exit status.
    """
    try:
        print(work())
    except Exception as error:
        log.exception("the command failed")
        print(in_english(error), file=sys.stderr)
        return 1
    return 0


def in_english(error: BaseException) -> str:
    """Both in one line, for a terminal."""
    return " ".join(str(text) for text in describe(error) if text)
