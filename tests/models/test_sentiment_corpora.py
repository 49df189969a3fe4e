"""What the shipped heads learn from holds nothing of what they are measured on."""

from __future__ import annotations

import pytest

from models.recipes.sentiment_corpora import Held


@pytest.mark.parametrize(
    ("row", "is_repeat"),
    [
        ("It's a charming and often affecting journey.", True),
        ("slow at first . it 's a charming and often affecting journey . the end is weak .", True),
        ("a charming , often truly affecting journey", True),
        ("-lrb- It 's -rrb- a CHARMING and often affecting journey", True),
        ("charming", False),
        ("a journey to the end of the night", False),
    ],
)
def test_a_row_that_repeats_a_measured_sentence_is_known(row: str, is_repeat: bool) -> None:
    measured = Held(["it 's a charming and often affecting journey . ", "dull"])
    assert measured.repeats(row) == is_repeat
