"""Figures of many judged rows: how many have each label, a histogram, shares over time, and the rows at both ends."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from engine.applications.sentiment import LABELS

BINS, ENDS, SHOWN_CHARACTERS = 20, 10, 400
"""Of the histogram from -1 (negative) to 1; rows of each end that are shown, and of how many characters."""
MAX_CARRIERS = 15
"""Words that are told of each label."""
MAX_PERIODS = 36
"""Days are told up to so many, else weeks, months, or years."""
PERIODS = ("day", "week", "month", "year")
_PARTS = re.compile(r"(\d{1,4})[-./](\d{1,2})[-./](\d{1,4})")


def figures_of(
    texts: Sequence[str], rows: Sequence[Mapping[str, Any]], numbers: Sequence[int], dates: Sequence[str]
) -> dict[str, Any]:
    """Of all rows that were judged, ready for JSON."""
    judged = [place for place, row in enumerate(rows) if row["scores"]]
    counts = Counter(rows[place]["label"] for place in judged)
    found: dict[str, Any] = {"rows": len(rows), "counts": dict(counts.most_common())}
    if all(set(rows[place]["scores"]) == set(LABELS) for place in judged):
        balance = {place: rows[place]["scores"]["positive"] - rows[place]["scores"]["negative"] for place in judged}
        found["histogram"] = histogram([(balance[place], rows[place]["label"]) for place in judged])
        ends = {
            "negative": sorted(balance, key=lambda place: balance[place])[:ENDS],
            "positive": sorted(balance, key=lambda place: -balance[place])[:ENDS],
        }
        found["ends"] = {
            label: [
                {"row": numbers[place] + 1, "balance": balance[place], "text": texts[place][:SHOWN_CHARACTERS]}
                for place in places if balance[place] * (1 if label == "positive" else -1) > 0
            ]
            for label, places in ends.items()
        }  # fmt: skip
    if any(row.get("words") for row in rows):
        found["words"] = words_of(rows)
    if dates:
        found["over_time"] = over_time([(dates[place], rows[place]["label"]) for place in judged])
    return found


def words_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """For each label the words that carried it most in all rows together: in how many, and their part on average."""
    parts: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        for word, part in row.get("words", ()):
            if part > 0:
                parts[row["label"]][word.casefold()].append(part)
    return {
        label: [
            {"word": word, "rows": len(values), "part": sum(values) / len(values)}
            for word, values in sorted(words.items(), key=lambda item: -sum(item[1]))[:MAX_CARRIERS]
        ]
        for label, words in parts.items()
    }


def histogram(values: Sequence[tuple[float, str]]) -> dict[str, list[int]]:
    """For each label, rows in each of the bins from -1 to 1."""
    found: dict[str, list[int]] = {label: [0] * BINS for label in LABELS if any(own == label for _, own in values)}
    for balance, label in values:
        place = min(BINS - 1, max(0, int((balance + 1) / 2 * BINS)))
        found.setdefault(label, [0] * BINS)[place] += 1
    return found


def over_time(values: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """How many rows have each label in each period, which is as short as the whole time allows; of all that have a
    date that can be read."""
    days = days_of([when for when, _ in values])
    known = [(day, label) for day, (_, label) in zip(days, values, strict=True) if day is not None]
    period = next(
        (one for one in PERIODS if len({_begin(day, one) for day, _ in known}) <= MAX_PERIODS), PERIODS[-1]
    )  # fmt: skip
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for day, label in known:
        counts[_begin(day, period)][label] += 1
    labels = sorted({label for _, label in known}, key=lambda label: (label in LABELS and LABELS.index(label), label))
    table = [{"begin": begin, "counts": {label: counts[begin][label] for label in labels}} for begin in sorted(counts)]
    return {"period": period, "periods": table, "unread": len(values) - len(known)}


def _begin(day: date, period: str) -> str:
    """The first day of the period that a day is in."""
    if period == "week":
        return date.fromordinal(day.toordinal() - day.weekday()).isoformat()
    if period == "month":
        return day.replace(day=1).isoformat()
    return day.replace(month=1, day=1).isoformat() if period == "year" else day.isoformat()


def days_of(texts: Sequence[str]) -> list[date | None]:
    """Dates as spreadsheets and forms write them. Whether the day or the month comes first is told by all of them."""
    parts = [tuple(map(int, match.groups())) if (match := _PARTS.search(text)) else None for text in texts]
    is_month_first = any(one and one[0] <= 12 < one[1] <= 31 for one in parts if one and one[0] <= 31)
    return [_day(one, is_month_first=is_month_first) if one else None for one in parts]


def _day(parts: tuple[int, ...], *, is_month_first: bool) -> date | None:
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
