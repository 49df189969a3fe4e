"""Indexes are made in the background: whole, stopped, failed, and begun anew."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from benches import Bench, embedded_models
from fakes import FakeBackend

from engine.documents import Document, Page, Paragraph
from engine.errors import BusyError, NotReadyError
from engine.requests import Event
from engine.serving import indexing
from engine.serving.indexing import ENCODER
from engine.serving.protocol import Caller

HOST = Caller("me", "host")


def long(words: str = "herring") -> Document:
    return Document("T", tuple(Page(n, (Paragraph(f"{words} {n}."),)) for n in range(1, 71)), True)


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench(*embedded_models(), queue_length=64)
    yield made
    made.house.close()


def test_an_index_is_made_with_low_priority_and_kept(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    house, callers, inner = bench.house, [], bench.engine.stream_all

    def noted(model_id: str, requests: Any, caller: Caller) -> Any:
        callers.append(caller)
        return inner(model_id, requests, caller)

    monkeypatch.setattr(bench.engine, "stream_all", noted)
    kept = house.documents.add("home", long(), "a.txt")
    assert house.indexing.progress("home", kept.id).state == "stopped"
    house.indexing.begin("home", kept.id, HOST)
    assert house.indexing.wait([kept.id], 30)
    found = house.indexing.progress("home", kept.id)
    assert (found.state, found.done, found.total) == ("done", 70, 70)
    vectors, have = house.indexing.vectors("home", [kept.id])
    assert vectors is not None and have == len(vectors) == 70
    assert callers and {one.priority for one in callers} == {"low"}
    house.indexing.begin("home", kept.id, HOST)  # there is nothing left to do
    assert len(bench.backends[ENCODER].seen) == 70


def test_one_that_is_stopped_goes_on_where_it_stood(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "BATCH", 10)
    house, gate, reached = bench.house, threading.Event(), threading.Event()

    class Gated(FakeBackend):
        def _embed(self, job: object) -> None:
            if len(self.seen) > 10:
                reached.set()
                gate.wait(30)
            super()._embed(job)

    bench.plan[ENCODER] = Gated(batch=1)
    kept = house.documents.add("home", long(), "a.txt")
    house.indexing.begin("home", kept.id, HOST)
    assert reached.wait(30)
    house.indexing.stop(kept.id)
    gate.set()
    found = house.indexing.progress("home", kept.id)
    assert found.state == "stopped" and found.done == 10
    vectors, have = house.indexing.vectors("home", [kept.id])
    assert vectors is not None and have == 10 and len(vectors) == 70
    house.indexing.begin("home", kept.id, HOST)
    assert house.indexing.wait([kept.id], 30) and house.indexing.progress("home", kept.id).state == "done"


def test_one_that_fails_says_why_and_can_be_begun_again(bench: Bench) -> None:
    house = bench.house
    bench.plan[ENCODER] = NotReadyError("No weights.")
    kept = house.documents.add("home", long(), "a.txt")
    house.indexing.begin("home", kept.id, HOST)
    assert house.indexing.wait([kept.id], 30)
    found = house.indexing.progress("home", kept.id)
    assert found.state == "failed" and str(found.error) == "No weights."
    del bench.plan[ENCODER]
    house.indexing.begin("home", kept.id, HOST)
    assert house.indexing.wait([kept.id], 30) and house.indexing.progress("home", kept.id).state == "done"


def test_a_busy_engine_and_weights_on_their_way_are_waited_for(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    errors = [BusyError("Full.", retry_seconds=0.01), NotReadyError("12 of 93 MB are here.", retry_seconds=0.01)]
    inner = bench.engine.stream_all

    def refusing(*arguments: Any) -> Any:
        if errors:
            raise errors.pop()
        yield from inner(*arguments)

    monkeypatch.setattr(bench.engine, "stream_all", refusing)
    kept = bench.house.documents.add("home", long(), "a.txt")
    bench.house.indexing.begin("home", kept.id, HOST)
    assert bench.house.indexing.wait([kept.id], 30) and not errors
    assert bench.house.indexing.progress("home", kept.id).state == "done"


def test_a_stop_ends_the_wait_for_a_busy_engine(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    house, asked = bench.house, threading.Event()

    def refusing(*_arguments: Any) -> Any:
        asked.set()
        yield 0, Event("queued")
        raise BusyError("Full.", retry_seconds=60)

    inner = bench.engine.stream_all
    monkeypatch.setattr(bench.engine, "stream_all", refusing)
    kept, other = (house.documents.add("home", long(), name) for name in ("a.txt", "b.txt"))
    house.indexing.begin("home", kept.id, HOST)
    assert asked.wait(30)
    house.indexing.stop(kept.id)
    monkeypatch.setattr(bench.engine, "stream_all", inner)
    house.indexing.begin("home", other.id, HOST)  # which the same thread works on
    assert house.indexing.wait([other.id], 30) and house.indexing.progress("home", other.id).state == "done"
    assert house.indexing.progress("home", kept.id).state == "stopped"


def test_one_whose_document_is_deleted_ends(bench: Bench) -> None:
    house = bench.house
    kept, other = (house.documents.add(owner, long(), "a.txt") for owner in ("a", "b"))
    for owner, one in (("a", kept), ("b", other)):
        house.indexing.begin(owner, one.id, HOST)
    house.indexing.stop(kept.id)
    house.documents.delete("a", kept.id)
    assert house.indexing.wait([kept.id, other.id], 30)
    assert house.indexing.progress("b", other.id).state == "done"
    assert "document vectors" in house.storage.usage() and house.documents.of("a") == []
