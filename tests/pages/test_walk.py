"""The walk of a text from a page to the model: few modules, each entered once, and docs/architecture.md names them."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from benches import Bench
from fakes import FakeBackend
from streamlit.testing.v1 import AppTest

from engine.serving.worker import Worker

ROOT = Path(__file__).parents[2]
MOST_MODULES = 8
FRAME = "pages/main.py"
"""Stands around every page."""


def files_of(frame: FrameType | None) -> Iterator[str]:
    """The project's files in the calls that lead here, innermost first."""
    while frame:
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(ROOT / "engine") or path.is_relative_to(ROOT / "pages"):
            yield str(path.relative_to(ROOT))
        frame = frame.f_back


def watch(monkeypatch: pytest.MonkeyPatch, owner: type[Any], name: str, walks: list[list[str]]) -> None:
    """Note how a method is reached."""
    method = getattr(owner, name)

    def watched(self: Any, *arguments: Any, **options: Any) -> Any:
        walks.append([*files_of(sys._getframe())][::-1])
        return method(self, *arguments, **options)

    monkeypatch.setattr(owner, name, watched)


def test_a_text_enters_few_modules_and_each_once(
    bench: Bench, open_page: Callable[..., AppTest], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []
    worked: list[list[str]] = []
    watch(monkeypatch, Worker, "submit", asked)
    watch(monkeypatch, FakeBackend, "run", worked)
    app = open_page("translate")
    (button,) = [button for button in app.button if button.label == "Translate"]
    button.click().run()
    steps = [*asked[0], f"{Worker.__module__.replace('.', '/')}.py", *worked[0]]
    walk = [file for file, _ in groupby(steps) if file != FRAME]
    assert len(walk) == len(set(walk)) and len(walk) + 1 <= MOST_MODULES, walk
    told = re.findall(r"^\d\. `([\w/]+\.py)`", (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8"), re.M)
    assert walk == told[:-1] and told[-1].startswith("engine/backends/")
