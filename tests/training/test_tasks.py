"""How predictions are judged, against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from engine.training.data import Question
from engine.training.lessons.answer import MAX_F1_LOSS, judge_answers
from engine.training.lessons.classification import accuracy_among

ROWS = [Question("?", "red blue", (("red", 0),)), Question("?", "red blue", (("red blue", 0),)), Question("?", "x", ())]


def test_accuracy_leaves_out_labels_that_the_file_has_not() -> None:
    logits = np.array([[0.1, 9.0, 0.2], [0.3, 9.0, 0.2]])
    assert accuracy_among(logits, np.array([2, 2]), np.array([0, 2])) == 50.0
    assert accuracy_among(logits, np.array([2, 2]), np.array([0, 1, 2])) == 0.0


def test_figures_of_answers() -> None:
    metrics = judge_answers([("red", 0.1), ("red", 0.2), ("x", 0.9)], ROWS)
    assert metrics["f1"] == pytest.approx(100 * (1 + 2 / 3) / 2)
    assert metrics["exact_match"] == 50.0
    assert 0.2 < metrics["null_threshold"] <= 0.9
    assert metrics["null_recall"] == 100.0
    assert metrics["f1_of_all"] == pytest.approx(100 * (1 + 2 / 3 + 1) / 3)


def test_the_threshold_does_not_cost_more_answers_than_allowed() -> None:
    rows = [ROWS[0]] * 20 + [ROWS[2]] * 20
    metrics = judge_answers([("red", 0.6)] * 20 + [("x", 0.5)] * 20, rows)
    assert metrics["f1"] - metrics["f1_with_abstention"] <= MAX_F1_LOSS
    assert metrics["null_recall"] == 0.0


def test_without_unanswerable_rows_it_always_answers() -> None:
    metrics = judge_answers([("red", 0.6), ("red blue", 0.9)], ROWS[:2])
    assert metrics["null_threshold"] == 0.99 and metrics["f1_with_abstention"] == metrics["f1"] == 100.0
