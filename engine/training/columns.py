"""Which column means what, and rows as training wants them: guess, correct, apply, clean, split.

A row is a dict with exactly the roles of its task, as it goes into a run's train.jsonl.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

from engine.errors import InputError, TooLargeError
from engine.requests import clean_text
from engine.training import tasks
from engine.training.formats import Table
from engine.training.tasks import TrainingTask

MAX_TEXT_CHARACTERS = 1_000_000
"""Of one text of a row."""
LOOKED_AT = 500
"""Rows that a guess looks at."""

NAMES: dict[str, tuple[str, ...]] = {
    "text": ("text", "sentence", "content", "document", "article", "review", "comment", "message", "body", "story",
             "description", "dialogue", "tweet", "post", "maintext"),
    "prompt": ("prompt", "instruction", "instructions", "user", "question", "query", "request", "human", "source"),
    "input": ("input", "context"),
    "response": ("response", "output", "completion", "assistant", "answer", "reply", "chosen", "target", "gpt"),
    "label": ("label", "labels", "labeltext", "class", "category", "categories", "sentiment", "intent", "topic",
              "target", "tag", "emotion", "rating", "stars"),
    "question": ("question", "query", "questions", "prompt"),
    "passage": ("passage", "context", "paragraph", "document", "text", "article", "content"),
    "answer": ("answer", "answers", "answerstext", "answertext", "answer0", "span", "response", "target"),
    "answer_start": ("answerstart", "start", "answersanswerstart", "answersstart", "begin"),
    "source": ("source", "src", "from", "original", "input", "sourcetext", "en", "english", "eng", "translationen"),
    "target": ("target", "tgt", "to", "translation", "output", "targettext", "translated"),
    "summary": ("summary", "headline", "highlights", "title", "abstract", "tldr", "summarytext", "target"),
}  # fmt: skip
"""Usual names of columns, likeliest first, in lower case without separators."""
Columns = dict[str, str | None]


@dataclass(frozen=True)
class Rows(Sequence[dict[str, Any]]):
    """Normalised rows; `numbers` say where each stands in the file it came from."""

    values: list[dict[str, Any]]
    numbers: list[int]

    def __len__(self) -> int:
        return len(self.values)

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> Rows: ...
    def __getitem__(self, index: int | slice) -> dict[str, Any] | Rows:
        if isinstance(index, slice):
            return Rows(self.values[index], self.numbers[index])
        return self.values[index]

    def pick(self, indices: Sequence[int]) -> Rows:
        """The rows at these places, in this order."""
        return Rows([self.values[i] for i in indices], [self.numbers[i] for i in indices])


def roles(task_id: str) -> tuple[str, ...]:
    """The roles of a task that want a column, then those that may have one."""
    task = tasks.find(task_id)
    return task.roles + task.optional_roles


def guess(table: Table, task_id: str) -> Columns:
    """The likeliest column of each role, by its name, else by what it holds; None where nothing fits."""
    task = tasks.find(task_id)
    found: Columns = dict.fromkeys(roles(task_id)) | dict(task.guess(table))
    for role in found:
        if found[role] is None:
            found[role] = _by_name(table, role, {column for column in found.values() if column})
    for role in task.roles:
        if found[role] is None:
            found[role] = _by_content(table, role, {column for column in found.values() if column})
    return found


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _by_name(table: Table, role: str, taken: set[str]) -> str | None:
    """The column with the likeliest name; the last part of a dotted name (`data.text`) counts as one too."""
    free = [column for column in table.columns if column not in taken]
    whole = {_plain(column): column for column in reversed(free)}
    last = {_plain(column.rpartition(".")[2]): column for column in reversed(free)}
    names = NAMES.get(role, (_plain(role),))
    return next((names_of[name] for names_of in (whole, last) for name in names if name in names_of), None)


def _by_content(table: Table, role: str, taken: set[str]) -> str | None:
    """A column that holds what the role wants: few different words for a label, long text for a passage …"""
    sample = table.rows[:LOOKED_AT]
    facts = {column: _Facts.of(sample, column) for column in table.columns if column not in taken}
    texts = {column: fact for column, fact in facts.items() if fact.is_text}
    if role == "label":
        few = [
            c for c, fact in facts.items() if fact.different <= min(50, max(2, len(sample) // 2)) and fact.length < 60
        ]
        return few[0] if len(few) == 1 or (few and len(texts) <= len(few) + 1) else None
    if role == "question":
        return max(texts, key=lambda c: texts[c].questions, default=None)
    if role in ("text", "passage"):
        return max(texts, key=lambda c: texts[c].length, default=None)
    if role in ("source", "target", "prompt", "response", "summary", "answer"):
        return next(iter(texts), None)
    return None


@dataclass(frozen=True)
class _Facts:
    """Of a column: share of text, average length, how many different cells, share that ends in a question mark."""

    is_text: bool
    length: float
    different: int
    questions: float

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, Any]], column: str) -> _Facts:
        cells = [row[column] for row in rows if row[column] not in (None, "")]
        words = [str(cell) for cell in cells]
        count = max(1, len(words))
        is_text = any(isinstance(cell, str) and not re.fullmatch(r"[-+\d.,:\s/]*", cell) for cell in cells)
        asked = sum(word.rstrip().endswith("?") for word in words) / count
        return cls(is_text, sum(map(len, words)) / count, len(set(words)), asked)


def apply(table: Table, task_id: str, mapping: Mapping[str, str | None]) -> Rows:
    """Rows with the roles of the task, from the columns that the mapping names.

    Text becomes NFC without control characters. Empty cells stay, so that `preflight` can name their rows.
    Raises InputError or TooLargeError.
    """
    task = tasks.find(task_id)
    chosen = _check_mapping(table, task, mapping)
    rows = [
        task.finish({role: _cell(cells[column], role, number) for role, column in chosen.items()})
        for cells, number in zip(table.rows, table.numbers, strict=True)
    ]
    task.check_table(rows)
    return Rows(rows, list(table.numbers))


def _check_mapping(table: Table, task: TrainingTask, mapping: Mapping[str, str | None]) -> dict[str, str]:
    wanted = task.roles + task.optional_roles
    chosen = {role: column for role in wanted if (column := mapping.get(role))}
    have = table.columns[:20]
    for role in wanted:
        if role not in chosen and role not in task.optional_roles:
            raise InputError("No column is chosen for {role}. Choose one of {columns}.", role, role=role, columns=have)
        if role in chosen and chosen[role] not in table.columns:
            raise InputError(
                "There is no column {column} for {role}. Choose one of {columns}.",
                role, column=chosen[role][:40], role=role, columns=have,
            )  # fmt: skip
    for role, column in chosen.items():
        if twice := [other for other, same in chosen.items() if same == column and other != role]:
            raise InputError(
                "{role} and {other} cannot both be the column {column}.",
                twice[0], role=role, other=twice[0], column=column[:40],
            )  # fmt: skip
    return chosen


def _cell(value: Any, role: str, number: int) -> str:
    """A cell as text; the first one of a list."""
    if isinstance(value, list):
        value = next(iter(value), "")
    if value is None:
        return ""
    if isinstance(value, bool):
        value = str(value).lower()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    try:
        return clean_text(str(value), role, MAX_TEXT_CHARACTERS, can_be_empty=True)
    except TooLargeError as error:
        raise TooLargeError("Row {number}: {problem}", role, number=number, problem=error.text) from None


def usable(rows: Rows, task_id: str, keeps_repeats: bool = False) -> Rows:
    """Without what `preflight` warns of: rows that lack a text, exact repetitions, answers not in their passage."""
    task = tasks.find(task_id)
    kept = [index for index, row in enumerate(rows) if not empty_roles(row, task) and task.fits(row)]
    if not keeps_repeats:
        first = {identity(rows[index]): index for index in reversed(kept)}
        kept = sorted(first.values())
    return rows.pick(kept)


def empty_roles(row: Mapping[str, Any], task: TrainingTask) -> list[str]:
    """Roles of a row without a text, but for those that may be empty."""
    return [role for role in task.roles if role not in task.can_be_empty and not str(row.get(role, "")).strip()]


def identity(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Equal for rows that repeat each other."""
    return tuple(f"{role}={row[role]}" for role in sorted(row) if role != "answer_start")


