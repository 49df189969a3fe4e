"""What a model takes in memory is measured, not taken from its maker's word or from what is set aside."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from fakes import FakeBackend
from safetensors.torch import load_file, save_file

from engine.backends.footprint import measured_bytes, measuring, process_bytes

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="glibc and /proc tell it")
SIZE = 160 * 2**20


class Holding(FakeBackend):
    """A model with an array for its weights, or with the file mapped that holds them."""

    def __init__(self, file: Path | None = None) -> None:
        super().__init__()
        self.weights = np.ones(SIZE, np.uint8) if file is None else np.load(file, mmap_mode="r")
        self.sum = self.weights.sum()


def test_weights_in_this_process_are_counted(tmp_path: Path) -> None:
    backend = measuring(Holding, tmp_path)
    assert SIZE * 0.95 <= (measured_bytes(backend) or 0) < SIZE * 1.1
    np.save(tmp_path / "weights.npy", backend.weights)
    mapped = measuring(lambda: Holding(tmp_path / "weights.npy"), tmp_path)
    assert SIZE * 0.95 <= (measured_bytes(mapped) or 0) < SIZE * 1.1
    assert measured_bytes(FakeBackend()) is None


def test_weights_that_are_mapped_and_not_read_yet_are_counted_whole(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").touch()
    copy = tmp_path / "model-safetensors" / "model.safetensors"  # which a runtime made and put beside
    copy.parent.mkdir()
    save_file({"weights": torch.ones(SIZE, dtype=torch.uint8)}, copy)

    def mapped() -> FakeBackend:
        backend = FakeBackend()
        backend.weights = load_file(copy)  # type: ignore[attr-defined]
        return backend

    assert SIZE * 0.95 <= (measured_bytes(measuring(mapped, tmp_path / "model.gguf")) or 0) < SIZE * 1.1


def test_what_is_reserved_and_never_written_to_is_not_counted(tmp_path: Path) -> None:
    def reserving() -> FakeBackend:
        backend = FakeBackend()
        backend.scratch = np.empty(SIZE, np.uint8)  # type: ignore[attr-defined]
        backend.weights = np.ones(SIZE // 4, np.uint8)  # type: ignore[attr-defined]
        return backend

    assert SIZE / 4 * 0.95 <= (measured_bytes(measuring(reserving, tmp_path)) or 0) < SIZE / 2


def test_two_loads_at_once_tell_nothing_of_either(tmp_path: Path) -> None:
    begun, ended = threading.Event(), threading.Event()
    made: list[FakeBackend] = []

    def slow() -> Holding:
        begun.set()
        assert ended.wait(10)
        return Holding()

    thread = threading.Thread(target=lambda: made.append(measuring(slow, tmp_path)))
    thread.start()
    assert begun.wait(10)
    made.append(measuring(Holding, tmp_path))
    ended.set()
    thread.join()
    assert [measured_bytes(one) for one in made] == [None, None]


def test_a_process_of_its_own_is_asked_of_the_system(tmp_path: Path) -> None:
    words = f"held = b'x' * {SIZE}; print(len(held), flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stdout.readline()
        backend = FakeBackend()
        backend.pid = process.pid  # type: ignore[attr-defined]
        assert SIZE < process_bytes(process.pid) < SIZE * 2
        assert measured_bytes(measuring(lambda: backend, tmp_path)) == process_bytes(process.pid)
        process.communicate("\n")
    assert process_bytes(process.pid) == 0
