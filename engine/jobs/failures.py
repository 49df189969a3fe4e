"""Why work failed, in a sentence, and what to do; kinds that know more have an `explain` of their own."""

from __future__ import annotations

import errno
import traceback
from pathlib import Path

from engine.errors import PeopleError
from engine.messages import Text


def describe(error: BaseException) -> tuple[Text, Text]:
    """The error's sentence for people, and advice; either may be empty."""
    if isinstance(error, PeopleError):
        return error.text, Text("")
    if isinstance(error, MemoryError):
        return Text("Memory ran out."), Text("Unload models, then try again.")
    if is_disk_full(error):
        return Text("The disk is full; nothing more could be saved."), Text("Free some disk space, then try again.")
    words = Text("{kind}: {words}", kind=type(error).__name__, words=str(error))
    return words, Text("This is a bug, or something unusual. The log says more.")


def is_disk_full(error: BaseException) -> bool:
    """Whether a file could not be written for want of space (or of the quota)."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return "No space left on device" in str(error)


def note(log: Path, error: BaseException) -> None:
    """Append the error with where it came from to a log."""
    with log.open("a", encoding="utf-8") as file:
        file.write("".join(traceback.format_exception(error)))
