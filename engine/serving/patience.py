"""Work that nobody watches waits for an engine that is busy, then asks again: files, and indexes of documents."""

from __future__ import annotations

import time
from collections.abc import Callable

from engine.errors import BusyError, LimitError, NotReadyError, PeopleError

WAIT_SECONDS, LONGEST_SECONDS = 2.0, 60.0
"""Between two tries where the error says nothing, and at most."""
PATIENCE_SECONDS = 3600.0
"""For so long it asks again for an engine that gives no answer."""


def is_passing(error: PeopleError) -> bool:
    """Whether the same may be asked again: a full queue, or what says itself when; not an allowance that is used up."""
    if isinstance(error, BusyError):
        return not isinstance(error, LimitError)
    return isinstance(error, NotReadyError) and error.retry_seconds is not None


class Patience:
    """For one thing asked. `pause` waits for so many seconds, and sees itself whether the work is to stop."""

    def __init__(self, pause: Callable[[float], None]) -> None:
        self._pause, self._end = pause, time.monotonic() + PATIENCE_SECONDS

    def wait(self, error: PeopleError) -> None:
        """Return once asking again makes sense. Raises the error where it does not, or no longer."""
        if not is_passing(error) or time.monotonic() > self._end:
            raise error
        self._pause(min(LONGEST_SECONDS, error.retry_seconds or WAIT_SECONDS))
