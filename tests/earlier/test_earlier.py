"""What a user of version 0.1 has still opens: a cache, runs, links, made by that version's own code."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from engine.applications import APPLICATIONS
from engine.applications.sentiment import SentimentRequest
from engine.applications.write import WriteRequest
from engine.catalogue.models import read_model
from engine.serving.compose import House, open_house
from engine.serving.protocol import Caller
from engine.settings import Settings
from engine.training import runs as jobs

ROOT = Path(__file__).parents[2]
COMMIT = "5e94367b6ae6897b84fcdd30eb5fa0c2d51865de"
"""The last commit of version 0.1."""
PATIENCE_SECONDS = 240
HOST = Caller("test", "host", "normal")


@pytest.fixture(scope="session")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkout of version 0.1, from the history of this repository."""
    shown = subprocess.run(["git", "archive", COMMIT], cwd=ROOT, capture_output=True)
    if shown.returncode:
        pytest.skip("the history of this checkout does not go back to version 0.1")
    folder = tmp_path_factory.mktemp("before")
    with tarfile.open(fileobj=BytesIO(shown.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture(scope="session")
def made(before: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `make.py` filled."""
    folder = tmp_path_factory.mktemp("earlier")
    command = [sys.executable, str(Path(__file__).with_name("make.py")), str(folder)]
    environment = os.environ | {"PYTHONPATH": str(before), "HF_HUB_OFFLINE": "1"}
    ran = subprocess.run(command, cwd=before, env=environment, capture_output=True, text=True, timeout=280)
    assert ran.returncode == 0, ran.stderr[-2000:]
    return folder


@pytest.fixture
def facts(made: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((made / "made.json").read_text(encoding="utf-8"))
    return found


@pytest.fixture
def settings(made: Path, tmp_path: Path) -> Settings:
    """Settings of a server that takes over a copy of those folders."""
    for name in ("cache", "runs"):
        shutil.copytree(made / name, tmp_path / name)
    return Settings(
        cache_folder=tmp_path / "cache", runs_folder=tmp_path / "runs", device="cpu", threads=1, slots=2,
        context_tokens=96, memory_bytes=2**31, prefetch=False, training_nice=0,
    )  # fmt: skip


@pytest.fixture
def house(settings: Settings, facts: dict[str, Any]) -> Iterator[House]:
    base = dict(facts["model"], source={"kind": "local", "folder": "x"}, title="The base", applications=[])
    made = open_house(settings, more=[read_model("tiny-judge", facts["model"]), read_model("the-base", base)])
    yield made
    made.close()


def judge(house: House, request: SentimentRequest) -> Any:
    return APPLICATIONS["sentiment"].run(house.engine, request, HOST)


def wait_until(is_so: Callable[[], Any]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_the_cache_is_taken_as_it_is(house: House, settings: Settings, facts: dict[str, Any]) -> None:
    assert house.store.availability("tiny-judge").state == "ready"
    (weights,) = settings.cache_folder.rglob("model.safetensors")
    stamp = weights.stat().st_mtime_ns
    text, scores = facts["judged"]["text"], facts["judged"]["scores"]
    judged = judge(house, SentimentRequest(text, "tiny-judge")).results[0].scores
    assert judged == pytest.approx(scores, abs=0.05)  # as exactly as a copy in int8 tells
    assert weights.stat().st_mtime_ns == stamp
    assert [entry.id for entry in house.store.entries()] == ["tiny-judge"]
    house.delete("tiny-judge", HOST)
    assert not [*settings.cache_folder.rglob("*.safetensors")] and not [*settings.cache_folder.rglob("model.bin")]


def test_runs_are_listed_and_their_models_are_in_use(house: House, settings: Settings, facts: dict[str, Any]) -> None:
    runs = facts["runs"]
    views = {view.id: view for view in jobs.listed(settings)}
    assert set(views) == set(runs.values())
    states = {name: views[id].state for name, id in runs.items()}
    gone = {"stopped": "stopped", "new": "stopped"}
    assert states == dict.fromkeys(("finished", "used", "writer"), "finished") | gone
    done = views[runs["finished"]]
    assert (done.title, done.note) == ("Finished", "Made before.")
    assert done.status["metrics"]["eval_accuracy"] > 0 and jobs.read(settings, done.id).metrics
    assert house.catalogue.find(f"run-{runs['used']}").title == "In use"
    result = judge(house, SentimentRequest("the film was superb", f"run-{runs['used']}"))
    assert set(result.results[0].scores) == {"negative", "positive"}
    request = WriteRequest("Once", "free", model=f"run-{runs['writer']}", max_new_tokens=5, temperature=0)
    assert APPLICATIONS["write"].run(house.engine, request, HOST).new_tokens > 0


def test_runs_go_on_and_come_into_use(house: House, settings: Settings, facts: dict[str, Any]) -> None:
    run_id = facts["runs"]["stopped"]
    step = jobs.read(settings, run_id).checkpoint_step
    jobs.start(settings, run_id)
    wait_until(lambda: (jobs.read(settings, run_id).status.get("step") or 0) > step)
    jobs.stop(settings, run_id)
    wait_until(lambda: not jobs.read(settings, run_id).is_alive)
    assert jobs.read(settings, run_id).state == "stopped"
    model_id = jobs.use(settings, house.engine, facts["runs"]["finished"])
    result = judge(house, SentimentRequest("the film was superb", model_id))
    assert set(result.results[0].scores) == {"negative", "positive"}
    jobs.delete(settings, facts["runs"]["new"])
    assert len(jobs.listed(settings)) == 4


def test_links_fill_the_pages(open_page: Callable[..., AppTest], facts: dict[str, Any]) -> None:
    for page, inputs in facts["links"].items():
        app = open_page(page, link=inputs)
        assert not app.exception
        widgets = [*app.text_area, *app.text_input, *app.selectbox, *app.slider, *app.number_input, *app.button_group]
        shown = {widget.key: widget.value for widget in widgets if widget.key}
        for key, value in inputs.items():
            assert key in shown, (page, key)
            assert as_shown(key, value) == shown[key], (page, key)


def as_shown(key: str, value: str) -> object:
    """The value of a widget that a link's words stand for."""
    words: dict[str, object] = {
        "French": "fr", "English": "en", "Poem": "poem",
        "One text a line": "many", "Labels of your own": "classification",
    }  # fmt: skip
    if key.endswith(("temperature", "seed")):
        return float(value)
    return words.get(value, value)
