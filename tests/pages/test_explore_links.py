"""A link restores every view of Explore with each of its controls."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benches import Bench, model
from fakes import ORIGIN, FakeBackend
from streamlit.testing.v1 import AppTest

from engine.backends.attention import attention
from engine.explain import VIEWS
from engine.inspections import Piece
from engine.training.views import RunView

Open = Callable[..., AppTest]
NUMBERS, WORDS, CHOICES = ("number_input", "slider"), ("text_input", "text_area"), ("selectbox", "button_group")
KINDS = (*NUMBERS, *WORDS, *CHOICES, "checkbox")
LEADING = {"mode", "step", "view", "beside", "model", "model2", "model3", "model5", "model6", "model7", "run8"}
"""Those that lead to another view; the cases below name them."""
FREE = {
    f"free {name}": {"mode": "Free", "view": str(view.title), "look": "yes"}
    for name, view in VIEWS.items() if view.needs
}  # fmt: skip
CASES: dict[str, dict[str, str]] = {
    **{f"step {number}": {"step": str(number), "look": "yes"} for number in range(1, 9)},
    "step 2, Gemma": {"step": "2", "look": "yes", "model2": "Gemma 3 270M", "next-hundred": "true"},
    "step 6, both ways": {"step": "6", "look": "yes", "model6": "BERT: looks both ways"},
    "step 6, across": {"step": "6", "look": "yes", "model6": "Translator: looks across"},
    "the end": {"step": "8", "tried8": "yes", "wrote8": "yes"},
    **FREE,
    **{f"{name}, another text": link | {"beside": "Another text"} for name, link in FREE.items()},
    "free attention, another model": FREE["free attention"] | {"beside": "Another model"},
    "free across": FREE["free attention"] | {"model": "Firefox-En-Pt", "source": "one two"},
    "free chain of a translation": FREE["free chain"] | {"model": "Firefox-En-Pt", "source": "one two"},
    "free why of a span": FREE["free why"] | {"model": "Answer-E5", "free-question": "Where?"},
    "free why of a translation": FREE["free why"] | {"model": "Firefox-En-Pt", "free-begun": "um"},
}


@pytest.fixture(autouse=True)
def more_models(bench: Bench, told_run: RunView, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the embedded ones; each of 12 layers and 8 heads. A run with samples and kept weights."""
    monkeypatch.chdir(tmp_path)
    pair: dict[str, Any] = {"architecture": "seq2seq", "pair": ("en", "pt"), "languages": ("en", "pt")}
    bench.engine.catalogue.add(model("minilm-l6", architecture="embedding"))
    bench.engine.catalogue.add(model("firefox-en-pt", runtime="marian", applications=("translate",), **pair))
    bench.engine.catalogue.add(model("bert-base-uncased", architecture="masked"))
    monkeypatch.setattr(FakeBackend, "_attend", attend)


def attend(self: FakeBackend, job: Any) -> None:
    rows = tuple(Piece(word, place) for place, word in enumerate(job.request.text.split()))
    columns = rows
    if job.request.source:
        columns = tuple(Piece(word, place) for place, word in enumerate(job.request.source.split()))
    weights = np.full((12, 8, len(rows), len(columns)), 1 / len(columns))
    job.finish(attention(rows, columns, weights, job.request.layer, ORIGIN))


def controls(app: AppTest) -> Iterator[Any]:
    """Of the page itself."""
    for kind in KINDS:
        yield from app.main.get(kind)


def another(control: Any) -> tuple[str, Any]:
    """A value that is not the one that it begins with, as a link has it and as the session does."""
    if control.type in NUMBERS:
        least, most = control.min, min(control.max, 1000)
        now = control.value
        value = most if now != most else least
        return (f"{value:g}", value)
    if control.type in WORDS:
        said = "one six\nthree\nfour" if control.type == "text_area" else "um dois"
        return ("a : b = c : d" if control.key.endswith("analogies") else said), None
    if control.type == "checkbox":
        return ("false", False) if control.value else ("true", True)
    options = [one if isinstance(one, str) else one.content for one in control.options]
    return options[-1], None


def shown(app: AppTest, case: Mapping[str, str]) -> dict[str, Any]:
    return {control.key: control for control in controls(app) if control.key not in case}


@pytest.mark.parametrize("name", CASES)
def test_each_control_is_in_the_link(open_page: Open, name: str) -> None:
    app = open_page("explore", link=CASES[name])
    assert not app.exception, app.exception
    found = list(controls(app))
    assert found
    for control in found:
        assert control.proto.query_param_key == control.key, f"{control.key} is in no link"
    wanted = {key: another(one) for key, one in shown(app, CASES[name]).items() if key not in LEADING}
    wanted = {key: value for key, value in wanted.items() if key != "other-model"}
    again = open_page("explore", link=CASES[name] | {key: said for key, (said, _) in wanted.items()})
    assert not (again.exception or again.error), (again.exception, again.error)
    for key, control in shown(again, CASES[name]).items():
        if key in wanted:
            said, value = wanted[key]
            assert control.value == (said if value is None else value) or str(said) in map(str, written(control)), key


def written(control: Any) -> list[str]:
    """A choice by what is shown of it."""
    if control.type not in CHOICES:
        return []
    options = [one if isinstance(one, str) else one.content for one in control.options]
    return [options[index] for index in getattr(control, "indices", None) or [control.index] if index is not None]
