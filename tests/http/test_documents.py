"""Documents by the API: brought, listed, searched, asked, read page by page, and deleted."""

from __future__ import annotations

from typing import Any

import pytest
from benches import Bench, embedded_models
from documents.files import bomb, docx, encrypted, of_many, paragraph, pdf
from starlette.applications import Starlette
from starlette.testclient import TestClient

from engine.http import routes

TEXT = b"# Lindholm\n\nThe harbour was built in 1742.\n\nToday music is played in its sheds.\n"


def bring(client: TestClient, content: bytes = TEXT, name: str = "notes.md", **headers: str) -> Any:
    return client.post("/api/documents", params={"name": name}, content=content, headers=headers)


def test_a_document_is_brought_asked_and_deleted(client: TestClient, bench: Bench) -> None:
    brought = bring(client)
    assert brought.status_code == 201, brought.text
    one = brought.json()
    assert (one["title"], one["name"], one["pages"], one["notes"]) == ("Lindholm", "notes.md", 0, [])
    assert bench.house.indexing.wait([one["id"]], 30)
    (listed,) = client.get("/api/documents").json()
    assert listed["state"] == "done" and listed["indexed"] == listed["passages"] == 1
    assert client.get(f"/api/documents/{one['id']}").json() == listed
    page = client.get(f"/api/documents/{one['id']}/pages/1").json()
    assert page["text"].startswith("Lindholm\n\nThe harbour") and page["paragraphs"][0]["kind"] == "heading"
    asked = client.post("/api/answer", json={"question": "Where is Lindholm?", "documents": [one["id"]]}).json()
    assert asked["answer"] == "Lindholm" and asked["passages"][0]["document"] == one["id"]
    assert client.delete(f"/api/documents/{one['id']}").status_code == 204
    assert client.get("/api/documents").json() == []
    gone = client.post("/api/answer", json={"question": "Where?", "documents": [one["id"]]})
    assert gone.status_code == 404 and "not here any more" in gone.json()["error"]["message"]


def test_a_document_that_is_brought_twice_stands_once(client: TestClient) -> None:
    first = bring(client)
    again = bring(client, name="copy.txt")
    assert (first.status_code, again.status_code) == (201, 200) and again.json()["id"] == first.json()["id"]
    assert again.json()["notes"] == ["copy.txt is here already, as Lindholm: it stands once."]
    (listed,) = client.get("/api/documents").json()
    assert listed["notes"] == [] and listed["ends"] >= first.json()["ends"]
    client.delete(f"/api/documents/{listed['id']}")
    assert bring(client).status_code == 201


def test_passages_are_searched_and_questions_suggested(client: TestClient, bench: Bench) -> None:
    ids = [bring(client).json()["id"], bring(client, pdf([["The pier is wooden."]]), "a.pdf").json()["id"]]
    bench.house.indexing.wait(ids, 30)
    body = {"question": "What is wooden?", "documents": ids, "count": 1}
    found = client.post("/api/documents/search", json=body).json()
    (one,) = found["passages"]
    assert one["page"] == 1 and "wooden" in one["text"] and found["note"] == ""
    assert client.post("/api/documents/search", json={**body, "count": 99}).status_code == 400
    assert client.post("/api/documents/questions", json={"documents": ids}).json()["writer"] == "smollm2-135m-instruct"
    of_text = client.post(
        "/api/documents/questions", json={"text": "The pier of the harbour is wooden, and it was built by hand."}
    )
    assert of_text.status_code == 200 and of_text.json()["writer"] == "smollm2-135m-instruct"
    for body in ({}, {"text": " "}, {"text": "The pier.", "documents": ids}):
        assert client.post("/api/documents/questions", json=body).status_code == 400


def test_indexes_are_stopped_and_begun(client: TestClient, bench: Bench) -> None:
    id = bring(client).json()["id"]
    assert client.post(f"/api/documents/{id}/stop").status_code == 200
    assert client.post(f"/api/documents/{id}/index").status_code == 200
    assert bench.house.indexing.wait([id], 30)
    assert client.post(f"/api/documents/{id}/dance").status_code == 400
    assert client.get(f"/api/documents/{id}/pages/9").status_code == 404


def test_all_are_deleted_at_once(client: TestClient) -> None:
    bring(client)
    bring(client, docx(paragraph("Hello")), "a.docx")
    assert client.delete("/api/documents").status_code == 204 and client.get("/api/documents").json() == []


@pytest.mark.parametrize(
    ("content", "name", "status", "words"),
    [
        (b"", "a.txt", 400, "a.txt is empty"), (b"\x89PNG\r\n", "a.txt", 422, "is a picture"),
        (b"hello", "a.exe", 422, "is of no known kind"), (b"hello", "a.pdf", 400, "is no PDF"),
        (b"1\n00:00:aa --> x\nHi\n", "a.srt", 422, "is of no known kind"), (b"one\ntwo\n", "a.csv", 422, "of no known"),
        (pdf([["A page."]])[:200], "a.pdf", 400, "damaged or cut off"),
        (encrypted(pdf([["A page."]]), "secret"), "a.pdf", 400, "with a password"),
        (of_many(10_000), "a.pdf", 413, "has 10,000 pages; the limit is 2,000"),
        (docx(paragraph("x" * 5000))[:-300], "a.docx", 400, "damaged or cut off"),
        (bomb(65), "a.docx", 413, "unpacks to more than 64 MB"),
    ],
)  # fmt: skip
def test_bad_files_get_their_sentence(client: TestClient, content: bytes, name: str, status: int, words: str) -> None:
    answer = bring(client, content, name)
    assert answer.status_code == status and words in answer.json()["error"]["message"]
    assert answer.json()["error"]["param"] == "file" and client.get("/api/documents").json() == []


def test_a_body_that_is_too_large_is_not_read(client: TestClient) -> None:
    answer = bring(client, b"x", **{"content-length": str(60 * 2**20)})
    assert answer.status_code == 413


def public(**settings: Any) -> tuple[Bench, TestClient]:
    bench = Bench(*embedded_models(), queue_length=64, is_public=True, **settings)
    return bench, TestClient(Starlette(routes=routes(lambda: bench.house)), raise_server_exceptions=False)


def test_a_public_site_takes_documents_only_where_its_host_says_so() -> None:
    bench, client = public()
    key = bench.house.hosting.make_key("a key")
    answer = bring(client, authorization=f"Bearer {key}")
    assert answer.status_code == 409 and "takes no files" in answer.json()["error"]["message"]
    bench.house.close()


def test_on_a_public_site_documents_belong_to_a_key() -> None:
    bench, client = public(can_visitors_upload=True, public_document_words=20, uploads_a_day=3)
    mine, other = ({"authorization": f"Bearer {bench.house.hosting.make_key(name)}"} for name in "ab")
    id = bring(client, **mine).json()["id"]
    assert len(client.get("/api/documents", headers=mine).json()) == 1
    assert client.get("/api/documents", headers=other).json() == []
    for path in (f"/api/documents/{id}", f"/api/documents/{id}/pages/1"):
        assert client.get(path, headers=other).status_code == 404
    assert client.delete(f"/api/documents/{id}", headers=other).status_code == 404
    assert bring(client).status_code == 403  # known by an address alone
    over = bring(client, TEXT + b"And more.", **mine)
    assert over.status_code == 413 and "20 is the limit" in over.json()["error"]["message"]
    bring(client, **mine)
    assert bring(client, **mine).status_code == 429
    bench.house.close()
