"""Metrics against values worked out by hand."""

from __future__ import annotations

import pytest

from engine.evaluation.metrics import (
    accuracy,
    answer_f1,
    calibration_error,
    exact_match,
    macro_f1,
    mean_rouge,
    normalize_answer,
    rouge,
)


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


@pytest.mark.parametrize(
    ("language", "prediction", "reference", "f1"),
    [
        ("de", "der alte Hund", "Hund", 2 / 3),
        ("de", "„Die Zeit“", "zeit", 1.0),
        ("es", "los perros", "perros", 1.0),
        ("fr", "l'eau", "Eau", 1.0),
        ("fr", "dans le jardin", "jardin", 2 / 3),
        ("zh", "北京市", "北京", 4 / 5),
        ("zh", "《论语》，GDP 5", "论语gdp 5", 1.0),
        ("en", "die Zeit", "Zeit", 2 / 3),
    ],
)
def test_f1_by_the_rules_of_each_language(language: str, prediction: str, reference: str, f1: float) -> None:
    assert answer_f1(prediction, [reference], language) == pytest.approx(f1)
    assert exact_match(prediction, [reference], language) == (f1 == 1.0)


def test_macro_f1_weighs_labels_alike() -> None:
    assert macro_f1(["a", "a", "b", "c"], ["a", "a", "a", "b"]) == pytest.approx((2 * 2 / 5 + 0) / 2)
    assert macro_f1(["a", "b"], ["a", "b"]) == 1.0


def test_calibration_error_is_the_gap_between_confidence_and_truth() -> None:
    assert calibration_error([0.95, 0.95, 0.55, 0.55], [True, True, True, False]) == pytest.approx(0.05)
    assert calibration_error([1.0, 1.0], [False, False]) == 1.0


@pytest.mark.parametrize(
    ("prediction", "reference", "figures"),
    [
        ("The cat sat on the mat.", "The cat lay on a mat.", (0.666667, 0.2, 0.666667)),
        ("Police killed the gunman", "the gunman killed police", (1.0, 0.333333, 0.5)),
        ("a a a b", "a b a", (0.857143, 0.4, 0.571429)),
        ("In 1742, Karin Ostberg built it; 90,000 visitors come.",
         "90,000 visitors come to what Ostberg built in 1742", (0.8, 0.555556, 0.4)),
        ("", "a", (0.0, 0.0, 0.0)),
        ("a", "", (0.0, 0.0, 0.0)),
    ],
)  # fmt: skip
def test_rouge_is_what_rouge_score_says(prediction: str, reference: str, figures: tuple[float, ...]) -> None:
    """Figures of rouge-score 0.1.2."""
    assert tuple(rouge(prediction, [reference]).values()) == pytest.approx(figures, abs=1e-6)


def test_rouge_reads_every_script_and_takes_the_best_reference() -> None:
    assert rouge("été à Paris", ["ete a Paris"])["rouge1"] == pytest.approx(1 / 3)
    assert rouge("今天很好", ["今天好"])["rouge1"] == pytest.approx(6 / 7)
    assert rouge("a b", ["x y", "a b"]) == {"rouge1": 1.0, "rouge2": 1.0, "rougeL": 1.0}
    assert rouge("a b", []) == {"rouge1": 0.0, "rouge2": 0.0, "rougeL": 0.0}
    assert mean_rouge("rouge1", ["a", "b"], ["a", "c"]) == 0.5
