"""Files worked on by the API: brought, looked at, stopped, gone on with, fetched, deleted; and whose they are."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from benches import Bench, embedded_models
from documents.files import bomb, docx, encrypted, of_many, paragraph, pdf
from fakes import HOST, FakeBackend
from starlette.applications import Starlette
from starlette.testclient import TestClient

from engine.http import routes
from engine.http.callers import HOST_COOKIE
from engine.jobs import work
from engine.jobs.files import desk, snippets
from engine.jobs.files.folder import SOURCE
from engine.jobs.files.judging import SentimentFile
from engine.jobs.kinds import kinds

PATIENCE_SECONDS = 60


def opened(folder: Path, **settings: Any) -> Bench:
    return Bench(*embedded_models(), queue_length=64, runs_folder=folder / "runs", **settings)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = opened(tmp_path)
    yield made
    closed(made)


def closed(bench: Bench) -> None:
    bench.house.ending.set()
    end = time.monotonic() + PATIENCE_SECONDS
    while work._threads and time.monotonic() < end:
        time.sleep(0.01)
    bench.engine.close()


def client_of(bench: Bench) -> TestClient:
    return TestClient(Starlette(routes=routes(lambda: bench.house)), raise_server_exceptions=False)


def bring(client: TestClient, address: str, content: bytes) -> dict[str, Any]:
    answer = client.post(address, content=content)
    assert answer.status_code == 202, answer.text
    found: dict[str, Any] = answer.json()
    return found


def ended(client: TestClient, job_id: str) -> dict[str, Any]:
    end = time.monotonic() + PATIENCE_SECONDS
    while (job := client.get(f"/api/files/{job_id}").json())["state"] in ("queued", "preparing", "running"):
        assert time.monotonic() < end
        time.sleep(0.02)
    found: dict[str, Any] = job
    return found


def test_a_file_is_judged_and_fetched(bench: Bench) -> None:
    with client_of(bench) as client:
        job = bring(client, "/api/sentiment/file?name=r.csv&column=text", b"id,text\n1,good\n2,bad\n")
        assert job["application"] == "sentiment" and job["name"] == "r.csv"
        job = ended(client, job["id"])
        assert (job["state"], job["progress"], job["rows"], job["rows_done"]) == ("finished", 1.0, 2, 2)
        assert job["result"]["counts"] == {"positive": 1, "negative": 1} and not job["can_resume"]
        answer = client.get(f"/api/files/{job['id']}/result")
        assert "r.judged.csv" in answer.headers["content-disposition"]
        assert answer.content.startswith(b"id,text,label,confidence,P(negative)")
        report = client.get(f"/api/files/{job['id']}/report").json()
        assert report["rows"][0]["label"] == "positive" and report["figures"]["rows"] == 2
        assert [one["id"] for one in client.get("/api/files").json()] == [job["id"]]
        assert client.delete(f"/api/files/{job['id']}").status_code == 204
        assert client.get(f"/api/files/{job['id']}").status_code == 404 and client.get("/api/files").json() == []


def test_two_results_of_a_file_are_compared(bench: Bench) -> None:
    with client_of(bench) as client:
        ids = [
            ended(client, bring(client, f"/api/sentiment/file?name=r.csv{labels}", b"text\ngood\nbad\n")["id"])["id"]
            for labels in ("", "&labels=positive&labels=other")
        ]
        found = client.get(f"/api/files/{ids[0]}/comparison/{ids[1]}").json()
        assert found["rows"] == 2 and found["same"] + len(found["differences"]) == 2
        assert {"row", "source", "one", "other", "one_score", "other_score"} == set(found["differences"][-1])
        other = ended(client, bring(client, "/api/sentiment/file?name=r.csv", b"text\nfine\n")["id"])["id"]
        answer = client.get(f"/api/files/{ids[0]}/comparison/{other}")
        assert answer.status_code == 409 and "same file" in answer.json()["error"]["message"]
        assert client.get(f"/api/files/{ids[0]}/comparison/none").status_code == 404


NASTY = b'id,what is "said"\n1,it\'s good $HOME\n2,bad `date`\n'


@pytest.mark.parametrize("language", ["curl", "python"])
def test_the_code_that_pages_show_makes_the_same_file(
    bench: Bench, address: str, tmp_path: Path, language: str
) -> None:
    if language == "curl" and not (shutil.which("curl") and shutil.which("sh")):
        pytest.skip("there is no curl on this machine")
    order = SentimentFile(column="2", labels=["good: it's $HOME", "bad"], has_names=True, with_words=True)
    job_id = desk.begin(bench.house, "sentiment", "it's a «file».csv", NASTY, order, HOST)
    end = time.monotonic() + PATIENCE_SECONDS
    while (view := work.read(bench.house.settings, job_id)).is_alive:
        assert time.monotonic() < end
        time.sleep(0.02)
    (tmp_path / view.title).write_bytes(NASTY)
    code = getattr(snippets, language)(address, view)
    command = ["sh", "-c", code] if language == "curl" else [sys.executable, "-c", code]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
    assert ran.returncode == 0, ran.stderr
    result = desk.result_path(view)
    assert (tmp_path / result.name).read_bytes() == result.read_bytes() and b"good" in result.read_bytes()


def test_a_file_is_translated_stopped_and_gone_on_with(bench: Bench) -> None:
    backend = bench.plan.setdefault("gemma-3-270m", FakeBackend(step_seconds=0.002))
    text = "\n\n".join(f"The boat number {number} is here." for number in range(200)).encode()
    with client_of(bench) as client:
        job = bring(client, "/api/translate/file?name=a.txt&source=en&target=fr", text)
        stopped = client.post(f"/api/files/{job['id']}/stop")
        assert stopped.status_code == 200
        job = ended(client, job["id"])
        assert job["state"] == "stopped" and job["can_resume"] and job["seconds_left"] is None
        assert client.get(f"/api/files/{job['id']}/result").status_code == 409
        backend.step_seconds = 0.0
        assert client.post(f"/api/files/{job['id']}/resume").status_code == 202
        job = ended(client, job["id"])
        assert job["state"] == "finished" and job["result"]["file"] == "a.fr.txt"
        assert client.post(f"/api/files/{job['id']}/resume").status_code == 409
        report = client.get(f"/api/files/{job['id']}/report").json()["sentences"]
        assert report[0]["source"] == "The boat number 0 is here." and isinstance(report[0]["warning"], str)


@pytest.mark.parametrize(
    ("address", "status", "word"),
    [
        ("/api/translate/file", 400, "name"),
        ("/api/translate/file?name=a.exe", 422, "of no known kind"),
        ("/api/translate/file?name=a.txt&target=xx", 400, "xx"),
        ("/api/translate/file?name=a.txt&mode=fast", 400, "mode"),
        ("/api/translate/file?name=a.txt&has_names=perhaps", 400, "has_names"),
        ("/api/sentiment/file?name=a.csv&model=none", 404, "none"),
        ("/api/write/file?name=a.txt", 404, "api/docs"),
    ],
)
def test_what_is_wrong_has_its_sentence(bench: Bench, address: str, status: int, word: str) -> None:
    with client_of(bench) as client:
        answer = client.post(address, content=b"Good day.")
        assert answer.status_code == status and word in answer.json()["error"]["message"], answer.text


def test_a_body_over_the_limit_is_refused_before_it_is_read(tmp_path: Path) -> None:
    bench = opened(tmp_path, file_bytes=2**20)
    with client_of(bench) as client:
        answer = client.post("/api/translate/file?name=a.txt", content=b"x" * (2**20 + 1))
        assert answer.status_code == 413 and "over 1 MB" in answer.json()["error"]["message"]
    closed(bench)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.docx", bytes(range(256)) * 8, "no docx file"), ("a.docx", docx(paragraph("x" * 5000))[:-300], "cut off"),
        ("a.docx", bomb(513), "unpacks to more than 512 MB"), ("a.pdf", pdf([["A page."]])[:200], "cut off"),
        ("a.pdf", encrypted(pdf([["A page."]]), "secret"), "with a password"),
        ("a.pdf", of_many(10_000), "has 10,000 pages; the limit is 2,000"),
        ("a.srt", b"1\n00:00:aa,000 --> 00:00:03,500\nHello\n", "at line 2: these times cannot be read"),
    ],
)  # fmt: skip
def test_a_bad_file_fails_with_its_sentence_and_can_be_had_back(
    bench: Bench, name: str, content: bytes, words: str
) -> None:
    with client_of(bench) as client:
        brought = bring(client, f"/api/translate/file?name={name}&source=en&target=fr", content)
        job = ended(client, brought["id"])
        assert job["state"] == "failed" and words in job["error"] and job["error"].startswith(name)
        assert (work.read(bench.house.settings, job["id"]).folder / SOURCE).read_bytes() == content
        assert client.get(f"/api/files/{job['id']}/result").status_code == 409


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", b'id,text\n1,"abc\n2,def\n', "a quote is opened and never closed"),
        ("a.csv", b"id,text\n", "holds no text"), ("a.json", b'[{"text": "good"}, {"te', "this is not JSON"),
        ("a.csv", b"It is good.\nIt is bad.\n", ""),
    ],
)  # fmt: skip
def test_a_bad_table_fails_with_its_sentence_and_one_of_one_column_is_judged(
    bench: Bench, name: str, content: bytes, words: str
) -> None:
    with client_of(bench) as client:
        job = ended(client, bring(client, f"/api/sentiment/file?name={name}", content)["id"])
        assert job["state"] == ("failed" if words else "finished") and words in (job["error"] or "")
        assert words or job["result"]["counts"] == {"positive": 1, "negative": 1}


def test_nobody_sees_anothers_file(tmp_path: Path) -> None:
    bench = opened(tmp_path, is_public=True, can_visitors_upload=True)
    with client_of(bench) as ann:
        cookies = [{"cookie": f"parlance_visitor={letter * 32}"} for letter in "ab"]
        job = ann.post("/api/sentiment/file?name=a.txt", content=b"good", headers=cookies[0]).json()
        for method, rest in (("get", ""), ("get", "/result"), ("get", "/report"), ("post", "/stop"), ("delete", "")):
            answer = getattr(ann, method)(f"/api/files/{job['id']}{rest}", headers=cookies[1])
            assert answer.status_code == 404, (method, rest)
        assert ann.get("/api/files", headers=cookies[1]).json() == []
        assert [one["id"] for one in ann.get("/api/files", headers=cookies[0]).json()] == [job["id"]]
        host = {"cookie": f"{HOST_COOKIE}=none"}
        assert ann.get("/api/files", headers=host).json() == []
    closed(bench)


def test_a_public_site_that_takes_no_files_says_so(tmp_path: Path) -> None:
    bench = opened(tmp_path, is_public=True)
    with client_of(bench) as client:
        answer = client.post("/api/sentiment/file?name=a.txt", content=b"good")
        assert answer.status_code == 409 and "takes no files" in answer.json()["error"]["message"]
    assert kinds()["sentiment-file"].is_own
    closed(bench)


def test_files_of_a_visitor_are_counted(tmp_path: Path) -> None:
    bench = opened(tmp_path, is_public=True, can_visitors_upload=True, uploads_a_day=1)
    with client_of(bench) as client:
        assert client.post("/api/sentiment/file?name=a.txt", content=b"good").status_code == 202
        answer = client.post("/api/sentiment/file?name=a.txt", content=b"good")
        assert answer.status_code == 429 and "1 files a day" in answer.json()["error"]["message"]
    closed(bench)
