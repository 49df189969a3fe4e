"""What a loaded model really takes in memory, measured: of a process of its own what the system counts for it, of one
in this process what its load took from the C library's allocator, and what is mapped of its files; on a GPU there."""

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
from typing import Any
from weakref import WeakKeyDictionary

from engine.backends.protocol import Backend

FRESH_SECONDS = 10.0
"""How long what was read of a process stands."""
_FIELDS = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"

_measured: WeakKeyDictionary[Any, tuple[int, float]] = WeakKeyDictionary()
"""Bytes of each backend, and when they were read."""
_counting = threading.Lock()
_loads = [0, 0]
"""How many loads have begun, and how many are under way."""


class _Heap(ctypes.Structure):
    """glibc's `struct mallinfo2`."""

    _fields_ = [(name, ctypes.c_size_t) for name in _FIELDS.split()]


def measured_bytes(backend: Backend) -> int | None:
    """Memory that a loaded model takes; None where it could not be measured."""
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
    gc.collect()  # what was thrown away before is no model's either
    before = _taken(path)
    try:
        backend = load()
    finally:
        with _counting:
            _loads[1] -= 1
            is_alone = is_alone and _loads[0] == begun
    if is_alone and before is not None and getattr(backend, "pid", None) is None:
        gc.collect()
        _measured[backend] = _difference(before, _taken(path) or before), time.monotonic()
    return backend


def process_bytes(pid: int) -> int:
    """Memory of another process, its share where pages are shared (PSS); 0 where the system does not tell."""
    with suppress(OSError, ValueError, IndexError):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024
    return 0


def _taken(path: Path) -> tuple[int, int] | None:
    """Bytes of this process on the GPU, and those that its allocator gave out or are mapped of the files at a path."""
    heap = _heap()
    return None if heap is None else (_on_gpu(), heap + _mapped(path))


def _difference(before: tuple[int, int], after: tuple[int, int]) -> int:
    on_gpu, here = after[0] - before[0], after[1] - before[1]
    return on_gpu if on_gpu > 0 else max(0, here)


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
    """What is in memory of the files at a path that this process has mapped."""
    total, is_ours, name = 0, False, str(path.resolve())
    with suppress(OSError):
        for line in Path("/proc/self/smaps").read_text(encoding="utf-8", errors="replace").splitlines():
            if not line[:1].isupper():
                is_ours = name in line
            elif is_ours and line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total
