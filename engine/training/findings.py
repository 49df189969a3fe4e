"""What is found in data before a run starts: a sentence with the rows that it is about, and how grave it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from engine.messages import Text, read

Level = Literal["error", "warning", "note"]
Data = Sequence[Mapping[str, Any]]
"""`columns.Rows`, or plain rows, which are then counted from 1."""
LEARNED, HELD_OUT, WHOLE = Text("to learn from"), Text("held out"), Text("in the file")
"""The two parts of the data, and the file of which they are parts."""
SHOWN_ROWS = 8
MAX_KEPT_ROWS = 10_000


@dataclass(frozen=True)
class Finding:
    """An error keeps a run from making sense, a warning changes what is learned, a note is good to know.

    `field` is the setting or role at fault; `rows` are numbers in the file.
    """

    level: Level
    field: str
    message: Text
    rows: tuple[int, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """For files; `read_finding` is the way back."""
        return {"level": self.level, "field": self.field, "message": self.message.as_json(), "rows": list(self.rows)}


def read_finding(values: Mapping[str, Any]) -> Finding:
    """A finding from its JSON, also of an earlier version, whose message was a plain sentence."""
    return Finding(values["level"], values["field"], read(values["message"]), tuple(values.get("rows", ())))


def numbers_of(rows: Data, indices: Sequence[int]) -> tuple[int, ...]:
    """Numbers in their file of the rows at these places, the first of many."""
    numbers = getattr(rows, "numbers", None) or range(1, len(rows) + 1)
    return tuple(numbers[index] for index in indices[:MAX_KEPT_ROWS])


def named_rows(numbers: Sequence[int], total: int | None = None) -> Text:
    """ "Row 3", "Rows 3, 9 and 12", "Rows 3, 5, 8 and 40 more"; `numbers` may be the first of `total`."""
    total = len(numbers) if total is None else total
    shown = [str(number) for number in numbers[:SHOWN_ROWS]]
    if total == 1:
        return Text("Row {number}", number=shown[0])
    if total > len(shown):
        return Text("Rows {numbers} and {more:,} more", numbers=shown, more=total - len(shown))
    return Text("Rows {numbers} and {last}", numbers=shown[:-1], last=shown[-1])


def on_rows(level: Level, field: str, rows: Data, indices: Sequence[int], message: Text) -> Finding:
    """A finding on the rows at these places, which the message names as `{rows}`; of one number, once."""
    numbers = numbers_of(rows, indices)
    once = tuple(dict.fromkeys(numbers))
    return on_numbers(level, field, once, len(indices) - len(numbers) + len(once), message)


def on_numbers(level: Level, field: str, numbers: Sequence[int], total: int, message: Text) -> Finding:
    """A finding on rows by their numbers, which may be the first of `total`; the message names them as `{rows}`."""
    message.facts["rows"] = named_rows(numbers, total)
    return Finding(level, field, message, tuple(numbers[:MAX_KEPT_ROWS]))


def quoted(labels: Sequence[str] | Mapping[str, int]) -> str:
    """The first labels in quotation marks."""
    names = [f"“{label}”" for label in list(labels)[:SHOWN_ROWS]]
    return ", ".join(names) + (" …" if len(labels) > SHOWN_ROWS else "")
