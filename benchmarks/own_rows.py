"""Rows of the project's own, written to be measured on and never trained on: by kind and language, a file a language.

The `README.md` beside them says who wrote them and how; a file's columns are kind, label and text, parted by tabs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROWS = Path(__file__).parent / "rows"
COLUMNS = ("kind", "label", "text")


@dataclass(frozen=True)
class OwnRow:
    """A text, what a careful person says of it, and what it tries."""

    kind: str
    label: str
    text: str
    language: str


def own_rows(task: str, folder: Path = ROWS) -> list[OwnRow]:
    """All rows of a task, language after language. Raises ValueError, naming the line, where its shape is another."""
    return [row for file in sorted((folder / task).glob("*.tsv")) for row in _read(file)]


def _read(file: Path) -> list[OwnRow]:
    head, *lines = file.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    rows = [tuple(line.split("\t")) for line in lines]
    for number, row in enumerate([tuple(head.split("\t")), *rows], 1):
        if len(row) != len(COLUMNS) or (number == 1 and row != COLUMNS):
            raise ValueError(f"{file.name}, line {number}: the columns are {', '.join(COLUMNS)}, parted by tabs")
    return [OwnRow(kind, label, text, file.stem) for kind, label, text in rows]


def table(rows: Sequence[OwnRow], is_right: Sequence[bool]) -> str:
    """Share of right rows in percent, a line a kind and a column a language, and of all, as Markdown."""
    languages, kinds = list(dict.fromkeys(row.language for row in rows)), dict.fromkeys(row.kind for row in rows)
    found: dict[tuple[str, str], list[bool]] = {}
    for row, right in zip(rows, is_right, strict=True):
        for cell in ((row.kind, row.language), (row.kind, "all"), ("all", row.language), ("all", "all")):
            found.setdefault(cell, []).append(right)
    head = ["kind", *languages, "all"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    return "\n".join(lines + [_line(kind, head[1:], found) for kind in (*kinds, "all")])


def _line(kind: str, columns: Sequence[str], found: Mapping[tuple[str, str], Sequence[bool]]) -> str:
    cells = (found.get((kind, column), ()) for column in columns)
    figures = (f"{100 * sum(cell) / len(cell):.1f}" if cell else "" for cell in cells)
    return f"| {kind} | " + " | ".join(figures) + " |"
