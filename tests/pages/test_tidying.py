"""What refers to itself is collected, and what was imported is looked at no more than it must be."""

from __future__ import annotations

import gc
import sys
import tomllib
import types
import weakref
from collections.abc import Iterator

import pytest

from engine.settings import ROOT
from pages.parts import tidying
from pages.parts.tidying import Tidying


class Knot:
    def __init__(self) -> None:
        self.own = self


def knot() -> weakref.ref[Knot]:
    return weakref.ref(Knot())


@pytest.fixture(autouse=True)
def _thawed() -> Iterator[None]:
    gc.disable()
    yield
    gc.unfreeze()
    gc.enable()


def test_the_first_look_puts_aside_what_is_there_and_later_ones_collect(monkeypatch: pytest.MonkeyPatch) -> None:
    made, first = Tidying(), knot()
    assert made.look() and first() is None and gc.get_freeze_count() > 1000
    second = knot()
    assert not made.look() and second() is None
    kept = Knot()
    for number in range(tidying.MANY_MODULES):
        monkeypatch.setitem(sys.modules, f"new_{number}", types.ModuleType("new"))
    assert made.look(), "a library came"
    put_aside = weakref.ref(kept)
    del kept
    assert not made.look() and put_aside() is not None, "it was put aside with the rest"
    monkeypatch.setattr(tidying, "WHOLE_LOOKS", 2)
    assert made.look() and put_aside() is None, "but not for ever"


def test_streamlit_does_not_look_at_everything_after_each_run() -> None:
    config = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())
    assert config["runner"]["postScriptGC"] is False
