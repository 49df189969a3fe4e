"""A shared result and a demo, as people without a script and programs that preview a link get them."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from benches import Bench
from fakes import HOST
from starlette.testclient import TestClient

from engine.applications import APPLICATIONS, sharing
from engine.applications.answers import AnswerRequest
from engine.applications.sentiment import SentimentRequest
from engine.applications.translate import TranslateRequest
from engine.applications.write import WriteRequest
from engine.errors import ConflictError
from engine.http.visitors import COOKIE
from engine.storage import StorageError
from engine.storage.links import MAX_OF_ONE, Link
from tests.http.test_door import served

MAKER, OTHER = "a" * 32, "b" * 32
HTML = '<img src=x onerror="alert(1)"> & "quoted" </p>{{ 7 * 7 }}'


@contextmanager
def public(bench: Bench, visitor: str = MAKER) -> Iterator[TestClient]:
    """A public site, as a browser with that cookie sees it."""
    bench.local.settings = replace(bench.house.settings, is_public=True)
    with served(bench) as client:
        client.cookies.set(COOKIE, visitor)
        yield client


def made(bench: Bench, id: str, request: Any) -> Link:
    application = APPLICATIONS[id]
    result = application.run(bench.engine, request, HOST)
    return sharing.share(bench.house, application, request, result, getattr(result, "text", ""), MAKER)


REQUESTS = [
    ("write", WriteRequest("a cat", "free", model="gemma-3-270m", max_new_tokens=4, seed=7), ["cat", "Seed", "7"]),
    ("translate", TranslateRequest("a cat", "en", "fr", "gemma-3-270m"), ["a cat", "Target", "fr"]),
    ("sentiment", SentimentRequest(["a good film", "a film"]), ["a good film", "positive 90%", "negative 90%"]),
    ("answer", AnswerRequest("Who built the harbour?", "Anna built the harbour"), ["harbour", "80%", "Question"]),
]


@pytest.mark.parametrize(("id", "request_", "words"), REQUESTS, ids=[id for id, _, _ in REQUESTS])
def test_a_result_is_shown_as_it_was(bench: Bench, id: str, request_: Any, words: list[str]) -> None:
    link = made(bench, id, request_)
    asked = sum(len(backend.seen) for backend in bench.backends.values())
    with public(bench, OTHER) as client:
        page = client.get(link.path)
        assert client.head(link.path).status_code == 200
    assert page.status_code == 200 and not [word for word in words if word not in page.text], page.text
    assert link.content["model_title"] in page.text and "Kept until" in page.text and "<script" not in page.text
    assert page.headers["x-robots-tag"].startswith("noindex") and 'name="robots" content="noindex' in page.text
    for name in ('name="description"', 'property="og:title"', 'property="og:description"'):
        (content,) = re.findall(f'<meta {name} content="([^"]*)">', page.text)
        assert content.strip()
    assert "frame-ancestors" in page.headers["content-security-policy"]
    assert asked == sum(len(backend.seen) for backend in bench.backends.values()), "nothing is asked again"


def test_what_a_visitor_typed_is_text(bench: Bench) -> None:
    link = made(bench, "write", WriteRequest(HTML, "free", model="gemma-3-270m", max_new_tokens=20))
    with public(bench) as client:
        page = client.get(link.path).text
        client.post(link.path, data={"do": "report", "reason": HTML})
    assert "<img" not in page and "&lt;img" in page and "{{ 7 * 7 }}" in page
    assert next(iter(bench.house.links.reports().values()))["reason"] == HTML


def test_only_its_maker_deletes_it_and_nobody_guesses_it(bench: Bench) -> None:
    link = made(bench, "sentiment", SentimentRequest("a good film"))
    assert len(link.key) >= 22
    with public(bench, OTHER) as client:
        assert "Delete" not in client.get(link.path).text
        for action in ("delete", "pin", "unpin", "publish"):
            assert client.post(link.path, data={"do": action}).status_code == 404
        own = {"origin": "http://evil.example"}
        assert client.post(link.path, data={"do": "delete"}, headers=own).status_code == 403
        for path in ("/shared/x", f"/demo/{link.key}", f"/shared/{'x' * 5000}", f"/shared/{link.key[:-1]}"):
            assert client.get(path).status_code == 404
    with public(bench) as client:
        page = client.get(link.path).text
        assert "Delete" in page and "Pin" not in page, "without an end only by the host's leave"
        assert client.post(link.path, data={"do": "pin"}).status_code == 404
        gone = client.post(link.path, data={"do": "delete"})
        assert gone.status_code == 404 and "has ended, or was deleted" in gone.text
    assert bench.house.links.of(MAKER) == []


def test_it_ends_after_its_days_unless_the_host_pins_it(bench: Bench) -> None:
    link, other = (made(bench, "sentiment", SentimentRequest(text)) for text in ("a good film", "a film"))
    with served(bench) as client:  # at home everybody is the host
        assert "Kept until it is deleted" in client.post(link.path, data={"do": "pin"}).text
        bench.house.storage.now = lambda: time.time() + 8 * 86_400  # type: ignore[attr-defined]
        assert "Unpin" in client.get(link.path).text and client.get(other.path).status_code == 404
        client.post(link.path, data={"do": "unpin"})
    assert not bench.house.links.find(link.key).is_pinned  # type: ignore[union-attr]


def test_a_report_reaches_the_host_once_from_each(bench: Bench) -> None:
    link = made(bench, "sentiment", SentimentRequest("a good film"))
    for visitor in (OTHER, OTHER, MAKER):
        with public(bench, visitor) as client:
            told = client.post(link.path, data={"do": "report", "reason": f"rude {'x' * 9000}"})
            assert "Whoever runs this server sees your report" in told.text
    reports = list(bench.house.links.reports().values())
    assert [report["key"] for report in reports] == [link.key] * 2
    assert all(len(report["reason"]) <= 500 and report["title"] == link.title for report in reports)
    bench.house.links.delete(link.key)
    assert bench.house.links.reports() == {}


def test_a_model_that_changed_or_went_is_told(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.local, "weights", lambda model_id: "one")
    link = made(bench, "sentiment", SentimentRequest("a good film"))
    with public(bench) as client:
        assert "has changed since" not in client.get(link.path).text
        monkeypatch.setattr(bench.local, "weights", lambda model_id: "two")
        assert "has changed since" in client.get(link.path).text
        monkeypatch.setattr(bench.local, "weights", lambda model_id: None)
        page = client.get(link.path).text
        assert "is not on this server any more" in page and "positive 90%" in page


def test_a_demo_leads_to_the_page_of_its_model(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.local, "weights", lambda model_id: "one")
    link = sharing.demo(bench.house, "sentiment-e5", MAKER)
    with public(bench, OTHER) as client:
        page = client.get(link.path)
        assert page.status_code == 200 and 'url=/sentiment?judge=Sentiment-E5"' in page.text
        assert 'property="og:title" content="Sentiment-E5"' in page.text
        monkeypatch.setattr(bench.local, "weights", lambda model_id: None)
        assert "is not on this server any more" in client.get(link.path).text
    bench.engine.catalogue.models["sentiment-e5"] = replace(
        bench.engine.catalogue.find("sentiment-e5"), applications=()
    )
    with pytest.raises(ConflictError, match="No page offers"):
        sharing.demo(bench.house, "sentiment-e5", MAKER)


def test_links_have_an_end_in_number_and_need_their_storage(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    link = made(bench, "sentiment", SentimentRequest("a good film"))
    monkeypatch.setattr("engine.storage.links.MAX_OF_ONE", 1)
    with pytest.raises(ConflictError, match="most there are for one"):
        made(bench, "sentiment", SentimentRequest("a good film"))
    bench.house.storage.limit_bytes = 0  # type: ignore[attr-defined]
    bench.house.links.delete(link.key)
    with pytest.raises(StorageError, match="could not be kept"):
        made(bench, "sentiment", SentimentRequest("a good film"))
    bench.house.storage.folder = bench.house.storage.folder / "parlance.db" / "below"  # type: ignore[attr-defined]
    bench.house.storage.close()
    with public(bench) as client:
        gone = client.get(link.path)
    assert gone.status_code == 503 and "for the moment" in gone.text and MAX_OF_ONE > 1
