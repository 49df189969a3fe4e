"""A job in a real browser: begun on one page, its end told on another, by a notice and by the tab's title."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import serve
from tests.training.runs_on_the_spot import make_run

expect = pytest.importorskip("playwright.sync_api").expect
pytestmark = pytest.mark.timeout(600)


def test_the_end_of_an_export_is_told_on_another_page(
    visit: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARLANCE_RUNS_FOLDER", str(tmp_path / "runs"))
    run = make_run(tmp_path / "runs", "classification")
    with serve(tmp_path) as address:
        page = visit(f"{address}/finetune?tune_view=A+run&run=run&after=Export")
        page.get_by_role("button", name="Make the zip").click()
        page.get_by_role("button", name="Stop", exact=True).wait_for()
        page.get_by_role("link", name="Home").click()
        page.get_by_text("Finished: My run").wait_for(timeout=120_000)
        expect(page).to_have_title("Finished: My run · Parlance")
        expect(page).not_to_have_title(re.compile("Finished"), timeout=20_000)
        page.get_by_role("link", name="Fine-tune").click()
        page.goto(f"{address}/finetune?tune_view=A+run&run=run&after=Export")
        page.get_by_role("button", name=re.compile("Download")).wait_for()
    assert list((run / "exports" / "safetensors").glob("*.zip"))
