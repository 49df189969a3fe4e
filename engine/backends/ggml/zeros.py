"""Memory that was filled with zeros and never used goes back to Linux, which gives zeros again when it is touched.

llama.cpp clears the attention cache of all its slots when it loads, and so takes all of it: SmolLM2 with 16 slots held
1.7 GB, and 0.18 GB after this. What an answer really writes is taken then. What stays, the weights above all, goes into
large pages.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BLOCK = 4 * 2**20
LEAST, LEAST_RUN = 64 * 2**20, 16 * 2**20
"""Smaller ranges of memory stay as they are, and smaller runs of zeros in a range: they may be buffers that another
thread is about to fill."""
DONTNEED, COLLAPSE = 4, 25
"""Of madvise(2): private pages are dropped and read as zeros from then on; the pages that are there become a large one
(since Linux 6.1; where that cannot be, nothing happens)."""
PAGE, LARGE_PAGE = 4096, 2 * 2**20
LATER_SECONDS = 2.0
"""From a load to its large pages."""

Range = tuple[int, int]
_one_load = threading.Lock()


@contextmanager
def given_back() -> Iterator[None]:
    """Around a load: give back long runs of zeros among the memory that appeared meanwhile, and have Linux keep the
    rest in large pages, which it need not look up so often. Nothing but on Linux.

    Large pages come later, in a thread: where memory is in pieces that takes half a second, which the first answer
    need not wait for. Where that memory has another use by then, they do no harm.
    """
    with _one_load:  # another's cache must not appear meanwhile, and be written while it is looked at
        before = _anonymous()
        yield
        appeared = list(_appeared(before, _anonymous()))
        for start, end in appeared:
            for run_start, run_end in _runs_of_zeros(start, end):
                _advise(run_start, run_end, DONTNEED)
    if appeared:
        later = threading.Timer(LATER_SECONDS, _enlarge, (appeared,))
        later.daemon = True
        later.start()


def _enlarge(ranges: list[Range]) -> None:
    for start, end in ranges:
        for page in range(-(-start // LARGE_PAGE) * LARGE_PAGE, end - LARGE_PAGE + 1, LARGE_PAGE):
            if _is_there(page, LARGE_PAGE):
                _advise(page, page + LARGE_PAGE, COLLAPSE)


def _advise(start: int, end: int, advice: int) -> None:
    _libc().madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), advice)


def _is_there(start: int, size: int) -> bool:
    """Whether every page of it was written."""
    state = ctypes.create_string_buffer(size // PAGE)
    is_known = _libc().mincore(ctypes.c_void_p(start), ctypes.c_size_t(size), state) == 0
    return is_known and all(flag & 1 for flag in state.raw)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)


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


def _runs_of_zeros(start: int, end: int) -> Iterator[Range]:
    """Runs of blocks in the range that were written, with zeros alone, each at least `LEAST_RUN` long."""
    zeros, libc = ctypes.create_string_buffer(BLOCK), _libc()

    def is_written_zero(block: int) -> bool:
        return _is_there(block, BLOCK) and libc.memcmp(ctypes.c_void_p(block), zeros, ctypes.c_size_t(BLOCK)) == 0

    run = block = -(-start // PAGE) * PAGE
    while block + BLOCK <= end:
        if not is_written_zero(block):
            if block - run >= LEAST_RUN:
                yield run, block
            run = block + BLOCK
        block += BLOCK
    if block - run >= LEAST_RUN:
        yield run, block
