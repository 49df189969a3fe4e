"""The one way to start a child process: no keys, no input, a session of its own, a place for what it says.

Its environment has no access tokens unless the caller says that the work is theirs, and by default no network for the
Hugging Face libraries. Ending it ends whatever it has started itself.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import IO

from engine import priority
from engine.settings import ROOT

Process = subprocess.Popen[bytes]

TOKEN_VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
END_SECONDS = 2.0
"""For a process to end by itself once it was asked to."""


def python(module: str, *arguments: str) -> list[str]:
    """The command that runs a module in this Python."""
    return [sys.executable, "-m", module, *arguments]


def start(
    command: Sequence[str],
    *,
    log: Path | IO[bytes] | IO[str] | None = None,
    environment: Mapping[str, str] | None = None,
    has_network: bool = False,
    has_tokens: bool = False,
    nice: int | None = None,
    order: str = "",
    given: IO[bytes] | None = None,
    has_answer: bool = False,
    is_conversation: bool = False,
) -> Process:
    """Start a child; what it says is appended to `log` (a path or an open file); without one its errors are ours.

    `order` is all that it can read from its standard input: what must stand in no file, list of processes or
    environment; or that is a file, `given`. With `has_answer` its standard output is ours to read; in a conversation
    its input is ours as well, until one of us ends. Raises OSError.
    """
    with log.open("ab") if isinstance(log, Path) else nullcontext(log) as output:
        child = subprocess.Popen(
            command,
            cwd=ROOT,
            env=clean_environment(has_network, has_tokens) | dict(environment or {}),
            stdin=subprocess.PIPE if order or is_conversation else given or subprocess.DEVNULL,
            stdout=subprocess.PIPE if has_answer or is_conversation else output or subprocess.DEVNULL,
            stderr=subprocess.STDOUT if output else None,
            start_new_session=True,
        )
    if nice is not None:
        priority.step_back(nice, child.pid)
    if order and child.stdin:
        with suppress(BrokenPipeError), child.stdin:
            child.stdin.write(order.encode())
    return child


def clean_environment(has_network: bool = False, has_tokens: bool = False) -> dict[str, str]:
    """This process's environment as a child gets it."""
    kept = {name: value for name, value in os.environ.items() if has_tokens or name not in TOKEN_VARIABLES}
    return kept | ({} if has_network else OFFLINE) | {"PYTHONUNBUFFERED": "1"}


def end(process: Process) -> None:
    """End a child with all that it has started: asked first, then made to."""
    if process.poll() is None:
        signal_group(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(END_SECONDS)
    kill_group(process.pid)
    process.wait()


def kill_group(pid: int) -> None:
    """End a process at once, and all others of its group where it leads one."""
    signal_group(pid, signal.SIGKILL)


def signal_group(pid: int, number: int) -> None:
    """Send a signal to a process and to all others of its group where it leads one."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)
        return
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
