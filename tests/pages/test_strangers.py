"""A public site as a stranger goes through it: every page, every button, also those that are greyed out."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from benches import Bench, model
from fakes import HOST
from starlette.applications import Starlette
from starlette.testclient import TestClient
from streamlit.runtime.context import ContextProxy
from streamlit.testing.v1 import AppTest

from engine.applications import APPLICATIONS
from engine.explain import VIEWS, taking_apart
from engine.http import routes
from engine.jobs import work
from engine.jobs.askers import FOLDER
from engine.requests import Generate, Sampling
from engine.training import runs
from pages.parts import engine, signing
from tests.pages.test_finetune import make_run
from tests.pages.test_pages import click

Open = Callable[..., AppTest]
TITLE, NOTE, LOG, SAID = "Diagnoses of 2026", "for the board alone", "loss of the board", "held out for the board"
SECRETS = (TITLE, NOTE, LOG, SAID, "model.zip")
PAGES: list[tuple[str, dict[str, str]]] = [
    *((name, {}) for name in ("home", "translate", "summarize", "write", "sentiment", "answer", "models", "explore")),
    ("explore", {"mode": "free"}),
    *(("finetune", {"tune_view": view}) for view in ("new", "runs")),
    *(("finetune", {"tune_view": "one", "after": step}) for step in ("compare", "export", "use")),
]
"""Names of pages, and what is chosen there."""


@pytest.fixture
def run_id(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A public site whose host has trained something, exported and compared it, and loaded a model."""
    bench.engine.catalogue.add(model("minilm-l6", architecture="embedding", applications=()))
    settings = replace(bench.engine.settings, runs_folder=tmp_path / "runs")
    made = make_run(settings, title=TITLE)
    folder = runs.run_folder(settings, made)
    runs.annotate(settings, made, TITLE, NOTE)
    (folder / "log.txt").write_text(LOG)
    (folder / "samples.jsonl").write_text(json.dumps({"step": 20, "prompt": SAID, "text": SAID}) + "\n")
    (folder / "exports" / "safetensors").mkdir(parents=True)
    (folder / "exports" / "safetensors" / "model.zip").write_bytes(b"PK")
    bench.engine.run("gemma-3-270m", [Generate("Hello", sampling=Sampling(2))], HOST)
    bench.local.settings = replace(settings, is_public=True)
    monkeypatch.setattr(ContextProxy, "ip_address", "203.0.113.9")  # the tester has none
    return made


def files_of(folder: Path) -> dict[Path, int]:
    """The host's files with their times; what visitors may begin lies in a folder of its own."""
    return {
        path: path.stat().st_mtime_ns
        for path in folder.rglob("*")
        if path.is_file() and FOLDER not in path.relative_to(folder).parts
    }


def everything(app: AppTest) -> str:
    """All that the page holds, seen or not."""
    return "\n".join(str(node.proto) for node in app._tree if hasattr(node, "proto"))


def click_everything(app: AppTest, secrets: Sequence[str]) -> set[str]:
    """Press each button once, also what is greyed out, and look at all that comes; the labels."""
    clicked = set[str]()
    while buttons := [button for button in app.button if button.label not in clicked]:
        clicked.add(buttons[0].label)
        buttons[0].proto.disabled = False  # a stranger's own client need not heed it
        buttons[0].click().run()
        assert not app.exception, app.exception
        for secret in secrets:
            assert secret not in everything(app)
    return clicked


@pytest.mark.parametrize(
    ("name", "chosen"), PAGES, ids=lambda value: value if isinstance(value, str) else "-".join(value.values())
)
def test_a_stranger_who_clicks_everything_sees_and_changes_nothing(
    open_page: Open, bench: Bench, run_id: str, tmp_path: Path, name: str, chosen: dict[str, str]
) -> None:
    settings = bench.engine.settings
    before = files_of(settings.runs_folder)
    app = open_page(name, **(chosen | {"run": run_id} if chosen else {}))
    clicked = click_everything(app, (*SECRETS, str(tmp_path)))
    assert clicked or name in ("home", "models")
    assert bench.engine.is_loaded("gemma-3-270m") and bench.store.fetched == []
    assert {job.kind for job in work.listed(settings)} <= {taking_apart.KIND}, "a visitor may only ask why"
    assert files_of(settings.runs_folder) == before, "a file of the host's was changed"


