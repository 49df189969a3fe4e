"""One real fine-tune in a real browser: start, watch the curve grow, come back, stop, use the model, delete the run.

And what goes out: a zip, whose end is told on another page, and a push to the Hub, which is a local fake.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import serve
from tests.e2e.test_app import expect_readable
from tests.training.fake_hub import TOKEN, serve_hub
from tests.training.runs_on_the_spot import make_run

expect = pytest.importorskip("playwright.sync_api").expect
pytestmark = pytest.mark.timeout(900)
LEARNING_MS = 240_000
"""How long the trainer may take to load its libraries and the base on a busy machine."""
LOSS = ".st-key-curve-loss .js-plotly-plot"

Visit = Callable[..., Any]


@pytest.fixture
def studio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The app with a folder of runs of its own, where training yields to nobody: the test waits for it."""
    monkeypatch.setenv("PARLANCE_RUNS_FOLDER", str(tmp_path / "runs"))
    monkeypatch.setenv("PARLANCE_TRAINING_NICE", "0")
    with serve(tmp_path) as address:
        yield address


def wait_for_points(page: Any, more_than: int) -> int:
    """Wait until the chart of the loss has more points than that in one line; returns how many."""
    longest = "(chart) => Math.max(0, ...(document.querySelector(chart)?.data ?? []).map((line) => line.x.length))"
    page.wait_for_function(f"([chart, most]) => ({longest})(chart) > most", arg=[LOSS, more_than], timeout=LEARNING_MS)
    return int(page.evaluate(longest, LOSS))


def test_a_run_is_watched_left_stopped_used_and_deleted(visit: Visit, studio: str, need: Callable[[str], None]) -> None:
    need("minilm-l6")
    page = visit(f"{studio}/finetune?tune_task=Labels+of+your+own&tune_mode=Expert")
    page.get_by_role("button", name="Check", exact=True).click()
    page.get_by_text("What the trainer sees").wait_for(timeout=LEARNING_MS)
    expect_readable(page)  # what is only read, too
    page.get_by_label("Epochs", exact=True).fill("300")
    page.get_by_label("Epochs", exact=True).press("Enter")
    page.get_by_role("button", name="Start").click()
    page.get_by_role("button", name="Stop", exact=True).wait_for()

    before = wait_for_points(page, 2)
    page.evaluate("(chart) => { document.querySelector(chart).isTheSame = true; }", LOSS)
    wait_for_points(page, before + 1)
    assert page.evaluate("(chart) => document.querySelector(chart).isTheSame", LOSS)  # redrawn in place

    assert "run=" in page.url
    page.reload()
    wait_for_points(page, before)
    page.get_by_role("button", name="Stop", exact=True).click()
    page.get_by_text("The best model so far is kept").wait_for(timeout=LEARNING_MS)
    expect(page.get_by_role("button", name="Resume")).to_be_visible()

    page.get_by_role("radio", name="Use", exact=True).click()
    page.get_by_role("button", name="Use it").click()
    page.get_by_role("link", name="Open Sentiment").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sentiment")
    title = "Labels of your own: Support tickets"
    expect(page.get_by_role("combobox", name=re.compile("Model"))).to_have_value(title)
    page.get_by_label("Text", exact=True).fill("The parcel has not come yet. Where is it?")
    page.get_by_role("button", name="Judge").click()
    expect(page.locator(".st-key-answer-box").get_by_role("heading")).to_contain_text(
        re.compile("Billing|Delivery|Technical|Account"), timeout=LEARNING_MS
    )

    page.get_by_role("link", name="Fine-tune").click()
    page.get_by_role("radio", name="Runs").click()
    page.locator("[class*='st-key-run-']").get_by_role("button", name="Delete").click()
    page.get_by_text("This cannot be undone").wait_for()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    page.get_by_text("No run yet").wait_for()


def test_a_model_goes_out_as_a_zip_and_to_the_hub_with_a_token_that_stays_nowhere(
    visit: Visit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARLANCE_RUNS_FOLDER", str(tmp_path / "runs"))
    run = make_run(tmp_path / "runs", "classification")
    with serve_hub() as hub, serve(tmp_path, HF_ENDPOINT=hub.address, HF_HUB_OFFLINE="0") as address:
        page = visit(f"{address}/finetune?tune_view=A+run&run=run&after=Export")
        page.get_by_role("button", name="Make the zip").click()
        page.get_by_role("button", name="Stop", exact=True).wait_for()
        page.get_by_role("link", name="Home").click()  # its end is told on another page
        page.get_by_text("Finished: My run").wait_for(timeout=120_000)
        expect(page).to_have_title("Finished: My run · Parlance")
        expect(page).not_to_have_title(re.compile("Finished"), timeout=20_000)
        page.goto(f"{address}/finetune?tune_view=A+run&run=run&after=Export")
        page.get_by_role("button", name=re.compile("Download")).wait_for()

        token = page.get_by_label("Token", exact=True)
        page.get_by_label("Repository").fill("my-model")
        token.fill("hf_a-wrong-one")
        page.get_by_role("button", name="Push").click()
        page.get_by_text("The Hub does not know this token").wait_for()
        assert hub.repositories == {} and token.input_value() == ""
        token.fill(TOKEN)
        page.get_by_role("button", name="Push").click()
        page.get_by_text(f"It is at {hub.address}/ada/my-model").wait_for()
        assert token.input_value() == "" and TOKEN not in page.content() + page.url
    assert list((run / "exports" / "safetensors").glob("*.zip"))
    files = hub.files["ada/my-model"]
    assert hub.repositories["ada/my-model"]["visibility"] == "private"
    assert files["model.safetensors"] == (run / "model" / "model.safetensors").read_bytes()
    assert "# My run" in files["README.md"].decode()
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or TOKEN.encode() not in path.read_bytes()
