"""Dates as spreadsheets, forms and exports write them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date

MAX_WORDS, LOOKED_AT = 4, 200
"""Of letters in a cell that is a date, as in "Wednesday, September 25, 2024 at 10:35 PM"; and characters of a cell that
are looked at."""
MONTHS = {
    "jan": 1, "ene": 1, "feb": 2, "fev": 2, "fév": 2, "mar": 3, "mär": 3, "apr": 4, "avr": 4, "abr": 4, "may": 5,
    "mai": 5, "juin": 6, "jun": 6, "juil": 7, "jul": 7, "aug": 8, "aou": 8, "aoû": 8, "ago": 8, "sep": 9, "oct": 10,
    "okt": 10, "nov": 11, "dec": 12, "déc": 12, "dez": 12, "dic": 12,
}  # fmt: skip
"""How their names begin in English, French, German and Spanish; those that begin another stand before it."""
_MONTH = rf"(?P<month>{'|'.join(MONTHS)})[^\W\d_]*\.?"
_NUMBERS = re.compile(r"(?<!\d)(\d{1,4})[-./年](\d{1,2})[-./月](\d{1,4})")
_DAY_FIRST = re.compile(
    rf"(?<!\d)(?P<day>\d{{1,2}})(?:st|nd|rd|th|er)?[.\s-]+(?:de )?{_MONTH}[\s,-]+(?:del? )?(?P<year>\d{{4}})",
    re.IGNORECASE,
)
_MONTH_FIRST = re.compile(
    rf"\b{_MONTH} (?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?:,| .*?)? ?\b(?P<year>(?:19|20)\d{{2}})\b", re.IGNORECASE
)
_OF_MONTH = re.compile(r"(\d{4})[-/](\d{1,2})$")
_WORD = re.compile(r"[^\W\d_]+")
_COMPACT = re.compile(r"((?:19|20)\d{2})(\d{2})(\d{2})$")

Parts = tuple[int, int, int]
"""As they are written; a year that is named first, or beside a month's name, stands first."""


def days_of(texts: Sequence[str]) -> list[date | None]:
    """The day of each, None where it cannot be told. Whether the day or the month comes first is told by all of them.

    A month without a day is its first day.
    """
    parts = [_parts(text) for text in texts]
    is_month_first = any(one and one[0] <= 12 < one[1] <= 31 for one in parts)
    return [_day(one, is_month_first=is_month_first) if one else None for one in parts]


def is_date(text: str) -> bool:
    """Whether a cell is a date and little else."""
    return len(_WORD.findall(text[:LOOKED_AT])) <= MAX_WORDS and days_of([text])[0] is not None


def _parts(text: str) -> Parts | None:
    text = text[:LOOKED_AT].strip()
    if found := _NUMBERS.search(text) or _COMPACT.match(text):
        first, second, third = map(int, found.groups())
        return first, second, third
    if found := _OF_MONTH.match(text):
        return int(found[1]), int(found[2]), 1
    named = next((found for kind in (_DAY_FIRST, _MONTH_FIRST) if (found := kind.search(text))), None)
    return (int(named["year"]), MONTHS[named["month"].lower()], int(named["day"])) if named else None


def _day(parts: Parts, *, is_month_first: bool) -> date | None:
    first, second, third = parts
    if first > 31:
        year, month, day = first, second, third
    elif is_month_first:
        year, month, day = third, first, second
    else:
        year, month, day = third, second, first
    try:
        return date(year + 2000 * (year < 100), month, day)
    except ValueError:
        return None
