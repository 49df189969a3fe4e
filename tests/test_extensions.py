"""A folder of the host's adds an application, a training task and a runtime, which are found everywhere.

The folder is what docs/extending.md tells.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
RECIPE = re.compile(r"^`([\w/.]+)`\n\n```\w+\n(.*?)^```$", re.M | re.S)
"""A file's name in a line of its own, and what stands in it."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the recipes, and the application once more without a page of its own."""
    folder = tmp_path_factory.mktemp("extensions")
    files = dict(RECIPE.findall((ROOT / "docs" / "extending.md").read_text(encoding="utf-8")))
    files["applications/plain.py"] = (
        files["applications/shout.py"]
        .replace('    page="shout.py",\n', "")
        .replace('id="shout"', 'id="plain"')
        .replace('Text("Say it in capitals.")', 'Text("On the page that comes with it.")')
    )
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def run(folder: Path | None, home: Path, *arguments: str) -> str:
    """What a process with that folder prints; all is real, and no weights but those in the folder are there."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PARLANCE_")}
    environment |= {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]), "PARLANCE_PREFETCH": "false"}
    environment |= {"PARLANCE_CACHE_FOLDER": str(home / "cache"), "PARLANCE_RUNS_FOLDER": str(home / "runs")}
    if folder:
        environment["PARLANCE_EXTENSIONS"] = str(folder)
    command = [sys.executable, str(ROOT / "tests" / "extended.py"), *arguments]
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def extended(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return json.loads(run(folder, tmp_path_factory.mktemp("home")))


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return json.loads(run(None, tmp_path_factory.mktemp("home")))


def test_an_application_is_on_home_and_in_the_navigation(extended: dict[str, Any]) -> None:
    assert ":material/campaign: Shout" in extended["home"]
    assert extended["navigation"]["Use"] == ["Translate", "Summarize", "Write", "Sentiment", "Answer", "Shout", "Shout"]


def test_its_page_has_a_picker_and_answers(extended: dict[str, Any]) -> None:
    page = extended["pages"]["shout"]
    assert (page["title"], page["picker"], page["errors"]) == ("Shout", "shouter", [])
    assert page["models"] == ["Parrot"]
    assert re.search(r">SO QUIET (HELLO|CRACKER) ?<", page["said"])


def test_an_application_without_a_page_gets_one(extended: dict[str, Any]) -> None:
    page = extended["pages"]["plain"]
    assert (page["title"], page["picker"], page["errors"]) == ("Shout", "shouter", [])
    assert re.search(r">SO QUIET (HELLO|CRACKER) ?<", page["said"])


def test_it_is_in_the_api(extended: dict[str, Any]) -> None:
    api = extended["api"]
    assert {"/api/shout", "/api/shout/stream"} <= set(api["paths"])
    assert (api["entry"]["summary"], api["entry"]["operationId"]) == ("Shout", "shout")
    assert api["status"] == 200
    assert api["answer"] in [{"text": f"SO QUIET {word}", "model": "parrot"} for word in ("HELLO", "CRACKER")]


def test_a_runtime_serves_the_model_that_is_made_for_it(extended: dict[str, Any]) -> None:
    assert "parrot" in extended["runtimes"] and "parrot" in extended["models"]


def test_a_training_task_is_on_fine_tune(extended: dict[str, Any]) -> None:
    page = extended["fine-tuning"]
    assert "Limericks" in page["tasks"] and page["errors"] == []
    assert "Five lines and a turn. For the page Shout." in page["captions"]
    assert any("A painter from Ghent" in json.dumps(rows) for rows in page["rows"])


def test_it_trains(folder: Path, tmp_path: Path) -> None:
    told = run(folder, tmp_path, str(tmp_path / "runs" / "toy"))
    assert "eval_perplexity" in told and (tmp_path / "runs" / "toy" / "model" / "model.safetensors").is_file()


def test_without_the_setting_all_is_gone(bare: dict[str, Any]) -> None:
    assert "Shout" not in json.dumps({name: bare[name] for name in ("home", "navigation", "pages")})
    assert not any("shout" in path for path in bare["api"]["paths"])
    assert bare["api"]["status"] == 404
    assert bare["pages"] == {} and "Limericks" not in bare["fine-tuning"]["tasks"]
    assert "parrot" not in bare["models"] and "parrot" not in bare["runtimes"]
