"""Chunks of a file and the model: which is asked for when, and what is kept."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine.errors import NotReadyError, PeopleError
from engine.jobs.files import asking
from engine.jobs.files.folder import DONE
from engine.jobs.folder import Stopped
from engine.requests import Event


def job_in(folder: Path, is_stop_asked: bool = False) -> Any:
    return SimpleNamespace(folder=folder, is_stop_asked=is_stop_asked, update=lambda *said, **told: None)


HOUSE: Any = SimpleNamespace(engine=SimpleNamespace(settings=SimpleNamespace(max_rows=100)), ending=threading.Event())


def kept(folder: Path) -> list[Any]:
    return [json.loads(line) for line in (folder / DONE).read_text().split("\n") if line]


def test_the_next_chunk_is_asked_for_while_the_model_is_at_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "CHUNK_SECONDS", 0.0)
    asked: list[Sequence[int]] = []

    def ask(chunk: Sequence[int]) -> Iterator[Event]:
        asked.append(chunk)
        is_last, mine = chunk[-1] == 19, len(asked)
        yield Event("queued")
        patience = time.monotonic() + 30
        while not is_last and len(asked) == mine:  # it is not done before the next is asked for
            assert time.monotonic() < patience
            yield Event("queued")
        yield Event("done", result=[2 * piece for piece in chunk])

    asking.work_off(job_in(tmp_path), HOUSE, range(20), 0, ask)
    assert kept(tmp_path) == [2 * piece for piece in range(20)]
    assert [piece for chunk in asked for piece in chunk] == list(range(20))


def test_a_chunk_that_was_refused_ahead_is_asked_for_again_in_its_turn(tmp_path: Path) -> None:
    refused: list[PeopleError] = [NotReadyError("Busy.", retry_seconds=0.01)]

    def ask(chunk: Sequence[int]) -> Iterator[Event]:
        if chunk[0] > 0 and refused:
            raise refused.pop()
        yield Event("queued")
        yield Event("done", result=list(chunk))

    asking.work_off(job_in(tmp_path), HOUSE, range(30), 0, ask)
    assert kept(tmp_path) == list(range(30)) and not refused


def test_what_is_asked_for_ahead_is_given_up_when_it_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "CHUNK_SECONDS", 0.0)
    job, open_now = job_in(tmp_path), set[int]()

    def ask(chunk: Sequence[int]) -> Iterator[Event]:
        open_now.add(chunk[0])
        try:
            yield Event("queued")
            while chunk[0] == 0 and len(open_now) < 2:
                yield Event("queued")
            job.is_stop_asked = len(open_now) == 2
            yield Event("queued")
            yield Event("done", result=list(chunk))
        finally:
            open_now.discard(chunk[0])

    monkeypatch.setattr(asking, "LOOK_SECONDS", 0.0)
    with pytest.raises(Stopped):
        asking.work_off(job, HOUSE, range(30), 0, ask)
    assert not open_now
