"""How bytes come in: the progress of one download, the child process that brings it, sizes and sha256.

Knows nothing of the cache, its locks and its states: the sources say what to fetch, the store what to keep.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from engine.errors import NotReadyError
from engine.files import folder_bytes
from engine.jobs import process
from engine.messages import Text

CHUNK_BYTES = 1 << 20
POLL_SECONDS = 0.2
SPEED_WINDOW_SECONDS = 5.0
START_SECONDS = 60.0
"""How long a child may take to import its libraries on a slow disk before it counts as silent."""


class Stopped(Exception):
    """Whoever wanted the bytes has closed the store."""


class Transfer:
    """How far one download is. One thread writes, any thread reads; `is_stopped` set by anybody ends it."""

    def __init__(self, total_bytes: int, on_change: Callable[[], None] = lambda: None) -> None:
        self.total_bytes, self.done_bytes, self.step = total_bytes, 0, Text("")
        self.is_stopped = threading.Event()
        self.on_change = on_change
        self._samples: deque[tuple[float, int]] = deque()

    def skip_to(self, done_bytes: int) -> None:
        """Bytes that were there before: they count, but not as speed."""
        self._samples.clear()
        self.reach(done_bytes)

    def reach(self, done_bytes: int) -> None:
        """Record how many bytes there are, and raise Stopped when nobody wants more."""
        now = time.monotonic()
        self.done_bytes = done_bytes
        self._samples.append((now, done_bytes))
        while now - self._samples[0][0] > SPEED_WINDOW_SECONDS:
            self._samples.popleft()
        self.beat()

    def beat(self) -> None:
        """Say that work goes on. Raises Stopped when nobody wants it any more."""
        self.on_change()
        if self.is_stopped.is_set():
            raise Stopped

    @property
    def bytes_per_second(self) -> float | None:
        """Of the last five seconds; None before there is anything to measure."""
        samples = list(self._samples)
        if len(samples) < 2 or samples[-1][0] - samples[0][0] < 2 * POLL_SECONDS:
            return None
        return max(0.0, (samples[-1][1] - samples[0][1]) / (samples[-1][0] - samples[0][0]))


def sha256(path: Path, transfer: Transfer) -> str:
    """Of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            transfer.beat()
    return digest.hexdigest()


def run_child(
    command: Sequence[str],
    environment: Mapping[str, str],
    folder: Path,
    transfer: Transfer,
    expected_bytes: int,
    silent_seconds: float | None = None,
    has_tokens: bool = False,
) -> tuple[int, str]:
    """Run a process that fills `folder`, reporting how that grows; returns its exit code and output.

    `has_tokens` lets it have the owner's token of the Hub.

    The process does not outlive this call. Raises Stopped, or NotReadyError when the folder stays as it is for
    `silent_seconds` (a child that is starting has START_SECONDS).
    """
    before, size = transfer.done_bytes, folder_bytes(folder)
    transfer.skip_to(before + min(size, expected_bytes))
    patience, since = START_SECONDS, time.monotonic()
    with (folder / "output.txt").open("w+", encoding="utf-8", errors="replace") as output:
        child = process.start(command, log=output, environment=environment, has_network=True, has_tokens=has_tokens)
        try:
            while child.poll() is None:
                time.sleep(POLL_SECONDS)
                last, size = size, folder_bytes(folder)
                transfer.reach(before + min(size, expected_bytes))
                if silent_seconds and size != last:  # the first growth: a child says that it has started
                    patience, since = silent_seconds + 1, time.monotonic()
                elif silent_seconds and time.monotonic() - since > patience:
                    raise NotReadyError(
                        "The Hub has not answered for {seconds} seconds. Check the network, then try again; what "
                        "arrived is kept.",
                        seconds=round(silent_seconds),
                    )
        finally:
            process.end(child)
        output.seek(0)
        return child.returncode, output.read()[-4000:]
