"""Threads: what is chosen from speeds, what is believed of a file, and when the measurement starts."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from benches import Bench

from engine.backends import threads
from engine.backends.loader import load
from engine.catalogue.models import read_catalogue
from engine.catalogue.store import Store
from engine.settings import Settings


@pytest.fixture(autouse=True)
def four_cores(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(threads, "available_cores", lambda: 4)
    threads._machine.cache_clear()
    yield
    threads._machine.cache_clear()


def kept(folder: Path, **values: Any) -> Settings:
    """Settings whose cache folder holds a measurement of this machine, with these values."""
    (folder / threads.FILE).write_text(json.dumps({"machine": threads._machine()} | values))
    return Settings(cache_folder=folder)


@pytest.mark.parametrize(("cores", "expected"), [(1, [1]), (2, [1, 2]), (6, [1, 2, 4, 6]), (8, [1, 2, 4, 8])])
def test_numbers_double_up_to_all_cores(cores: int, expected: list[int]) -> None:
    assert threads.counts(cores) == expected


@pytest.mark.parametrize(
    ("speeds", "expected"),
    [
        ({1: [50, 50, 50], 2: [90, 91, 90], 4: [120, 121, 119]}, 4),
        ({1: [50, 50, 50], 2: [120, 121, 119], 4: [90, 91, 90]}, 2),
        ({1: [105, 106, 107], 2: [100, 100, 100]}, 2),
        ({1: [130, 130, 70], 2: [100, 100, 100]}, None),
        ({1: [130, 130, 130], 2: [100, 60, 100]}, None),
        ({1: [10, 40, 10], 2: [100, 100, 100]}, 2),
        ({1: [0.0, 0.0, 0.0], 2: [0.0, 0.0, 0.0]}, 2),
    ],
)
def test_fewer_threads_must_win_clearly_and_in_rounds_that_agree(
    speeds: dict[int, list[float]], expected: int | None
) -> None:
    assert threads.choose(speeds) == expected


def test_rounds_alternate() -> None:
    seen: list[int] = []
    assert threads.measure(lambda count: seen.append(count) or 10.0 / count, 2) == 1  # type: ignore[func-returns-value]
    assert seen == [1, 2] * threads.ROUNDS


def test_the_setting_wins_then_the_measurement_then_all_cores(tmp_path: Path) -> None:
    settings = kept(tmp_path, llamacpp=2)
    assert threads.threads_for("llamacpp", replace(settings, threads=3)) == 3
    assert threads.threads_for("llamacpp", settings) == 2
    assert threads.threads_for("transformers", settings) == 4
    assert threads.missing(settings) == ["transformers"]
    assert threads.missing(replace(settings, threads=3)) == threads.missing(replace(settings, prefetch=False)) == []


@pytest.mark.parametrize("best", [0, 5, -1, True, "2", 1.5, None])
def test_a_number_that_cannot_be_is_not_believed(tmp_path: Path, best: Any) -> None:
    settings = kept(tmp_path, llamacpp=best, transformers=2)
    assert threads.threads_for("llamacpp", settings) == 4 and threads.missing(settings) == ["llamacpp"]


@pytest.mark.parametrize("content", ["", "{", "[]", "2", '{"llamacpp": 1}', '{"machine": {"cores": 2}, "llamacpp": 1}'])
def test_a_damaged_file_or_one_of_another_machine_is_left_aside(tmp_path: Path, content: str) -> None:
    (tmp_path / threads.FILE).write_text(content)
    settings = Settings(cache_folder=tmp_path)
    assert threads.threads_for("llamacpp", settings) == 4
    assert threads.missing(settings) == ["llamacpp", "transformers"]


def test_one_core_has_nothing_to_measure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "available_cores", lambda: 1)
    assert threads.missing(Settings(cache_folder=tmp_path)) == []


def test_the_embedded_encoder_is_measured_as_it_serves_and_takes_the_number(tmp_path: Path) -> None:
    settings = kept(tmp_path, transformers=1)
    store = Store(replace(settings, device="cpu"), read_catalogue())
    model = store.catalogue.find(threads.PROBES["transformers"])
    try:
        for dtype in ("auto", "float32"):
            assert threads._speed("transformers", store, replace(store.settings, dtype=dtype))(2) > 0
        backend = load(model, store.path(model.id), store.settings)
        assert (backend.lanes, backend.dtype) == (1, "int8")
        backend.close()
        backend = load(model, store.path(model.id), replace(store.settings, threads=2))
        assert backend.lanes == 2
        backend.close()
    finally:
        store.close()


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """A bench whose measurement would start at once; its child sleeps instead of measuring."""
    monkeypatch.setattr(threads, "FIRST_SECONDS", 0.0)
    monkeypatch.setattr(threads, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(threads, "is_machine_busy", lambda: False)
    bench = Bench(cache_folder=tmp_path, device="cpu")
    yield bench
    bench.engine.close()


def test_the_measurement_runs_once_when_nothing_is_at_work(watched: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []
    start = subprocess.Popen

    def child(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        started.append(command)
        return start([sys.executable, "-c", ""])

    monkeypatch.setattr(subprocess, "Popen", child)
    threads.watch(watched.house, threading.Event())
    assert [command[1:] for command in started] == [["-m", "engine.backends.threads"]]


def test_a_visitor_ends_the_measurement_and_it_is_tried_again(watched: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []
    start = subprocess.Popen

    def child(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        started.append(start([sys.executable, "-c", "import time; time.sleep(60)"]))
        return started[-1]

    looks = iter([False, True] * threads.TRIES)
    monkeypatch.setattr(subprocess, "Popen", child)
    monkeypatch.setattr(type(watched.local), "is_busy", property(lambda engine: next(looks)))
    threads.watch(watched.house, threading.Event())
    assert len(started) == threads.TRIES and all(one.poll() is not None for one in started)


def test_a_stopping_server_ends_the_wait(watched: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "Popen", lambda *command, **options: pytest.fail("started"))
    is_over = threading.Event()
    is_over.set()
    threads.watch(watched.house, is_over)
