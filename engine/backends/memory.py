"""When memory runs out, and how it is given back. It never imports torch: runtimes without it come here too."""

from __future__ import annotations

import ctypes
import gc
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache

from engine.errors import MemoryShortError
from engine.settings import available_memory_bytes, free_memory_bytes

SIGNS = ("DefaultCPUAllocator", "not enough memory", "MPS backend out of memory")
KEPT_BYTES = 64 * 2**20
"""Freed memory that the C library keeps for the next tensor of the same size."""
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
SPARE_BYTES, SPARE_SHARE = 256 * 2**20, 0.08
"""What loading leaves free for everything else, and how much of all memory that is at most."""

_aside: dict[str, int] = {}
"""Memory that loads under way have not taken yet, by what is loaded."""
_changing = threading.Lock()


@contextmanager
def set_aside(name: str, needed_bytes: int, refusal: Callable[[int], MemoryShortError]) -> Iterator[None]:
    """Around a load that takes so much: Linux grants memory that it does not have, and ends a process later.

    What others are loading counts as taken; of two loads of one name, one in the other, the larger. Raises what
    `refusal` makes of the memory that is there where it does not suffice.
    """
    with _changing:
        before = _aside.get(name, 0)
        others = sum(_aside.values()) - before
        free = free_memory_bytes() - others - int(min(SPARE_BYTES, SPARE_SHARE * available_memory_bytes()))
        if needed_bytes > free:
            raise refusal(max(0, free))
        _aside[name] = max(before, needed_bytes)
    try:
        yield
    finally:
        with _changing:
            if before:
                _aside[name] = before
            else:
                del _aside[name]


def is_memory_error(error: BaseException) -> bool:
    """Whether the error says that memory ran out, on any device."""
    is_short = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"  # torch's own
    return is_short or (isinstance(error, RuntimeError) and any(sign in str(error) for sign in SIGNS))


def memory_short(title: str) -> MemoryShortError:
    """The error for a person when a request did not fit, even alone."""
    return MemoryShortError(
        "Memory ran out while {model} was at work. Shorten the text, or unload another model, and try again.",
        retry_seconds=5, model=title,
    )  # fmt: skip


@cache
def keep_freed_memory() -> None:
    """Have the C library keep freed blocks, once a process: glibc else maps every larger tensor anew, page by page.

    That took a sixth of an encoder's time. Other C libraries are left as they are.
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            library = ctypes.CDLL("libc.so.6")
            library.mallopt(M_MMAP_THRESHOLD, KEPT_BYTES)
            library.mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)


def give_freed_memory_back() -> None:
    """Have glibc return the freed blocks that it keeps; after a load, which frees much of what it read."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").malloc_trim(0)


def free_caches() -> None:
    """Give back what torch and the C library keep for later, where they are in use."""
    gc.collect()
    give_freed_memory_back()
    torch = sys.modules.get("torch")
    if torch is None:
        return
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch.backends.mps.is_available():
        torch.mps.empty_cache()
