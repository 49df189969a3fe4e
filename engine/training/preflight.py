"""What is wrong with rows, settings and the machine before a run starts, in plain words with row numbers. No torch."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from engine.sizes import size_in_words as _size
from engine.training.columns import empty_roles, identity, is_misplaced, shared_text
from engine.training.config import Task, TrainingConfig, count_steps

Level = Literal["error", "warning", "note"]
Data = Sequence[Mapping[str, Any]]
"""`columns.Rows`, or plain rows, which are then counted from 1."""

SHOWN_ROWS = 8
MAX_KEPT_ROWS = 10_000
FEW_ROWS_OF_A_LABEL = 3
FEW_ROWS, FEW_VALIDATION_ROWS, FEW_STEPS = 20, 5, 20
MOST_CHARACTERS_A_TOKEN = 6
"""A longer text is over the limit whatever the tokenizer."""
CHARACTERS_A_TOKEN = 4
BROKEN = re.compile("\ufffd|Ã[\u0080-\u00bf]|â€[™œ\u009d“”]|Â[\u00a0-\u00bf]")
"""Signs of text that was read in a wrong encoding before it came here."""


@dataclass(frozen=True)
class Finding:
    """An error keeps a run from making sense, a warning changes what is learned, a note is good to know.

    `field` is the setting or role at fault; `rows` are numbers in the file.
    """

    level: Level
    field: str
    message: str
    rows: tuple[int, ...] = ()


def check_rows(
    config: TrainingConfig | Task, train: Data, validation: Data, keeps_repeats: bool = False
) -> list[Finding]:
    """Findings about the rows to learn from and the rows held out, errors first. A config adds those on settings."""
    task: Task = config if isinstance(config, str) else config.task
    found = [
        *_check_split(task, train, "to learn from", keeps_repeats),
        *_check_split(task, validation, "held out", keeps_repeats),
    ]
    found += _check_both(train, validation)
    if task == "classification":
        found += _check_labels(train, validation, () if isinstance(config, str) else config.labels)
    if isinstance(config, TrainingConfig):
        found += [*_check_lengths(config, train), *check_steps(config, _inputs(config, train))]
    order: dict[Level, int] = {"error": 0, "warning": 1, "note": 2}
    return sorted(found, key=lambda finding: order[finding.level])


def _numbers(rows: Data, indices: Sequence[int]) -> tuple[int, ...]:
    numbers = getattr(rows, "numbers", None) or range(1, len(rows) + 1)
    return tuple(numbers[index] for index in indices[:MAX_KEPT_ROWS])


def _rows(numbers: Sequence[int], total: int | None = None) -> str:
    """ "Row 3", "Rows 3, 9 and 12", "Rows 3, 5, 8 and 40 more"."""
    total = len(numbers) if total is None else total
    shown = [str(number) for number in numbers[:SHOWN_ROWS]]
    if total > len(shown):
        shown.append(f"{total - len(shown):,} more")
    if len(shown) == 1:
        return f"Row {shown[0]}"
    return f"Rows {', '.join(shown[:-1])} and {shown[-1]}"


def _finding(level: Level, field: str, rows: Data, indices: Sequence[int], words: str, one: str = "") -> Finding:
    """A finding on rows; `one` are the words for a single row where they differ."""
    numbers = _numbers(rows, indices)
    return Finding(
        level, field, f"{_rows(numbers, len(indices))} {one if one and len(indices) == 1 else words}", numbers
    )


def _check_split(task: Task, rows: Data, part: str, keeps_repeats: bool) -> Iterator[Finding]:
    if not rows:
        yield Finding("error", "file", f"There are no rows {part}. Bring more, or change the share held out.")
        return
    yield from _check_empty(task, rows, part)
    if repeated := _repeated(rows):
        end = "kept, as you chose" if keeps_repeats else "left out"
        words, one = f"({part}) repeat earlier rows; they are {end}.", f"({part}) repeats an earlier row; it is {end}."
        yield _finding("note" if keeps_repeats else "warning", "file", rows, repeated, words, one)
    if broken := [i for i, row in enumerate(rows) if any(BROKEN.search(str(cell)) for cell in row.values())]:
        words = "hold characters such as Ã© or �, of a wrong encoding. Save the file as UTF-8 from its source."
        yield _finding("warning", "file", rows, broken, words, words.replace("hold", "holds", 1))
    if task == "answer":
        yield from _check_answers(rows, part)
    if task in ("translation", "summary"):
        yield from _check_pairs(task, rows)
    few = FEW_ROWS if part == "to learn from" else FEW_VALIDATION_ROWS
    if len(rows) < few and task not in ("style", "pretraining"):
        yield Finding("warning", "file", f"Only {len(rows)} rows are {part}; figures from so few say little.")


def _check_empty(task: Task, rows: Data, part: str) -> Iterator[Finding]:
    empty: dict[str, list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        for role in empty_roles(row, task)[:1]:
            empty[role].append(index)
    if sum(map(len, empty.values())) == len(rows):
        yield Finding(
            "error", next(iter(empty)), f"All rows {part} have an empty {next(iter(empty))}. Check the columns."
        )
        return
    for role, indices in empty.items():
        words = f"({part}) have an empty {role}; they are left out."
        yield _finding("warning", role, rows, indices, words, f"({part}) has an empty {role}; it is left out.")


def _repeated(rows: Data) -> list[int]:
    seen: set[tuple[str, ...]] = set()
    repeated = []
    for index, row in enumerate(rows):
        if (same := identity(row)) in seen and any(str(cell).strip() for cell in row.values()):
            repeated.append(index)
        seen.add(same)
    return repeated


def _check_answers(rows: Data, part: str) -> Iterator[Finding]:
    lost = [index for index, row in enumerate(rows) if is_misplaced(row)]
    answered = sum(bool(str(row.get("answer", "")).strip()) for row in rows) - len(lost)
    if lost:
        words = (
            f"({part}) have an answer that is not in its passage word for word; they are left out. "
            "Copy the answer from the passage, or leave it empty where there is none."
        )
        one = words.replace("have an", "has an").replace("they are", "it is")
        yield _finding("warning", "answer", rows, lost, words, one)
    if not answered:
        yield Finding("error", "answer", f"No row {part} has an answer that is in its passage. Check the columns.")


def _check_pairs(task: Task, rows: Data) -> Iterator[Finding]:
    first, second = ("source", "target") if task == "translation" else ("text", "summary")
    pairs = [(str(row.get(first, "")).strip(), str(row.get(second, "")).strip()) for row in rows]
    if same := [i for i, (one, other) in enumerate(pairs) if one and one == other]:
        words = f"have the same {first} and {second}, so they teach copying."
        yield _finding(
            "warning", second, rows, same, words, f"has the same {first} and {second}: that teaches copying."
        )
    if task == "summary" and (long := [i for i, (text, short) in enumerate(pairs) if text and len(short) > len(text)]):
        words = "have a summary longer than the text. Are the columns swapped?"
        yield _finding("warning", "summary", rows, long, words, words.replace("have", "has", 1))


def _check_both(train: Data, validation: Data) -> Iterator[Finding]:
    learned = {shared_text(row) for row in train} - {""}
    if both := [index for index, row in enumerate(validation) if shared_text(row) in learned]:
        words = "(held out) are among the rows to learn from too, so the figures will flatter. Take them out of one."
        one = words.replace("are among", "is among").replace("Take them", "Take it")
        yield _finding("warning", "file", validation, both, words, one)


def _check_labels(train: Data, validation: Data, expected: Sequence[str]) -> Iterator[Finding]:
    learned, held = (Counter(str(row.get("label", "")) for row in rows) for rows in (train, validation))
    learned.pop("", None)
    held.pop("", None)
    if len(learned) == 1:
        yield Finding("error", "label", f"All rows have the label {_quoted(learned)}. Two or more are needed.")
    if expected and (unknown := sorted(set(learned + held) - set(expected))):
        indices = [i for i, row in enumerate(train) if row.get("label") in unknown]
        numbers = _numbers(train, indices)
        words = f"The rows have labels that labels does not name: {_quoted(unknown)}. Add them there."
        yield Finding("error", "labels", words, numbers)
    if missing := sorted(set(held) - set(learned)):
        indices = [i for i, row in enumerate(validation) if row.get("label") in missing]
        words = f"(held out) have labels that no row to learn from has: {_quoted(missing)}. Bring rows for them."
        yield _finding("error", "label", validation, indices, words, words.replace("have", "has", 1))
    if unseen := sorted(set(learned) - set(held)):
        yield Finding(
            "warning", "label", f"No row held out has {_quoted(unseen)}, so nothing tells how well it is learned."
        )
    if rare := sorted(label for label, count in learned.items() if count < FEW_ROWS_OF_A_LABEL):
        indices = [i for i, row in enumerate(train) if row.get("label") in rare]
        words = (
            f"Fewer than {FEW_ROWS_OF_A_LABEL} rows to learn from have {_quoted(rare)}. Bring more, or drop the label."
        )
        yield Finding("warning", "label", words, _numbers(train, indices))
    most, least = max(learned.values(), default=1), min(learned.values(), default=1)
    if most > 10 * least:
        often = max(learned, key=lambda label: learned[label])
        words = f"{_quoted([often])} has {most / least:.0f} times the rows of the rarest label; the rare ones suffer."
        yield Finding("note", "label", words)


def _quoted(labels: Sequence[str] | Mapping[str, int]) -> str:
    names = [f"“{label}”" for label in list(labels)[:SHOWN_ROWS]]
    return ", ".join(names) + (" …" if len(labels) > SHOWN_ROWS else "")


def _check_lengths(config: TrainingConfig, train: Data) -> Iterator[Finding]:
    """Texts that are too long whatever the tokenizer; `probe` counts exactly. Blocks and windows cut nothing off."""
    if config.task in ("style", "pretraining", "answer"):
        return
    limit = MOST_CHARACTERS_A_TOKEN * config.max_length
    long = [
        i for i, row in enumerate(train) if len(str(row.get("text", row.get("source", row.get("prompt", ""))))) > limit
    ]
    if long:
        yield cut_off(config, _numbers(train, long), len(long))


def cut_off(config: TrainingConfig, numbers: Sequence[int], total: int, limit: str = "max_length") -> Finding:
    """The finding on texts longer than a limit; `numbers` may be the first of them."""
    verb = "is" if total == 1 else "are"
    words = (
        f"{_rows(numbers, total)} {verb} longer than {limit} ({getattr(config, limit)} tokens) and will be cut off. "
        f"Raise {limit}, or shorten the texts."
    )
    return Finding("warning", limit, words, tuple(numbers[:MAX_KEPT_ROWS]))


def _inputs(config: TrainingConfig, train: Data) -> int:
    """Inputs an epoch; blocks of running text are estimated from its characters, windows of passages counted as one."""
    if config.task not in ("style", "pretraining"):
        return len(train)
    characters = sum(len(str(row.get("text", "")).strip()) for row in train)
    return math.ceil(characters / CHARACTERS_A_TOKEN / config.max_length)


def check_steps(config: TrainingConfig, inputs: int) -> list[Finding]:
    """Findings on the number of steps: none at all, or too few to learn anything."""
    steps, _ = count_steps(config, inputs)
    if steps == 0:
        return [Finding("error", "file", "There would be no step at all: no text is left to learn from. Bring more.")]
    if steps < FEW_STEPS:
        number = "one step" if steps == 1 else f"{steps} steps"
        words = (
            f"There will be only {number}, too few to learn much. Raise epochs, lower batch_size, or bring more data."
        )
        return [Finding("warning", "epochs", words)]
    return []


def check_machine(probe: Mapping[str, Any], free_memory_bytes: int, free_disk_bytes: int) -> list[Finding]:
    """Findings on memory and disk, from the estimates of `probe`. Sizes in bytes."""
    found = []
    memory, disk = int(probe.get("estimated_memory_bytes") or 0), int(probe.get("estimated_disk_bytes") or 0)
    advice = "Lower batch_size (and raise accumulation_steps), shorten max_length, use gradient checkpointing, or LoRA."
    if memory > free_memory_bytes:
        words = f"The run needs about {_size(memory)} of memory, and {_size(free_memory_bytes)} are free. {advice}"
        found.append(Finding("error", "batch_size", words))
    elif memory > 0.8 * free_memory_bytes:
        words = (
            f"The run needs about {_size(memory)} of the {_size(free_memory_bytes)} of memory that are free. {advice}"
        )
        found.append(Finding("warning", "batch_size", words))
    advice = "Delete old runs or models, or free some disk."
    if disk > free_disk_bytes:
        words = f"The run needs about {_size(disk)} of disk, and {_size(free_disk_bytes)} are free. {advice}"
        found.append(Finding("error", "disk", words))
    elif disk > 0.8 * free_disk_bytes:
        words = f"The run needs about {_size(disk)} of the {_size(free_disk_bytes)} of disk that are free. {advice}"
        found.append(Finding("warning", "disk", words))
    if probe.get("steps") == 0:
        found.append(Finding("error", "epochs", "There would be no step at all. Bring more data, or raise epochs."))
    return found