@pytest.mark.parametrize(
    ("name", "chosen"), [("models", {}), *(page for page in PAGES if page[0] == "finetune")],
    ids=lambda value: value if isinstance(value, str) else "-".join(value.values()),
)  # fmt: skip
def test_a_member_sees_and_changes_nothing_of_the_hosts_either(
    open_page: Open, bench: Bench, run_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str,
    chosen: dict[str, str],
) -> None:  # fmt: skip
    """But for what the host lists in PARLANCE_MEMBERS_MAY: downloads, data sets, files, pins."""
    bench.local.settings = replace(bench.engine.settings, hosts="ann@example.org", members="*@example.org")
    told = {"is_logged_in": True, "email": "ben@example.org", "exp": 9e9}
    for module in (engine, signing):
        monkeypatch.setattr(module, "claims", lambda: told)
    before = files_of(bench.engine.settings.runs_folder)
    app = open_page(name, **(chosen | {"run": run_id} if chosen else {}))
    assert "member" in everything(app)
    click_everything(app, (*SECRETS, str(tmp_path)))
    assert bench.engine.is_loaded("gemma-3-270m") and not work.listed(bench.engine.settings)
    assert files_of(bench.engine.settings.runs_folder) == before


def test_the_api_asks_models_and_does_nothing_else(bench: Bench, run_id: str, tmp_path: Path) -> None:
    """Of what a host may do it has no route but to jobs, which are tested on strangers; the table grows with it."""
    client = TestClient(Starlette(routes=routes(lambda: bench.house)), raise_server_exceptions=False)
    paths = client.get("/api/openapi.json").json()["paths"]
    views = [view.id for view in VIEWS.values()]
    asked = (*APPLICATIONS, *views, "translate/words", "translate/reference", "write/drafts")
    asks = {f"/api/{id.replace('_', '-')}{end}" for id in asked for end in ("", "/stream")}
    reads = {"/healthz", "/readyz", "/v1/models", "/v1/models/{model_id}"}
    jobs = {
        path
        for path in paths
        if path.startswith(("/api/jobs", "/api/files", "/api/documents")) or path.endswith("/file")
    }
    verdicts = {f"/api/{id}/feedback" for id in APPLICATIONS}  # counted, short, and without a model's work
    assert set(paths) <= asks | reads | jobs | verdicts | {
        "/v1/completions",
        "/v1/chat/completions",
        "/v1/embeddings",
    }, "who may do what is new there?"
    assert {method for path in set(paths) - jobs for method in paths[path]} == {"get", "post"}
    for path in (*paths, "/api", "/v1", f"/v1/models/run-{run_id}"):
        answers = client.get(path).text + client.post(path, json={"model": f"run-{run_id}", "text": "x"}).text
        assert not [secret for secret in (*SECRETS, str(tmp_path)) if secret in answers]


def test_a_banner_says_what_is_off_and_the_sidebar_what_is_left(open_page: Open, bench: Bench) -> None:
    app = open_page("sentiment")
    assert "public site" not in everything(app) and "Left for you" not in everything(app)
    bench.local.settings = replace(bench.engine.settings, is_public=True, requests_a_minute=2)
    app.run()
    assert "Off: downloads, files, deletions, fine-tuning, exports, publishing." in everything(app)
    assert "2 of 2 requests this minute" in everything(app) and "anew in" in everything(app)
    for _ in range(2):
        click(app, "Judge")
    assert ":material/warning: **0 of 2 requests" in everything(app.run())
    app.text_area(key="review").set_value("another")
    click(app, "Judge")
    assert "2 requests a minute from each visitor" in everything(app) and not app.exception
