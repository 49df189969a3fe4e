"""Publishing, against a local fake that speaks the Hub's protocol."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes import VISITOR

from engine.errors import ConflictError, InputError, NotFoundError, NotReadyError
from engine.jobs import work
from engine.settings import Settings
from engine.training import publish
from tests.training.fake_hub import TOKEN, Hub, serve_hub
from tests.training.runs_on_the_spot import make_run


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serve_hub() as fake:
        monkeypatch.setenv("HF_ENDPOINT", fake.address)
        monkeypatch.setenv("HF_HUB_OFFLINE", "0")
        monkeypatch.setenv("HF_TOKEN", "hf_another-one-of-the-machine")
        yield fake


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("publish")
    make_run(folder, "classification")
    return folder


@pytest.fixture
def settings(runs: Path) -> Settings:
    return Settings(runs_folder=runs, network_timeout_seconds=3.0)


def push(settings: Settings, *how: Any, **named: Any) -> str:
    """Push, wait for the job's end, and return the address or raise its error."""
    job_id, end = publish.push(settings, *how, **named), time.monotonic() + 120
    while (job := work.read(settings, job_id)).is_alive:
        assert time.monotonic() < end
        time.sleep(0.05)
    job.check()
    return str(job.result["address"])


def test_a_model_and_its_card_arrive_whole(hub: Hub, settings: Settings, runs: Path) -> None:
    assert push(settings, "run", "my-model", TOKEN) == f"{hub.address}/ada/my-model"
    assert hub.repositories["ada/my-model"]["visibility"] == "private"
    files = hub.files["ada/my-model"]
    assert files["model.safetensors"] == (runs / "run" / "model" / "model.safetensors").read_bytes()
    assert {"README.md", "config.json", "tokenizer.json"} <= set(files)
    assert "# My run" in files["README.md"].decode()
    everything = b"".join(files.values())
    assert TOKEN.encode() not in everything and str(runs).encode() not in everything
    for path in runs.rglob("*"):
        assert not path.is_file() or TOKEN.encode() not in path.read_bytes()
    push(settings, "run", "https://huggingface.co/ada/another", TOKEN, is_private=False)
    assert hub.repositories["ada/another"]["visibility"] == "public"


def test_a_wrong_token_is_told_before_anything_is_made(hub: Hub, settings: Settings) -> None:
    with pytest.raises(InputError, match="does not know this token") as caught:
        push(settings, "run", "ada/my-model", "hf_wrong-token")
    assert caught.value.param == "token" and "hf_wrong-token" not in str(caught.value)
    assert hub.seen == ["GET /api/whoami-v2"]


def test_names_that_are_taken_or_not_ones_own(hub: Hub, settings: Settings) -> None:
    hub.repositories["ada/taken"] = {}
    with pytest.raises(ConflictError, match="has a repository ada/taken already") as taken:
        push(settings, "run", "ada/taken", TOKEN)
    assert taken.value.param == "repository" and "ada/taken" in hub.repositories and not hub.files
    with pytest.raises(InputError, match="may not write to eve/model"):
        push(settings, "run", "eve/model", TOKEN)


def test_an_upload_that_fails_leaves_no_repository(hub: Hub, settings: Settings) -> None:
    hub.broken["/commit/"] = 400
    with pytest.raises(NotReadyError, match="error 400"):
        push(settings, "run", "my-model", TOKEN)
    assert hub.repositories == {} and "DELETE /api/repos/delete" in hub.seen


def test_an_unreachable_hub_is_told_in_seconds(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{free.getsockname()[1]}")
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    with pytest.raises(NotReadyError, match="cannot be reached"):
        push(settings, "run", "my-model", TOKEN)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(NotReadyError, match="HF_HUB_OFFLINE is set"):
        push(settings, "run", "my-model", TOKEN)


def test_what_is_wrong_is_said_without_a_child(settings: Settings, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "launch", lambda *_, **__: pytest.fail("a child was started"))
    for name in ("", "a/b/c", "../x", "a b", "ada/x--y", "x;rm"):
        with pytest.raises(InputError, match="repository must be"):
            push(settings, "run", name, TOKEN)
    for token in ("", "short", "with space in it", "line\nbreak-in-the-token"):
        with pytest.raises(InputError, match="token must be"):
            push(settings, "run", "ada/x", token)
    with pytest.raises(InputError, match="kind is"):
        push(settings, "run", "ada/x", TOKEN, kind="pickle")  # type: ignore[arg-type]
    with pytest.raises(NotFoundError):
        push(settings, "../run", "ada/x", TOKEN)
    with pytest.raises(ConflictError, match="public site"):
        push(settings, "run", "ada/x", TOKEN, caller=VISITOR)
