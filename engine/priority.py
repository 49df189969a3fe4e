"""How a child process that computes in the background steps back behind answers."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

LAST = 19
"""The nice level of what gets on only where nothing else wants the processor."""
KILLED_FIRST = 500
"""Of the kernel's scale to 1000: where memory runs out, this process goes before the server."""


def step_back(level: int = LAST) -> None:
    """Raise this process's nice level to `level` and offer it first to the kernel where memory runs out."""
    with suppress(OSError, AttributeError):  # not on every system
        os.nice(max(0, level - os.nice(0)))
        # Linux weighs sessions against each other before it weighs the processes in them.
        if os.getsid(0) == os.getpid():
            Path("/proc/self/autogroup").write_text(str(level))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(KILLED_FIRST))
