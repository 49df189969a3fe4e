"""Figures of many judged rows: how many have each label, a histogram, shares over time, and the rows at both ends."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from engine.applications.sentiment import LABELS
from engine.documents.dates import days_of

BINS, ENDS, SHOWN_CHARACTERS = 20, 10, 400
"""Of the histogram from -1 (negative) to 1; rows of each end that are shown, and of how many characters."""
MAX_CARRIERS = 15
"""Words that are told of each label."""
MAX_PERIODS = 36
"""Days are told up to so many, else weeks, months, or years."""
PERIODS = ("day", "week", "month", "year")


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
        found["ends"] = ends_of(balance, texts, numbers)
    if any("emotions" in row for row in rows):
        felt = Counter(name for place in judged for name in rows[place].get("emotions") or ())
        found["emotions"] = dict(felt.most_common())
    if any(row.get("words") for row in rows):
        found["words"] = words_of(rows)
    if dates:
        found["over_time"] = over_time([(dates[place], rows[place]["label"]) for place in judged])
    return found


def ends_of(
    balance: Mapping[int, float], texts: Sequence[str], numbers: Sequence[int]
) -> dict[str, list[dict[str, Any]]]:
    """The most positive and the most negative rows by their balance from -1 to 1; each by its number, from 1."""
    return {
        label: [
            {"row": numbers[place] + 1, "balance": balance[place], "text": texts[place][:SHOWN_CHARACTERS]}
            for place in sorted(balance, key=lambda place: -sign * balance[place])[:ENDS]
            if sign * balance[place] > 0
        ]
        for label, sign in (("negative", -1), ("positive", 1))
    }


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
