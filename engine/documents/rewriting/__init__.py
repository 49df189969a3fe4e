"""Files written again with other words: what of them is text, in pieces, and the same file with what was made of each.

A format is a class that reads a file into `units` and is `written` with one `Made` for each, everything between as it
was. What somebody brings is read and written by a child (`__main__`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from engine.messages import Text

Spans = tuple[tuple[int, int, int], ...]
"""Start, end and number of a formatting, in order; the rest of a text has the one with the number 0."""
MAX_UNIT_CHARACTERS = 3_000
"""Of a piece: one question to a translator, and what is lost at most when it is stopped."""


@dataclass(frozen=True)
class Unit:
    """A piece of text that stands for itself: a paragraph, a cell, what is said under some times."""

    text: str
    spans: Spans = ()
    marks: tuple[int, ...] = ()
    """Where something without text stands, such as a picture or the number of a note."""
    raw: str = ""
    """The text with its markup in it, for whom can place neither spans nor marks; empty where it has none."""


@dataclass(frozen=True)
class Made:
    """What was made of a unit. `is_raw` says that its markup stands in it."""

    text: str
    spans: Spans = ()
    marks: tuple[int, ...] = ()
    is_raw: bool = False


@dataclass(frozen=True)
class Options:
    """What a file does not say itself."""

    target: str = ""
    """The language that is written, where that matters for breaking lines (ISO 639-1)."""
    column: str = ""
    """Of a table, by its name or number; empty is the likeliest."""
    has_names: bool | None = None
    """Whether a table's first row names its columns; None tells by what stands there."""
    date: str = ""
    """Of a table, the column that tells when; empty is none."""
    output: str = ""
    """The ending of what is written, where that is another than the file's own."""


class Rewriter(Protocol):
    """A file that was read."""

    @property
    def units(self) -> Sequence[Unit]: ...

    @property
    def notes(self) -> Sequence[Text]:
        """What was guessed, and what stays as it is."""

    @property
    def ending(self) -> str:
        """Of the file that is written."""

    def written(self, made: Sequence[Made]) -> bytes:
        """The file with what was made of each unit."""
