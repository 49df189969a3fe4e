"""Threads: what is chosen from speeds, what is believed of a file, and the command that measures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.backends import cores, threads
from engine.backends.ct2.conversion import COPY
from engine.backends.loader import load
from engine.catalogue.models import read_catalogue
from engine.catalogue.sources.folder import Folder
from engine.catalogue.store import Store
from engine.settings import Settings
from tests.backends.checkpoints import bert


@pytest.fixture(autouse=True)
def four_cores(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(cores, "available_cores", lambda: 4)
    cores._machine.cache_clear()
    yield
    cores._machine.cache_clear()


def kept(folder: Path, **values: Any) -> Settings:
    """Settings whose cache folder holds a measurement of this machine, with these values."""
    (folder / cores.FILE).write_text(json.dumps({"machine": cores._machine()} | values))
    return Settings(cache_folder=folder)


@pytest.mark.parametrize(("number", "expected"), [(1, [1]), (2, [1, 2]), (6, [1, 2, 4, 6]), (8, [1, 2, 4, 8])])
def test_numbers_double_up_to_all_cores(number: int, expected: list[int]) -> None:
    assert threads.counts(number) == expected


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
    assert cores.threads_for("llamacpp", replace(settings, threads=3)) == 3
    assert cores.threads_for("llamacpp", settings) == 2
    assert cores.threads_for("transformers", settings) == 4


@pytest.mark.parametrize("best", [0, 5, -1, True, "2", 1.5, None])
def test_a_number_that_cannot_be_is_not_believed(tmp_path: Path, best: Any) -> None:
    settings = kept(tmp_path, llamacpp=best, transformers=2)
    assert cores.threads_for("llamacpp", settings) == 4 and cores.threads_for("transformers", settings) == 2


@pytest.mark.parametrize("content", ["", "{", "[]", "2", '{"llamacpp": 1}', '{"machine": {"cores": 2}, "llamacpp": 1}'])
def test_a_damaged_file_or_one_of_another_machine_is_left_aside(tmp_path: Path, content: str) -> None:
    (tmp_path / cores.FILE).write_text(content)
    settings = Settings(cache_folder=tmp_path)
    assert cores.threads_for("llamacpp", settings) == 4


def test_the_command_keeps_what_the_rounds_agree_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(cache_folder=tmp_path / "cache")
    monkeypatch.setattr(threads, "current", lambda: settings)
    monkeypatch.setattr(threads, "available_cores", lambda: 4)
    monkeypatch.setattr(threads, "is_machine_busy", lambda: False)
    monkeypatch.setattr(threads, "_speed", lambda kind, store, settings: kind)
    monkeypatch.setattr(threads, "measure", lambda kind, count: 2 if kind == "llamacpp" else None)
    threads.main()
    assert (cores.threads_for("llamacpp", settings), cores.threads_for("transformers", settings)) == (2, 4)
    assert "llamacpp: 2 of 4 threads" in capsys.readouterr().out
    monkeypatch.setattr(threads, "is_machine_busy", lambda: True)
    with pytest.raises(SystemExit, match="idle"):
        threads.main()


def test_an_encoder_is_measured_as_it_serves_and_takes_the_number(tmp_path: Path) -> None:
    settings, folder = kept(tmp_path, transformers=1), bert(tmp_path / "model", "SequenceClassification")
    store = Store(replace(settings, device="cpu"), read_catalogue())
    probe = store.catalogue.find(threads.PROBES["transformers"])
    model = replace(probe, runtime="transformers", source=Folder(str(folder)))
    store.catalogue.models[model.id] = model
    COPY.made(folder)
    try:
        for dtype in ("auto", "float32"):
            assert threads._speed("transformers", store, replace(store.settings, dtype=dtype))(2) > 0
        backend = load(model, store.path(model.id), store.settings)
        assert (backend.concurrency, backend.dtype) == (1, "int8")
        backend.close()
        backend = load(model, store.path(model.id), replace(store.settings, threads=2))
        assert backend.concurrency == 2
        backend.close()
    finally:
        store.close()
