"""How a child process that computes in the background steps back behind answers."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

LAST = 19
"""The nice level of what gets on only where nothing else wants the processor."""
KILLED_FIRST, KILLED_EARLY = 500, 200
"""Of the kernel's scale to 1000: where memory runs out, this process goes before the server, and early is after
first."""


def step_back(level: int = LAST, pid: int = 0) -> None:
    """Raise a process's nice level to `level` and offer it first to the kernel where memory runs out; 0 is this one."""
    with suppress(OSError, AttributeError):  # not on every system
        os.setpriority(os.PRIO_PROCESS, pid, max(level, os.getpriority(os.PRIO_PROCESS, pid)))
        # Linux weighs sessions against each other before it weighs the processes in them.
        if os.getsid(pid) == (pid or os.getpid()):
            Path(f"/proc/{pid or 'self'}/autogroup").write_text(str(level))
    offer(KILLED_FIRST, pid)


def offer(score: int, pid: int = 0) -> None:
    """Have the kernel end a process before others where memory runs out; 0 is this one."""
    with suppress(OSError):
        Path(f"/proc/{pid or 'self'}/oom_score_adj").write_text(str(score))
