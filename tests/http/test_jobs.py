"""Long work by the API: begun, read, stopped, its result taken; each only by who may. What trains is a stand-in."""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from benches import Bench, embedded_models
from starlette.applications import Starlette
from starlette.testclient import TestClient

from engine.http import routes
from engine.jobs import work
from engine.jobs.kinds import training
from engine.training import runs
from tests.training.runs_on_the_spot import make_run

ROWS = [{"english": f"number {n}", "french": f"nombre {n}"} for n in range(20)]
BODY = {
    "task": "translation", "rows": ROWS, "title": "Numbers",
    "settings": {"max_steps": 4, "source_language": "en", "target_language": "fr"},
}  # fmt: skip
Client = TestClient


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., tuple[Bench, Client]]]:
    """A bench with these settings and a client of its API; what it began is ended afterwards."""
    monkeypatch.setattr(training, "KIND", replace(training.KIND, program="tests.training.stand_in"))
    made: list[Bench] = []

    def make(**settings: Any) -> tuple[Bench, Client]:
        bench = Bench(*embedded_models(), runs_folder=tmp_path / "runs", **settings)
        made.append(bench)
        app = Starlette(routes=routes(lambda: bench.house))
        return bench, TestClient(app, raise_server_exceptions=False)

    yield make
    for bench in made:
        settings = bench.house.settings
        for view in [*runs.listed(settings), *work.listed(settings)]:
            if view.is_alive:
                work.stop(view.folder, is_now=True)
        bench.engine.close()


def until_over(client: Client, job_id: str, headers: Any = None) -> dict[str, Any]:
    end = time.monotonic() + 60
    while (told := client.get(f"/api/jobs/{job_id}", headers=headers).json())["state"] not in (
        "finished", "stopped", "failed",
    ):  # fmt: skip
        assert time.monotonic() < end, told
        time.sleep(0.05)
    return dict(told)


def test_a_run_is_begun_read_and_its_result_taken(opened: Any) -> None:
    _, client = opened()
    begun = client.post("/api/jobs/training", json=BODY)
    assert begun.status_code == 202, begun.text
    job = begun.json()
    assert job["kind"] == "training" and job["title"] == "Numbers" and begun.headers["x-request-id"]
    assert begun.headers["location"] == f"/api/jobs/{job['id']}"
    assert until_over(client, job["id"])["state"] == "finished"
    assert [one["id"] for one in client.get("/api/jobs").json()["jobs"]] == [job["id"]]
    early = client.get(f"/api/jobs/{job['id']}/result")  # the stand-in leaves no model
    assert (early.status_code, early.json()["error"]["param"]) == (409, "job")
    assert client.delete(f"/api/jobs/{job['id']}").status_code == 204
    assert client.get(f"/api/jobs/{job['id']}").status_code == 404


def test_a_run_is_stopped(opened: Any) -> None:
    _, client = opened()
    body = BODY | {"settings": BODY["settings"] | {"max_steps": 100_000}}  # type: ignore[operator]
    job_id = client.post("/api/jobs/training", json=body).json()["id"]
    said = client.post(f"/api/jobs/{job_id}/stop", json={"now": True})
    assert said.status_code == 200 and said.json()["message"] == "It was ended."
    assert until_over(client, job_id)["state"] == "stopped"
    again = client.post(f"/api/jobs/{job_id}/stop", json={})
    assert again.status_code == 409 and "nothing to stop" in again.json()["error"]["message"]


def test_a_model_is_exported(opened: Any, tmp_path: Path) -> None:
    _, client = opened()
    make_run(tmp_path / "runs", "classification")
    (tmp_path / "runs" / "base").rename(tmp_path / "base")
    (tmp_path / "runs" / "damaged").mkdir()
    (tmp_path / "runs" / "damaged" / "status.json").write_text("[")
    job = client.post("/api/jobs/export", json={"run": "run"}).json()
    assert until_over(client, job["id"])["state"] == "finished"
    taken = client.get(f"/api/jobs/{job['id']}/result")
    assert any(name.endswith("model.safetensors") for name in zipfile.ZipFile(io.BytesIO(taken.content)).namelist())
    shown = client.get("/api/jobs/run/result").json()
    assert (shown["run"], shown["model"], shown["train_rows"]) == ("run", None, 20)
    assert [one["kind"] for one in client.get("/api/jobs").json()["jobs"]] == ["export", "training"]


