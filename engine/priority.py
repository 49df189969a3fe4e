"""Who goes first on the processor: short answers, then what takes seconds, then what nobody waits for."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

LONG, LAST = 15, 19
"""Nice levels of answers that take seconds, which those of a moment do not wait for, and of what gets on only where
nothing else wants the processor. At 15 a thread has a thirtieth of a processor beside one at 0, at 10 a tenth."""
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
    if level == LAST:
        with suppress(OSError, AttributeError):  # a smaller share than nice alone gives
            os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))
    offer(KILLED_FIRST, pid)


def step_back_alone(level: int = LONG) -> None:
    """Raise the nice level of this thread, and of those that it starts, where threads have their own."""
    with suppress(OSError):
        if sys.platform == "linux":
            os.setpriority(os.PRIO_PROCESS, 0, level)


def offer(score: int, pid: int = 0) -> None:
    """Have the kernel end a process before others where memory runs out; 0 is this one."""
    with suppress(OSError):
        Path(f"/proc/{pid or 'self'}/oom_score_adj").write_text(str(score))
