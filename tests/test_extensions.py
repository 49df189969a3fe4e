"""A folder of the host's adds an application, and is found everywhere; the folder is what docs/extending.md tells."""

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


def seen_by_a_process(folder: Path | None) -> dict[str, Any]:
    environment = {name: value for name, value in os.environ.items() if name != "PARLANCE_EXTENSIONS"}
    environment |= {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    if folder:
        environment["PARLANCE_EXTENSIONS"] = str(folder)
    command = [sys.executable, str(ROOT / "tests" / "extended.py")]
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    seen: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return seen


@pytest.fixture(scope="module")
def extended(folder: Path) -> dict[str, Any]:
    return seen_by_a_process(folder)


@pytest.fixture(scope="module")
def bare() -> dict[str, Any]:
    return seen_by_a_process(None)


def test_an_application_is_on_home_and_in_the_navigation(extended: dict[str, Any]) -> None:
    assert ":material/campaign: Shout" in extended["home"]
    assert extended["navigation"]["Use"] == ["Translate", "Write", "Sentiment", "Answer", "Shout", "Shout"]


def test_its_page_has_a_picker_and_answers(extended: dict[str, Any]) -> None:
    page = extended["pages"]["shout"]
    assert (page["title"], page["picker"], page["errors"]) == ("Shout", "shouter", [])
    assert page["models"] == ["Smollm2-135M-Instruct", "Hoarse"]
    assert "SO QUIET SO QUIET" in page["said"]


def test_an_application_without_a_page_gets_one(extended: dict[str, Any]) -> None:
    page = extended["pages"]["plain"]
    assert (page["title"], page["picker"], page["errors"]) == ("Shout", "shouter", [])
    assert "SO QUIET SO QUIET" in page["said"]


def test_it_is_in_the_api(extended: dict[str, Any]) -> None:
    api = extended["api"]
    assert {"/api/shout", "/api/shout/stream"} <= set(api["paths"])
    assert (api["entry"]["summary"], api["entry"]["operationId"]) == ("Shout", "shout")
    assert api["status"] == 200
    assert api["answer"] == {"text": "SO QUIET SO QUIET SO QUIET SO QUIET ", "model": "smollm2-135m-instruct"}


def test_without_the_setting_all_is_gone(bare: dict[str, Any]) -> None:
    assert "Shout" not in json.dumps({name: bare[name] for name in ("home", "navigation", "pages")})
    assert not any("shout" in path for path in bare["api"]["paths"])
    assert bare["api"]["status"] == 404
    assert bare["pages"] == {}
