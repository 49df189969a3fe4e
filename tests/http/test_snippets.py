"""The code that pages show does what was done on the page: it is run against the app."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import pytest
from benches import Bench
from fakes import HOST, FakeBackend, fake_runtime

from engine.applications import APPLICATIONS, PARTS
from engine.applications.snippets import (
    FILE,
    MAX_CHARACTERS,
    as_json,
    body_of,
    curl,
    curl_document,
    is_long,
    python,
    python_document,
)
from engine.applications.write import Turn
from engine.messages import said

SEEDED = ("write", "summarize")
IDS = ("translate", "summarize", "write", "sentiment", "answer")
NASTY = "It's a \"test\" of $HOME, `date`, \\n and 'quotes'. 很好 😀 <b>\nSecond line."


def asked(id: str) -> Any:
    """A request with what shells and Python would trip over, as a page makes it."""
    if id == "answer":
        return replace(APPLICATIONS[id].samples[0], context=NASTY, model="answer-e5")
    models = {"write": "smollm2-135m-instruct", "summarize": "smollm2-135m-instruct", "sentiment": "sentiment-e5"}
    first = APPLICATIONS[id].samples[0]
    return replace(first, text=NASTY if id != "summarize" else f"{first.text} {NASTY}", model=models.get(id))


def bare(result: Any) -> Any:
    """Without what is measured anew each time, and without a seed that did not act."""
    times = ("first_token_seconds", "tokens_per_second")
    if result.get("settings", {}).get("temperature") == 0:
        del result["settings"]["seed"]
    return {name: value for name, value in result.items() if name not in times}


def run_python(code: str, folder: Path) -> Any:
    ran = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    return json.loads(ran.stdout)


@pytest.mark.parametrize("id", IDS)
def test_the_python_code_gives_the_same_result(bench: Bench, address: str, tmp_path: Path, id: str) -> None:
    application, request = APPLICATIONS[id], asked(id)
    result = application.run(bench.engine, request, HOST)
    body = body_of(application, request, result)
    assert ("seed" in body) == (id in SEEDED)
    assert bare(run_python(python(address, application.id, body), tmp_path)) == bare(said(asdict(result)))


@pytest.mark.parametrize("id", IDS)
def test_the_curl_line_gives_the_same_result(bench: Bench, address: str, tmp_path: Path, id: str) -> None:
    if not (shutil.which("curl") and shutil.which("sh")):
        pytest.skip("there is no curl on this machine")
    application, request = APPLICATIONS[id], asked(id)
    result = application.run(bench.engine, request, HOST)
    line = curl(address, application.id, body_of(application, request, result))
    ran = subprocess.run(["sh", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert bare(json.loads(ran.stdout)) == bare(said(asdict(result)))


def test_a_long_body_is_read_from_a_file(bench: Bench, address: str, tmp_path: Path) -> None:
    application = APPLICATIONS["sentiment"]
    request = replace(application.samples[0], text="good " * (MAX_CHARACTERS // 5))
    result = application.run(bench.engine, request, HOST)
    body = body_of(application, request, result)
    assert is_long(body) and FILE in curl(address, application.id, body)
    (tmp_path / FILE).write_text(as_json(body), encoding="utf-8")
    assert run_python(python(address, application.id, body), tmp_path)["results"][0]["label"] == result.results[0].label


def test_a_given_seed_stays_and_greedy_work_needs_none() -> None:
    write = APPLICATIONS["write"]
    request = replace(write.samples[0], seed=5)
    drawn = write.result_type("", "m", "stop", {"seed": 9}, 1)
    assert body_of(write, request, drawn)["seed"] == 5
    assert body_of(write, replace(request, seed=None), drawn)["seed"] == 9
    assert "seed" not in body_of(write, replace(request, seed=None, temperature=0.0), drawn)
    assert body_of(write, replace(request, seed=None, temperature=0.0), drawn)["temperature"] == 0.0


@pytest.mark.parametrize("id", ["translate/words", "translate/reference", "write/drafts"])
def test_what_is_asked_about_an_answer_has_code_too(bench: Bench, address: str, tmp_path: Path, id: str) -> None:
    bench.runtimes = [fake_runtime(tasks=FakeBackend.tasks | {"align_texts"})]
    part = PARTS[id]
    request = replace(part.samples[0], model="gemma-3-270m") if id != "translate/reference" else part.samples[0]
    told = run_python(python(address, id, body_of(part, request)), tmp_path)
    assert set(told) == {field.name for field in fields(part.result_type)}


def test_turns_of_a_chat_are_json_and_what_says_nothing_is_left_out() -> None:
    write = APPLICATIONS["write"]
    request = write.request_type("Why?", "chat", turns=[Turn("user", "Hi"), Turn("assistant", "Hello")])
    body = body_of(write, request)
    assert json.loads(as_json(body))["turns"] == [
        {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}
    ]  # fmt: skip
    assert not {"stop", "continuation", "system"} & set(body) and body["temperature"] == 0.7
    assert "labels" not in body_of(APPLICATIONS["sentiment"], APPLICATIONS["sentiment"].samples[0])


@pytest.mark.parametrize("language", ["curl", "python"])
def test_the_code_of_documents_brings_and_deletes_one(
    bench: Bench, address: str, tmp_path: Path, language: str
) -> None:
    if language == "curl" and not (shutil.which("curl") and shutil.which("sh")):
        pytest.skip("there is no curl on this machine")
    name = "it's a «note».md"
    (tmp_path / name).write_text("# Lindholm\n\nIt was built in 1742.\n", encoding="utf-8")
    code = (curl_document if language == "curl" else python_document)(address, name)
    command = ["sh", "-ec", code] if language == "curl" else [sys.executable, "-c", code]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "Lindholm" in ran.stdout and bench.house.documents.of("home") == []
