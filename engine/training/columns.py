"""Which column means what, and rows as training wants them: guess, correct, apply, clean, split.

A row is a dict with exactly the roles of its task, as it goes into a run's train.jsonl.
"""

from __future__ import annotations

import random
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

from engine.errors import InputError, TooLargeError
from engine.messages import counted
from engine.requests import clean_text
from engine.training import tasks
from engine.training.findings import Finding, on_numbers, on_rows, quoted
from engine.training.formats import Table
from engine.training.tasks import TrainingTask

MAX_TEXT_CHARACTERS = 1_000_000
"""Of one text of a row."""
LOOKED_AT = 500
"""Rows that a guess looks at."""
MISSING = frozenset(
    r"nan NaN NAN <NA> NaT \N NULL #N/A #NA #NULL! #VALUE! #REF! #DIV/0! #NAME?".split()  # noqa: SIM905
)
"""What programs write where there is nothing; no text consists of it."""
NO_LABEL = MISSING | frozenset(["null", "Null", "None", "N/A", "n/a", "NA"])
"""The same in the column of labels. A label "none" in lower case is one that somebody chose."""
NO_WIDTH = "[\u200b\u2060\ufeff]"
"""Spaces that nobody sees."""

NAMES: dict[str, tuple[str, ...]] = {
    "text": ("text", "sentence", "content", "document", "article", "review", "comment", "message", "body", "story",
             "description", "dialogue", "tweet", "post", "maintext"),
    "prompt": ("prompt", "instruction", "instructions", "user", "question", "query", "request", "human", "source"),
    "input": ("input", "context"),
    "system": ("system", "systemprompt", "systemmessage", "systeminstruction", "systeminstructionpartstext"),
    "history": ("history",),
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

    values: Sequence[dict[str, Any]]
    numbers: Sequence[int]
    findings: tuple[Finding, ...] = ()
    """What was read otherwise than it stands in the file."""

    def __len__(self) -> int:
        return len(self.values)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.values)

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

    Text becomes NFC without control characters. Empty cells stay, so that `preflight` can name their rows; words that
    programs write where there is nothing are empty too. Raises InputError or TooLargeError.
    """
    task = tasks.find(task_id)
    chosen = _check_mapping(table, task, mapping)
    rows = []
    odd = {role: _Odd(role) for role in chosen}
    for cells, number in zip(table.rows, table.numbers, strict=True):
        for role, column in chosen.items():
            odd[role].note(cells[column], number)
        rows.append(task.finish({role: _cell(cells[column], role, number) for role, column in chosen.items()}))
    task.check_table(rows)
    found = [finding for each in odd.values() for finding in each.findings()]
    return Rows(rows, list(table.numbers), tuple(found))


@dataclass
class _Odd:
    """Of a column: rows with cells of which only a part is taken, and with words that count as missing."""

    role: str
    lists: list[int] = field(default_factory=list)
    missing: list[int] = field(default_factory=list)
    words: dict[str, None] = field(default_factory=dict)

    def note(self, cell: Any, number: int) -> None:
        """Look at the cell of the row of that number."""
        if isinstance(cell, list) and self.role != "answer_start" and len(set(map(str, cell))) > 1:
            self.lists.append(number)
        elif isinstance(cell, str) and _is_missing(cell, self.role):
            self.missing.append(number)
            self.words[cell.strip()] = None

    def findings(self) -> Iterator[Finding]:
        """What there is to say."""
        if count := len(self.lists):
            words = counted(
                "{rows} has a list as {role}, of which only the first is taken.",
                "{rows} have lists as {role}, of which only the first is taken.",
                count, role=self.role,
            )  # fmt: skip
            yield on_numbers("note" if self.role == "answer" else "warning", self.role, self.lists, count, words)
        if count := len(self.missing):
            words = counted(
                "{rows} has {words} as {role}, which counts as missing. Write it otherwise if it is meant.",
                "{rows} have {words} as {role}, which counts as missing. Write it otherwise if it is meant.",
                count, role=self.role, words=quoted(list(self.words)),
            )  # fmt: skip
            yield on_numbers("warning", self.role, self.missing, count, words)


def _is_missing(cell: str, role: str) -> bool:
    return cell.strip() in (NO_LABEL if role == "label" else MISSING)


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
    if value is None or value != value or (isinstance(value, str) and _is_missing(value, role)):  # NaN is not itself
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


def join_labels(parts: Sequence[Rows], role: str) -> list[Rows]:
    """Rows in which labels that differ in case, spaces or the form of a number are one, as most rows have it."""
    counts = Counter(row[role] for rows in parts for row in rows if row[role])
    spellings: dict[str, list[str]] = defaultdict(list)
    for label in counts:
        spellings[_same_label(label)].append(label)
    names = {
        label: max(same, key=lambda one: counts[one]) for same in spellings.values() if len(same) > 1 for label in same
    }
    if not names:
        return list(parts)
    joined = []
    for rows in parts:
        changed = [i for i, row in enumerate(rows) if names.get(row[role], row[role]) != row[role]]
        found = (_on_joined(rows, role, changed, names),) if changed else ()
        values = [row | {role: names.get(row[role], row[role])} for row in rows]
        joined.append(Rows(values, rows.numbers, rows.findings + found))
    return joined


def _same_label(label: str) -> str:
    """Equal for labels that are one."""
    plain = " ".join(re.sub(NO_WIDTH, "", unicodedata.normalize("NFKC", label)).casefold().split())
    is_number = re.fullmatch(r"[-+]?\d{1,15}([.,]\d{1,15})?(e[-+]?\d{1,2})?", plain)
    return str(float(plain.replace(",", ".")) + 0.0) if is_number else plain


def _on_joined(rows: Rows, role: str, changed: Sequence[int], names: Mapping[str, str]) -> Finding:
    pairs = dict.fromkeys((rows[i][role], names[rows[i][role]]) for i in changed)
    words = counted(
        "{rows} has a label that differs from another only in case, spaces or the form of a number, "
        "and is joined to it: {labels}.",
        "{rows} have labels that differ from others only in case, spaces or the form of a number, "
        "and are joined to them: {labels}.",
        len(changed), labels=[f"“{label}” → “{name}”" for label, name in list(pairs)[:8]],
    )  # fmt: skip
    return on_rows("warning", role, rows, changed, words)


def split(rows: Rows, share: float, seed: int, by: str = "") -> tuple[Rows, Rows]:
    """Rows to learn from, and about `share` of them held out; each keeps the order of the file.

    Rows with the same text (the same passage, prompt or source) and rows of one chat stay together, so that nothing
    held out was learned. The same share is held out of each value of the role `by`, such as each label, of which
    something stays on both sides where two different texts have it. Raises InputError when there are too few rows.
    """
    if not 0 < share < 1:
        raise InputError("share must be between 0 and 1, for example 0.1.", param="share")
    groups = _together(rows)
    values = [{str(rows[index].get(by, "")) if by else "" for index in group} for group in groups]
    left = Counter(value for of_group in values for value in of_group)
    strata: dict[str, list[int]] = defaultdict(list)
    for place, of_group in enumerate(values):
        strata[min(of_group, key=lambda value: (left[value], value))].append(place)
    rng, held = random.Random(seed), set()
    for value in sorted(strata):
        rng.shuffle(places := strata[value])
        wanted = max(1, round(share * sum(len(groups[place]) for place in places)))
        for place in places:
            if wanted > 0 and all(left[other] > 1 for other in values[place]):
                left.subtract(values[place])
                wanted -= len(groups[place])
                held.update(groups[place])
    rest = [index for index in range(len(rows)) if index not in held]
    if not held or not rest:
        raise InputError("There are too few different rows to hold some out. Bring at least 10.", param="file")
    return rows.pick(rest), rows.pick(sorted(held))


def _together(rows: Rows) -> list[list[int]]:
    """Places of rows that must be on one side: those with the same text, and those of one row of the file."""
    groups: dict[str, list[int]] = {}
    of_number: dict[int, str] = {}
    for index, (row, number) in enumerate(zip(rows, rows.numbers, strict=True)):
        groups.setdefault(of_number.setdefault(number, shared_text(row)), []).append(index)
    return list(groups.values())


def shared_text(row: Mapping[str, Any]) -> str:
    """What two rows must not share across the splits."""
    key = "passage" if "passage" in row else next(iter(row), "")
    return " ".join(f"{row.get('history', '')} {row.get(key, '')}".lower().split())