REFUSED: dict[str, tuple[dict[str, Any], int, str]] = {
    "no such task": ({"task": "cooking"}, 400, "task"),
    "a base that is not here": ({"base": "gpt-9"}, 404, "model"),
    "no rows": ({"rows": []}, 400, "rows"),
    "rows without names": ({"rows": [{}]}, 400, ""),
    "rows that are none": ({"rows": ["a"]}, 400, "rows[0]"),
    "too few rows": ({"rows": ROWS[:1]}, 400, ""),
    "another column": ({"rows": [{"x": "1"}] * 9}, 400, ""),
    "a file of ours": ({"settings": {"train_file": "/etc/passwd"}}, 400, "settings"),
    "a folder as base": ({"settings": {"base": "/etc"}}, 400, "settings"),
    "an unknown setting": ({"settings": {"magic": 1}}, 400, "settings"),
    "a setting out of bounds": ({"settings": {"epochs": -1}}, 400, "epochs"),
    "an unknown field": ({"secret": 1}, 400, "secret"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_begun_is_refused_and_leaves_nothing(opened: Any, name: str, tmp_path: Path) -> None:
    _, client = opened()
    changes, status, param = REFUSED[name]
    answer = client.post("/api/jobs/training", json=BODY | changes)
    assert answer.status_code == status, answer.text
    assert not param or answer.json()["error"]["param"] == param, answer.text
    assert client.get("/api/jobs").json() == {"jobs": []}


@pytest.mark.parametrize("job_id", ["nobody", "..", "%2e%2e%2fetc", "A" * 300, ".jobs", "a/../b"])
@pytest.mark.parametrize("way", ["read", "result", "stop", "delete"])
def test_what_is_no_job_is_not_found(opened: Any, job_id: str, way: str) -> None:
    _, client = opened()
    path = f"/api/jobs/{job_id}" + {"result": "/result", "stop": "/stop"}.get(way, "")
    method = {"stop": "POST", "delete": "DELETE"}.get(way, "GET")
    assert client.request(method, path, json={} if way == "stop" else None).status_code in (404, 405)


def test_strangers_begin_nothing_and_see_nothing(opened: Any, tmp_path: Path) -> None:
    _, client = opened(is_public=True, requests_a_minute=0)
    make_run(tmp_path / "runs", "classification")
    asked = {"training": BODY} | {kind: {"run": "run"} for kind in ("compare", "export", "use")}
    for path, body in asked.items():
        assert client.post(f"/api/jobs/{path}", json=body).status_code == 409
    assert client.get("/api/jobs").json() == {"jobs": []}
    for method, path in (("GET", ""), ("GET", "/result"), ("POST", "/stop"), ("DELETE", "")):
        answer = client.request(method, f"/api/jobs/run{path}", json={} if method == "POST" else None)
        assert answer.status_code == 404 and "There is no job" in answer.json()["error"]["message"]


def test_a_members_key_begins_what_members_may_and_a_strangers_key_does_not_see_it(opened: Any) -> None:
    bench, client = opened(is_public=True, members_may="train", jobs_a_day=1)
    keys = {role: bench.house.hosting.make_key(role, role, ["jobs"]) for role in ("member", "visitor")}
    member, visitor = ({"Authorization": f"Bearer {key}"} for key in keys.values())
    begun = client.post("/api/jobs/training", json=BODY, headers=member)
    assert begun.status_code == 202 and "ratelimit" in begun.headers
    path = f"/api/jobs/{begun.json()['id']}"
    assert client.get(path, headers=member).status_code == 200
    assert client.get(path, headers=visitor).status_code == 404
    assert client.get("/api/jobs", headers=visitor).json() == {"jobs": []}
    second = client.post("/api/jobs/training", json=BODY, headers=member)
    assert second.status_code == 429 and int(second.headers["retry-after"]) > 1
    other = bench.house.hosting.make_key("other", "member", ["write"])
    assert client.get("/api/jobs", headers={"Authorization": f"Bearer {other}"}).status_code == 403
