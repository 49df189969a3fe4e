"""Dates are read as people and programs write them; of what is none nothing is made up."""

from __future__ import annotations

import pytest

from engine.documents.dates import days_of, is_date
from engine.documents.rewriting.delimited import Grid


@pytest.mark.parametrize(
    ("texts", "days"),
    [
        (["2024-03-01T10:00", "x"], ["2024-03-01", None]),
        (["1/2/2024", "25.12.2023"], ["2024-02-01", "2023-12-25"]),
        (["1/2/2024", "12/25/2023"], ["2024-01-02", "2023-12-25"]),
        (["31/02/2024", "1/2/24"], [None, "2024-02-01"]),
        (["2024年3月1日", "20240301", "2024-03", "20241301"], ["2024-03-01", "2024-03-01", "2024-03-01", None]),
        (["3 Mar 2024", "March 3rd, 2024", "3-Apr-2021"], ["2024-03-03", "2024-03-03", "2021-04-03"]),
        (["Mon Apr 06 22:19:45 PDT 2009", "Sept. 9, 2020"], ["2009-04-06", "2020-09-09"]),
        (["1er août 2023", "12 juillet 2022", "12 juin 2022"], ["2023-08-01", "2022-07-12", "2022-06-12"]),
        (["3. März 2024", "3 de marzo de 2024", "24. Dez. 2020"], ["2024-03-03", "2024-03-03", "2020-12-24"]),
        (["", "5 stars", "3.14", "12345678", "99 Mar 2024"], [None] * 5),
    ],
)
def test_dates_are_read_as_they_are_written(texts: list[str], days: list[str | None]) -> None:
    assert [day and day.isoformat() for day in days_of(texts)] == days


def test_a_text_that_names_a_day_is_no_date() -> None:
    assert is_date("March 3, 2024 at 5 p.m.")
    assert not is_date("I came on March 3, 2024, and nobody was there.")


def test_columns_of_dates_are_told() -> None:
    table = "when,said,price\n3 Mar 2024,on 3 Mar 2024 I sat there for two hours,3.14\nApr 1 2024,,2.5\n"
    assert Grid(table).head.dates == ("when",)
