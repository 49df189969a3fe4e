"""The one way to start a child process: no keys, no input, a session of its own, a place for what it says.

Its environment is a clean one: what finds programs, libraries and devices, and no key or password of the server's. The
owner's token of the Hub is in it only where the work is the owner's own; by default it has no network for the Hugging
Face libraries. Ending it ends whatever it has started itself.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import IO

import psutil  # type: ignore[import-untyped]

from engine import priority
from engine.settings import ROOT, SECRETS

log = logging.getLogger(__name__)

Process = subprocess.Popen[bytes]

TOKEN_VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
NO_TOKEN = {"HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"}
"""The Hub's client also finds a token in a file of the owner's, and uses it unasked."""
KEPT = {
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TEMP", "TMP", "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH", "LD_PRELOAD", "VIRTUAL_ENV", "SYSTEMROOT", "USERPROFILE", "LOCALAPPDATA", "APPDATA", "PATHEXT",
}  # fmt: skip
KEPT_BEGINNINGS = (
    "LC_", "PYTHON", "PARLANCE_", "XDG_", "OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "NUMEXPR_", "VECLIB_",
    "MALLOC_", "CUDA_", "NVIDIA_", "NCCL_", "CUBLAS_", "HIP_", "ROCR_", "HSA_", "TORCH", "PYTORCH_", "CT2_",
    "GGML_", "LLAMA_", "HF_", "TRANSFORMERS_", "TOKENIZERS_", "ATEN_", "DNNL_", "ONEDNN_",
)  # fmt: skip
"""Variables of the system, of Python, of the libraries that compute and of Parlance."""
NETWORK_BEGINNINGS = ("PIP_", "SSL_CERT_", "REQUESTS_CA_", "CURL_CA_", "NETRC")
PROXIES = {f"{name}_PROXY" for name in ("HTTP", "HTTPS", "ALL", "NO", "FTP")}
"""How to reach the network, which may need a password of its own."""
OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
END_SECONDS = 2.0
"""For a process to end by itself once it was asked to."""
HUNG_SECONDS, LEAST_COMPUTED_SECONDS = 60.0, 0.1
"""A child that somebody waits for hangs where it has moved nothing for so long, and computed less than that."""
LOOK_SECONDS, LONGEST_LOOK_SECONDS = 1.0, 5.0
"""Between two looks at it, and what counts of a longer time between two."""


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
    its input is ours as well, until one of us ends, and it stays in our session, where Linux weighs its nice level
    against our threads'. Raises OSError.
    """
    with log.open("ab") if isinstance(log, Path) else nullcontext(log) as output:
        child = subprocess.Popen(
            command,
            cwd=ROOT,
            env=clean_environment(has_network, has_tokens) | dict(environment or {}),
            stdin=subprocess.PIPE if order or is_conversation else given or subprocess.DEVNULL,
            stdout=subprocess.PIPE if has_answer or is_conversation else output or subprocess.DEVNULL,
            stderr=subprocess.STDOUT if output else None,
            start_new_session=not is_conversation,
            process_group=0 if is_conversation else None,
        )
    if nice is not None:
        priority.step_back(nice, child.pid)
    if order and child.stdin:
        with suppress(BrokenPipeError), child.stdin:
            child.stdin.write(order.encode())
    return child


def clean_environment(has_network: bool = False, has_tokens: bool = False) -> dict[str, str]:
    """What of this process's environment a child gets."""
    kept = {name: value for name, value in os.environ.items() if _is_kept(name, has_network)}
    tokens = {name: os.environ[name] for name in TOKEN_VARIABLES if has_tokens and name in os.environ}
    return kept | (tokens if has_tokens else NO_TOKEN) | ({} if has_network else OFFLINE) | {"PYTHONUNBUFFERED": "1"}


def _is_kept(name: str, has_network: bool) -> bool:
    if name in TOKEN_VARIABLES or name in SECRETS:
        return False
    is_of_network = name.startswith(NETWORK_BEGINNINGS) or name.upper() in PROXIES
    return name in KEPT or name.startswith(KEPT_BEGINNINGS) or (has_network and is_of_network)


def end(process: Process) -> None:
    """End a child with all that it has started: asked first, then made to."""
    if process.poll() is None:
        signal_group(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(END_SECONDS)
    kill_group(process.pid)
    process.wait()


class Watch:
    """Whether a child does anything that somebody waits for, where it cannot say so itself: compute, read or write.

    Time counts only as far as this process looked: a machine that slept has let nobody work.
    """

    def __init__(self, pid: int) -> None:
        self._process: psutil.Process | None = None
        with suppress(psutil.Error):
            self._process = psutil.Process(pid)
        self._looked, self._silent_seconds = time.monotonic(), 0.0
        self._computed, self._moved = self._signs()

    def is_hung(self) -> bool:
        """Whether it has done nothing for HUNG_SECONDS, to be asked again and again."""
        now = time.monotonic()
        if now - self._looked >= LOOK_SECONDS:
            self._silent_seconds += min(now - self._looked, LONGEST_LOOK_SECONDS)
            self._looked = now
            computed, moved = self._signs()
            if computed - self._computed >= LEAST_COMPUTED_SECONDS or moved != self._moved:
                self._computed, self._moved, self._silent_seconds = computed, moved, 0.0
        return self._process is not None and self._silent_seconds >= HUNG_SECONDS

    def _signs(self) -> tuple[float, tuple[int, ...]]:
        """Seconds that it has computed, and bytes that it has read and written."""
        if self._process is not None:
            try:
                times = self._process.cpu_times()
                counts: tuple[int, ...] = getattr(self._process, "io_counters", tuple)()
                return times.user + times.system, tuple(counts)
            except psutil.Error:  # it is gone, which others see; its number may be another's soon
                self._process = None
        return 0.0, ()


@contextmanager
def watched(child: Process, is_waited_for: Callable[[], bool] = lambda: True) -> Iterator[None]:
    """Kill the child where it hangs meanwhile, as long as somebody waits for it."""
    is_over = threading.Event()

    def look() -> None:
        watch: Watch | None = Watch(child.pid)
        while not is_over.wait(LOOK_SECONDS):
            watch = (watch or Watch(child.pid)) if is_waited_for() else None
            if watch and watch.is_hung():
                log.warning("process %d has done nothing for a minute and is ended", child.pid)
                kill_group(child.pid)
                return

    threading.Thread(target=look, name="child-watch", daemon=True).start()
    try:
        yield
    finally:
        is_over.set()


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
