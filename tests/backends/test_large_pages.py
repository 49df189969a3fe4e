"""What a load left in memory lies in large pages, and is what it was."""

from __future__ import annotations

import mmap
import sys
import threading
from pathlib import Path

import pytest

from engine.backends.ggml import large_pages as module
from engine.backends.ggml.large_pages import LEAST, large_pages

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux is asked for large pages")
SIZE = 3 * LEAST


def wait() -> None:
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.join(30)


def test_what_appeared_lies_in_large_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LATER_SECONDS", 0)
    with large_pages():
        memory = mmap.mmap(-1, SIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        memory[:] = b"\1" * SIZE
    wait()
    smaps = Path("/proc/self/smaps_rollup").read_text(encoding="utf-8")
    large = next(int(line.split()[1]) * 1024 for line in smaps.splitlines() if line.startswith("AnonHugePages"))
    assert memory[:] == b"\1" * SIZE
    if not large:
        pytest.skip("this kernel keeps no large pages, or has none free")
    assert large > SIZE / 2


def test_memory_that_nobody_wrote_yet_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(module, "LATER_SECONDS", 0)
    monkeypatch.setattr(module, "_is_there", lambda libc, page: asked.append(page) or False)
    with large_pages():
        memory = mmap.mmap(-1, SIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    wait()
    assert asked and memory[:9] == bytes(9)
