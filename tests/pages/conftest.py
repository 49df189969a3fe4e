"""Every page, run by Streamlit's own tester on an engine with fake models."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import streamlit as st
from benches import Bench, embedded_models
from streamlit import config
from streamlit.testing.v1 import AppTest

from engine.training.views import RunView
from pages.parts import engine

PAGES = Path(__file__).parents[2] / "pages"

# Streamlit reads the project's configuration once, in the folder where it is first asked: before any test changes it.
config.get_config_options()


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    made = Bench(*embedded_models(), queue_length=64)
    monkeypatch.setattr(engine, "open_house", lambda settings: made.house)
    st.cache_resource.clear()
    yield made
    made.engine.close()
    st.cache_resource.clear()


@pytest.fixture
def open_page(bench: Bench) -> Callable[..., AppTest]:
    """The frame with the page of that name open, and values of its widgets by key, set or as a link has them."""

    def opened(name: str, *, link: Mapping[str, str] | None = None, **values: object) -> AppTest:
        app = AppTest.from_file(str(PAGES / "main.py"), default_timeout=30)
        app.run()
        for key, words in (link or {}).items():
            app.query_params[key] = words
        for key, value in values.items():
            app.session_state[key] = value
        return app.switch_page(f"{name}.py").run()

    return opened


@pytest.fixture
def told_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> RunView:
    """A finished run with samples of three steps and kept weights, the only one that the lesson's last step knows."""
    samples = [{"step": step, "prompt": "Once", "text": f"after {step}"} for step in range(3)]
    run = RunView(
        folder=tmp_path, state="finished", status={}, id="a1", title="Tiny", note="", created=1.0, config=None,
        samples=samples, past_weights={2: tmp_path / "model.safetensors"},
    )  # fmt: skip
    monkeypatch.setattr("pages.parts.phases.views.listed", lambda settings: [run])
    monkeypatch.setattr("pages.parts.phases.views.read", lambda settings, id: run)
    return run
