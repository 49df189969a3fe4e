"""Python's collection of what refers to itself, at times of our own: it holds the whole process while it looks.

Streamlit has it look at everything after each run of a page (`runner.postScriptGC`): with all libraries there are half
a million objects, and each look takes 0.3 seconds and more, in which nobody is answered. What was imported stays for
ever and needs no look.
"""

from __future__ import annotations

import gc
import sys
import threading

LOOK_SECONDS = 60.0
WHOLE_LOOKS = 60
"""After so many looks, an hour, what was put aside is looked at as well."""
MANY_MODULES = 50
"""Newly imported, as with the first model of a runtime: from here on they are put aside."""


class Tidying:
    """What is to be looked at, and what was put aside; used by one thread."""

    def __init__(self) -> None:
        self._modules = self._looks = 0

    def look(self) -> bool:
        """Collect what nobody has any more; whether everything was looked at, and what is left put aside."""
        self._looks += 1
        is_whole = len(sys.modules) - self._modules >= MANY_MODULES or self._looks >= WHOLE_LOOKS
        if is_whole:
            gc.unfreeze()
        gc.collect()
        if is_whole:
            gc.freeze()
            self._modules, self._looks = len(sys.modules), 0
        return is_whole


def tidy(is_over: threading.Event) -> None:
    """Look from time to time until the server ends."""
    tidying = Tidying()
    while not is_over.wait(LOOK_SECONDS):
        tidying.look()
