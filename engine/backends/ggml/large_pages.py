"""What a load put into memory is kept in large pages by Linux, which it need not look up so often.

The pages that are there become a large one, with what is in them, whoever writes there (madvise's MADV_COLLAPSE, since
Linux 6.1; where that cannot be, nothing happens).
"""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LEAST = 64 * 2**20
"""Smaller ranges of memory stay as they are."""
COLLAPSE = 25
PAGE, LARGE_PAGE = 4096, 2 * 2**20
LATER_SECONDS = 2.0
"""From a load to its large pages: where memory is in pieces that takes half a second, which the first answer need not
wait for. Where that memory has another use by then, they do no harm."""

Range = tuple[int, int]


@contextmanager
def large_pages() -> Iterator[None]:
    """Around a load: what appeared meanwhile is put into large pages a little later, in a thread. Only on Linux."""
    before = _anonymous()
    yield
    if appeared := list(_appeared(before, _anonymous())):
        later = threading.Timer(LATER_SECONDS, _enlarge, (appeared,))
        later.daemon = True
        later.start()


def _enlarge(ranges: list[Range]) -> None:
    libc = ctypes.CDLL(None)
    for start, end in ranges:
        for page in range(-(-start // LARGE_PAGE) * LARGE_PAGE, end - LARGE_PAGE + 1, LARGE_PAGE):
            if _is_there(libc, page):
                libc.madvise(ctypes.c_void_p(page), ctypes.c_size_t(LARGE_PAGE), COLLAPSE)


def _is_there(libc: ctypes.CDLL, start: int) -> bool:
    """Whether every page of a large one was written: else it would take memory that is not in use."""
    state = ctypes.create_string_buffer(LARGE_PAGE // PAGE)
    is_known = libc.mincore(ctypes.c_void_p(start), ctypes.c_size_t(LARGE_PAGE), state) == 0
    return is_known and all(flag & 1 for flag in state.raw)


def _anonymous() -> list[Range]:
    """The process's private writable memory that belongs to no file, by address."""
    if sys.platform != "linux":
        return []
    lines = [line.split() for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()]
    spans = (fields[0].split("-") for fields in lines if fields[1] == "rw-p" and len(fields) == 5)
    return [(int(start, 16), int(end, 16)) for start, end in spans]


def _appeared(before: list[Range], after: list[Range]) -> Iterator[Range]:
    """The parts of `after` that `before` does not have, each long enough; both in rising order."""
    for start, end in after:
        for known_start, known_end in before:
            if known_end <= start or known_start >= end:
                continue
            if known_start - start >= LEAST:
                yield start, known_start
            start = max(start, known_end)
        if end - start >= LEAST:
            yield start, end
