"""Forms in a passage: lines such as "Deposit: 1700 EUR", which readers of prose overlook, said as sentences."""

from __future__ import annotations

import re
from dataclasses import dataclass

_LINE = re.compile(
    r"^[^\S\n]*(?:[-*•]\s+)?(?P<key>[^\W\d_][^:\n]{0,59}?)[^\S\n]*:[^\S\n]+(?P<value>\S[^\n]*?)[^\S\n]*$", re.M
)
_WORD = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True)
class Field:
    """One line: its key, and where its value stands in the passage."""

    key: str
    value: str
    start: int

    @property
    def end(self) -> int:
        """Where its value ends."""
        return self.start + len(self.value)

    @property
    def sentence(self) -> str:
        """The line as prose, which ends with the value and a full stop."""
        return f"The {self.key} is {self.value}."

    def place_of(self, start: int, end: int) -> tuple[int, int] | None:
        """Where characters of the sentence stand in the passage; None where they are not of the value."""
        shift = len(self.sentence) - 1 - len(self.value)
        start, end = max(start - shift, 0), min(end - shift, len(self.value))
        return (self.start + start, self.start + end) if start < end else None


def field_asked_for(question: str, passage: str) -> Field | None:
    """The line whose key the question names; None where none is, or several are."""
    asked = {_stem(word) for word in _WORD.findall(question)}
    found = [Field(match["key"], match["value"], match.start("value")) for match in _LINE.finditer(passage)]
    named = [one for one in found if (words := _WORD.findall(one.key)) and {_stem(word) for word in words} <= asked]
    return named[0] if len(named) == 1 else None


def _stem(word: str) -> str:
    return re.sub(r"(?:ies|es|s|ing|ed|e|y)$", "", word.casefold()) or word.casefold()
