"""Schemathesis: whatever its own OpenAPI document allows and forbids, the API answers as that document says."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from benches import Bench, embedded_models

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
EXAMPLES = 3
"""Of each call, drawn from its schema, besides those that take each limit and each kind of fault in turn."""


@pytest.fixture(params=["at home", "public"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    settings = {"is_public": True, "requests_a_minute": 0} if request.param == "public" else {}
    made = Bench(*embedded_models(), queue_length=64, runs_folder=tmp_path / "runs", **settings)
    yield made
    made.engine.close()


def test_every_call_answers_as_the_document_says(address: str, bench: Bench, tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("schemathesis")
    assert shutil.which(program), "requirements-dev.txt names it"
    phases = "examples,fuzzing" + ("" if bench.house.settings.is_public else ",coverage")
    command = [
        program, "run", f"{address}/api/openapi.json", "--checks", CHECKS, "--max-examples", str(EXAMPLES),
        "--seed", "1", "--phases", phases, "--continue-on-failure", "--warnings", "off",
        "--generation-database", "none", "--no-color",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-6000:]


@pytest.mark.parametrize("path", ["/api/jobs/a%0Ab", "/api/files/%0A", "/v1/models/a%0Ab", "/api/%0A"])
def test_a_path_with_a_lines_end_is_the_apis(address: str, path: str) -> None:
    from urllib.error import HTTPError
    from urllib.request import urlopen

    with pytest.raises(HTTPError) as caught:
        urlopen(address + path)
    assert caught.value.code == 404 and caught.value.headers["content-type"] == "application/json"
