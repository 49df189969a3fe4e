"""Every page, run by Streamlit's own tester on an engine with fake models."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import streamlit as st
from benches import Bench, embedded_models
from streamlit import config
from streamlit.testing.v1 import AppTest

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
