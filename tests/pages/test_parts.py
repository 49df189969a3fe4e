"""The few functions of the pages that are worth a test of their own."""

from __future__ import annotations

from pages.parts.sizes import parameters_in_words, seconds_in_words, size_in_words
from pages.parts.tables import as_csv


def test_numbers_in_words() -> None:
    assert [size_in_words(n) for n in (0, 999, 1_500, 92_871_040, 2_340_000_000)] == [
        "0 bytes", "999 bytes", "1.5 kB", "93 MB", "2.3 GB",
    ]  # fmt: skip
    assert [seconds_in_words(s) for s in (0.4, 59.6, 75)] == ["0 s", "1 min 0 s", "1 min 15 s"]
    assert [parameters_in_words(n) for n in (134_515_008, 1_700_000_000)] == ["135M", "1.7B"]


def test_csv_holds_no_formula() -> None:
    text = as_csv([{"Text": "=1+1", "n": -1.5}, {"Text": 'a "b", c', "n": 2}])
    assert text.splitlines() == ["Text,n", "'=1+1,-1.5", '"a ""b"", c",2']
