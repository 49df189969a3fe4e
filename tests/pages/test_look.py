"""What all pages share in looks: colours that stand out, buttons with names, words that are not cut."""

from __future__ import annotations

import ast
from collections.abc import Callable

import pytest
from streamlit import config
from streamlit.testing.v1 import AppTest

from engine.catalogue.models import read_catalogue
from pages.parts.charts import COLOURS, OTHERS
from pages.parts.text import width_of
from tests.pages.conftest import PAGES

WIDEST = 40
"""Narrow characters that a select shows whole on a phone of 360 pixels."""


def _light(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("ground", [config.get_option(f"theme.{base}.backgroundColor") for base in ("light", "dark")])
def test_colours_of_charts_stand_out_on_both_pages(ground: str) -> None:
    for colour in (*COLOURS.values(), *OTHERS):
        low, high = sorted((_light(colour), _light(ground)))
        assert (high + 0.05) / (low + 0.05) >= 3, colour


def test_every_button_has_a_name_though_it_shows_an_icon_alone() -> None:
    for path in sorted(PAGES.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "").endswith("button") and node.args:
                assert getattr(node.args[0], "value", "-") != "", f"{path.name}:{node.lineno}"


@pytest.mark.parametrize(
    "page", ["translate", "summarize", "write", "sentiment", "answer", "explore", "finetune", "models"]
)
def test_no_select_cuts_its_words_on_a_phone(open_page: Callable[..., AppTest], page: str) -> None:
    for select in open_page(page).selectbox:
        for words in select.options:
            assert width_of(words) <= WIDEST, f"{select.label}: {words}"


def test_no_title_of_a_model_is_cut_in_a_select_on_a_phone() -> None:
    for model in read_catalogue().models.values():
        assert width_of(model.title) <= WIDEST, model.title
