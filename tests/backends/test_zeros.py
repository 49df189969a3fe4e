"""Zeros that were written and never used are given back; everything else stays as it is."""

from __future__ import annotations

import ctypes
import mmap
import sys
import threading
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from engine.backends.ggml import zeros
from engine.backends.ggml.zeros import BLOCK, LEAST, LEAST_RUN, given_back

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux is asked for its zeros back")
SIZE = 3 * LEAST


def held() -> int:
    return int(psutil.Process().memory_info().rss)


def zeroed(size: int = SIZE) -> mmap.mmap:
    """Private memory, every page of it written with zeros."""
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    ctypes.memset(ctypes.addressof(ctypes.c_char.from_buffer(memory)), 0, size)
    return memory


def test_zeros_are_given_back_and_read_as_zeros() -> None:
    before = held()
    with given_back():
        memory = zeroed()
        assert held() - before > SIZE * 0.9
    assert held() - before < SIZE * 0.2
    assert memory[:] == bytes(SIZE)
    memory[5] = 7
    assert memory[:8] == bytes([0, 0, 0, 0, 0, 7, 0, 0])


def test_what_holds_anything_stays() -> None:
    with given_back():
        memory = zeroed()
        for place in range(0, SIZE, LEAST_RUN // 2):
            memory[place] = 1
        whole = held()
    assert whole - held() < BLOCK
    assert sum(memory[:]) == len(range(0, SIZE, LEAST_RUN // 2))


def test_what_was_there_before_stays() -> None:
    memory = zeroed()
    whole = held()
    with given_back():
        pass
    assert whole - held() < BLOCK
    memory[0] = 1


def test_memory_that_nobody_wrote_yet_is_left_alone() -> None:
    """Pages that are not there have nothing to give; a buffer about to be filled is never touched."""
    with given_back():
        memory = mmap.mmap(-1, SIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        memory[:LEAST] = b"\1" * LEAST
    assert memory[:LEAST] == b"\1" * LEAST
    assert memory[LEAST : LEAST + 9] == bytes(9)


def test_what_is_left_lies_in_large_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zeros, "LATER_SECONDS", 0)
    with given_back():
        memory = mmap.mmap(-1, SIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        memory[:] = b"\1" * SIZE
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.join(30)
    smaps = Path("/proc/self/smaps_rollup").read_text(encoding="utf-8")
    large = next(int(line.split()[1]) * 1024 for line in smaps.splitlines() if line.startswith("AnonHugePages"))
    if not large:
        pytest.skip("this kernel keeps no large pages, or has none free")
    assert large > SIZE / 2 and memory[:] == b"\1" * SIZE
