"""Metrics against values worked out by hand."""

from __future__ import annotations

import pytest

from engine.evaluation.metrics import accuracy, answer_f1, exact_match, normalize_answer


def test_normalisation_follows_squad() -> None:
    assert normalize_answer("  The Quick, brown   fox's ") == "quick brown foxs"


@pytest.mark.parametrize(
    ("prediction", "references", "f1", "em"),
    [
        ("the Eiffel Tower", ["Eiffel Tower!"], 1.0, 1.0),
        ("Eiffel Tower in Paris", ["the Eiffel Tower"], 2 * 2 / (4 + 2), 0.0),
        ("Rome", ["Paris", "Rome"], 1.0, 1.0),
        ("Rome", ["Paris"], 0.0, 0.0),
        ("", [""], 1.0, 1.0),
        ("", ["Paris"], 0.0, 0.0),
    ],
)
def test_f1_and_exact_match(prediction: str, references: list[str], f1: float, em: float) -> None:
    assert answer_f1(prediction, references) == pytest.approx(f1)
    assert exact_match(prediction, references) == em


def test_accuracy() -> None:
    assert accuracy(["a", "b", "c", "d"], ["a", "b", "x", "d"]) == 0.75
    with pytest.raises(ValueError, match="at least one"):
        accuracy([], [])