def split(rows: Rows, share: float, seed: int, by: str = "") -> tuple[Rows, Rows]:
    """Rows to learn from, and about `share` of them held out; each keeps the order of the file.

    Rows with the same text (the same passage, prompt or source) stay together, so that nothing held out was learned.
    The same share is held out of each value of the role `by`, such as each label. Raises InputError when there
    are too few rows.
    """
    if not 0 < share < 1:
        raise InputError("share must be between 0 and 1, for example 0.1.", param="share")
    groups: dict[str, dict[str, list[int]]] = defaultdict(dict)
    for index, row in enumerate(rows):
        groups[row.get(by, "") if by else ""].setdefault(shared_text(row), []).append(index)
    rng, held = random.Random(seed), set()
    for label in sorted(groups):
        held |= _hold_out(list(groups[label].values()), share, rng)
    rest = [index for index in range(len(rows)) if index not in held]
    if not held or not rest:
        raise InputError("There are too few different rows to hold some out. Bring at least 10.", param="file")
    return rows.pick(rest), rows.pick(sorted(held))


def shared_text(row: Mapping[str, Any]) -> str:
    """What two rows must not share across the splits."""
    key = "passage" if "passage" in row else next(iter(row), "")
    return " ".join(str(row.get(key, "")).lower().split())


def _hold_out(groups: list[list[int]], share: float, rng: random.Random) -> set[int]:
    """About a share of the indices, whole groups of them; at least one group where there are two."""
    if len(groups) < 2:
        return set()
    rng.shuffle(groups)
    wanted = max(1, round(share * sum(map(len, groups))))
    held: set[int] = set()
    for group in groups[:-1]:
        if len(held) >= wanted:
            break
        held.update(group)
    return held
