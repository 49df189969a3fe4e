"""What a loaded model really takes in memory, measured: of a process of its own what the system counts for it, of one
in this process what its load took from the C library's allocator, and what it mapped of its files; on a GPU there."""

from __future__ import annotations

import ctypes
import gc
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from engine.backends.memory import give_freed_memory_back
from engine.backends.protocol import Backend

FRESH_SECONDS = 10.0
"""How long what was read of a process stands."""
_FIELDS = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"

_measured: WeakKeyDictionary[Any, tuple[int, float]] = WeakKeyDictionary()
"""Bytes of each backend, and when they were read."""
_counting = threading.Lock()
_loads = [0, 0]
"""How many loads have begun, and how many are under way."""


class _Taken(NamedTuple):
    """Bytes: on the GPU, what the allocator gave out, what is in memory and of no file, what is mapped of weights."""

    on_gpu: int
    given: int
    resident: int
    mapped: int


class _Heap(ctypes.Structure):
    """glibc's `struct mallinfo2`."""

    _fields_ = [(name, ctypes.c_size_t) for name in _FIELDS.split()]


def measured_bytes(backend: Backend) -> int | None:
    """Memory that a loaded model takes; None where it could not be measured."""
    if told := getattr(backend, "measured_bytes", None):  # by the process that it is in
        return int(told)
    size, at = _measured.get(backend, (0, 0.0))
    pid = getattr(backend, "pid", None)
    if pid is not None and time.monotonic() - at > FRESH_SECONDS:
        size, at = process_bytes(pid), time.monotonic()
        _measured[backend] = size, at
    return size or None


def measuring(load: Callable[[], Backend], path: Path, libraries: Iterable[str] = ()) -> Backend:
    """What `load` returns, and note what it took, unless another load went on at the same time."""
    for name in libraries:
        import_module(name)  # what they take is no model's
    with _counting:
        _loads[0], _loads[1] = _loads[0] + 1, _loads[1] + 1
        begun, is_alone = _loads[0], _loads[1] == 1
    before = _taken(path)
    try:
        backend = load()
    finally:
        with _counting:
            _loads[1] -= 1
            is_alone = is_alone and _loads[0] == begun
    after = _taken(path)
    if is_alone and before and after and getattr(backend, "pid", None) is None:
        _measured[backend] = _difference(before, after), time.monotonic()
    return backend


def process_bytes(pid: int) -> int:
    """Memory of another process, its share where pages are shared (PSS); 0 where the system does not tell."""
    return _told(pid, "Pss:") or 0


def _told(pid: int | str, name: str) -> int | None:
    """Bytes that the system tells of a process; None where it does not."""
    with suppress(OSError, ValueError, StopIteration):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(name)) * 1024
    return None


def _taken(path: Path) -> _Taken | None:
    """Of this process, once what was thrown away is given back: it is no model's."""
    gc.collect()
    give_freed_memory_back()
    given, resident = _heap(), _told("self", "Anonymous:")
    return None if given is None or resident is None else _Taken(_on_gpu(), given, resident, _mapped(path))


def _difference(before: _Taken, after: _Taken) -> int:
    """What a load took. What was given out counts as far as it was written to: some libraries reserve much more."""
    if after.on_gpu > before.on_gpu:
        return after.on_gpu - before.on_gpu
    own = min(after.given - before.given, after.resident - before.resident)
    return max(0, own) + max(0, after.mapped - before.mapped)


def _on_gpu() -> int:
    torch = sys.modules.get("torch")
    return int(torch.cuda.memory_allocated()) if torch and torch.cuda.is_initialized() else 0


def _heap() -> int | None:
    """What the C library's allocator has given out and not got back; None where it does not tell."""
    library = _library()
    if library is None:
        return None
    told = library.mallinfo2()
    return int(told.uordblks + told.hblkhd)


@cache
def _library() -> Any:
    if sys.platform != "linux":
        return None
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL("libc.so.6")
        library.mallinfo2.restype = _Heap
        return library
    return None


def _mapped(path: Path) -> int:
    """Bytes of weights that this process has mapped: of the files beside or below a path, and of any safetensors.

    A copy that a runtime made of them lies beside them. They count whole: the first answer reads them all.
    """
    total, folder = 0, f"{path.resolve() if path.is_dir() else path.resolve().parent}/"
    with suppress(OSError, ValueError):
        for line in Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines():
            span, *_, name = line.split(maxsplit=5)
            if name.startswith(folder) or name.endswith(".safetensors"):
                start, end = (int(place, 16) for place in span.split("-"))
                total += end - start
    return total
