"""What is wrong with rows, settings and the machine before a run starts, in plain words with row numbers. No torch.

What is particular to a task is in its file.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from engine.messages import Text, counted
from engine.sizes import size_in_words as _size
from engine.training import tasks
from engine.training.columns import empty_roles, identity, shared_text
from engine.training.config import TrainingConfig, count_steps
from engine.training.findings import HELD_OUT, LEARNED, WHOLE, Data, Finding, Level, numbers_of, on_numbers, on_rows
from engine.training.run import LESS_MEMORY
from engine.training.tasks import TrainingTask

FEW_ROWS, FEW_VALIDATION_ROWS, FEW_STEPS = 20, 5, 20
MOST_CHARACTERS_A_TOKEN = 6
"""A longer text is over the limit whatever the tokenizer."""
CHARACTERS_A_TOKEN = 4
BROKEN = re.compile("\ufffd|Ã[\u0080-\u00bf]|â€[™œ\u009d“”]|Â[\u00a0-\u00bf]")
"""Signs of text that was read in a wrong encoding before it came here."""


def check_rows(
    config: TrainingConfig | str, train: Data, validation: Data, keeps_repeats: bool = False, whole: Data | None = None
) -> list[Finding]:
    """Findings about the rows to learn from and the rows held out, errors first. A config adds those on settings.

    Without a config, the id of the task. `whole` are the rows of which both are parts, where they are one file's.
    """
    settings = None if isinstance(config, str) else config
    task = tasks.find(config if isinstance(config, str) else config.task)
    parts = [(train, LEARNED), (validation, HELD_OUT)]
    found = [finding for rows, part in parts for finding in _check_number(task, rows, part)]
    for rows, part in parts if whole is None else [(whole, WHOLE)]:
        found += check_texts(task, rows, keeps_repeats, part)
    found += [*_check_overlap(train, validation), *task.check_both(train, validation, settings)]
    if settings:
        steps, _ = count_steps(settings, _inputs(settings, task, train))
        found += [*_check_lengths(settings, task, train), *check_steps(steps)]
    return in_order(found)


def in_order(found: Sequence[Finding]) -> list[Finding]:
    """Errors first, then warnings."""
    order: dict[Level, int] = {"error": 0, "warning": 1, "note": 2}
    return sorted(found, key=lambda finding: order[finding.level])


def check_texts(task: TrainingTask, rows: Data, keeps_repeats: bool = False, part: Text = WHOLE) -> list[Finding]:
    """Findings on single rows: what cannot be used, what repeats, and what the task says of them."""
    return list(_check_texts(task, rows, keeps_repeats, part)) if rows else []


def _check_texts(task: TrainingTask, rows: Data, keeps_repeats: bool, part: Text) -> Iterator[Finding]:
    yield from _check_empty(task, rows, part)
    if repeated := _repeated(rows):
        yield _on_repeated(rows, repeated, part, keeps_repeats)
    if broken := [i for i, row in enumerate(rows) if any(BROKEN.search(str(cell)) for cell in row.values())]:
        words = counted(
            "{rows} holds characters such as Ã© or �, of a wrong encoding. Save the file as UTF-8 from its source.",
            "{rows} hold characters such as Ã© or �, of a wrong encoding. Save the file as UTF-8 from its source.",
            len(broken),
        )
        yield on_rows("warning", "file", rows, broken, words)
    yield from task.check_part(rows, part)


def _check_number(task: TrainingTask, rows: Data, part: Text) -> Iterator[Finding]:
    if not rows:
        words = Text("There are no rows {part}. Bring more, or change the share held out.", part=part)
        yield Finding("error", "file", words)
        return
    few = FEW_ROWS if part == LEARNED else FEW_VALIDATION_ROWS
    if len(rows) < few and not task.is_running_text:
        words = counted(
            "Only {count} row is {part}; figures from so few say little.",
            "Only {count} rows are {part}; figures from so few say little.",
            len(rows), part=part,
        )  # fmt: skip
        yield Finding("warning", "file", words)


def _on_repeated(rows: Data, repeated: Sequence[int], part: Text, keeps_repeats: bool) -> Finding:
    if keeps_repeats:
        words = counted(
            "{rows} ({part}) repeats an earlier row; it is kept, as you chose.",
            "{rows} ({part}) repeat earlier rows; they are kept, as you chose.",
            len(repeated), part=part,
        )  # fmt: skip
        return on_rows("note", "file", rows, repeated, words)
    words = counted(
        "{rows} ({part}) repeats an earlier row; it is left out.",
        "{rows} ({part}) repeat earlier rows; they are left out.",
        len(repeated), part=part,
    )  # fmt: skip
    return on_rows("warning", "file", rows, repeated, words)


def _check_empty(task: TrainingTask, rows: Data, part: Text) -> Iterator[Finding]:
    empty: dict[str, list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        for role in empty_roles(row, task)[:1]:
            empty[role].append(index)
    if sum(map(len, empty.values())) == len(rows):
        role = next(iter(empty))
        words = Text("All rows {part} have an empty {role}. Check the columns.", part=part, role=role)
        yield Finding("error", role, words)
        return
    for role, indices in empty.items():
        words = counted(
            "{rows} ({part}) has an empty {role}; it is left out.",
            "{rows} ({part}) have an empty {role}; they are left out.",
            len(indices), part=part, role=role,
        )  # fmt: skip
        yield on_rows("warning", role, rows, indices, words)


def _repeated(rows: Data) -> list[int]:
    seen: set[tuple[str, ...]] = set()
    repeated = []
    for index, row in enumerate(rows):
        if (same := identity(row)) in seen and any(str(cell).strip() for cell in row.values()):
            repeated.append(index)
        seen.add(same)
    return repeated


def _check_overlap(train: Data, validation: Data) -> Iterator[Finding]:
    learned = {shared_text(row) for row in train} - {""}
    if both := [index for index, row in enumerate(validation) if shared_text(row) in learned]:
        words = counted(
            "{rows} (held out) is among the rows to learn from too, so the figures will flatter. Take it out of one.",
            "{rows} (held out) are among the rows to learn from too, so the figures will flatter. "
            "Take them out of one.",
            len(both),
        )
        yield on_rows("warning", "file", validation, both, words)


def _check_lengths(config: TrainingConfig, task: TrainingTask, train: Data) -> Iterator[Finding]:
    """Texts that are too long whatever the tokenizer; `probe` counts exactly. Blocks and windows cut nothing off."""
    if task.is_running_text or not task.cuts_rows:
        return
    limit = MOST_CHARACTERS_A_TOKEN * config.max_length
    long = [i for i, row in enumerate(train) if len(str(row.get(task.roles[0], ""))) > limit]
    if long:
        yield cut_off(config, numbers_of(train, long), len(long))


def cut_off(config: TrainingConfig, numbers: Sequence[int], total: int, limit: str = "max_length") -> Finding:
    """The finding on texts longer than a limit; `numbers` may be the first of them."""
    words = counted(
        "{rows} is longer than {limit} ({tokens} tokens) and will be cut off. Raise {limit}, or shorten the texts.",
        "{rows} are longer than {limit} ({tokens} tokens) and will be cut off. Raise {limit}, or shorten the texts.",
        total, limit=limit, tokens=getattr(config, limit),
    )  # fmt: skip
    return on_numbers("warning", limit, numbers, total, words)


def _inputs(config: TrainingConfig, task: TrainingTask, train: Data) -> int:
    """Inputs an epoch; blocks of running text are estimated from its characters, windows of passages counted as one."""
    if not task.is_running_text:
        return len(train)
    characters = sum(len(str(row.get("text", "")).strip()) for row in train)
    return math.ceil(characters / CHARACTERS_A_TOKEN / config.max_length)


def check_steps(steps: int) -> list[Finding]:
    """Findings on the number of steps: none at all, or too few to learn anything."""
    if steps == 0:
        words = Text("There would be no step at all: no text is left to learn from. Bring more.")
        return [Finding("error", "file", words)]
    if steps < FEW_STEPS:
        words = counted(
            "There will be only one step, too few to learn much. Raise epochs, lower batch_size, or bring more data.",
            "There will be only {count} steps, too few to learn much. "
            "Raise epochs, lower batch_size, or bring more data.",
            steps,
        )
        return [Finding("warning", "epochs", words)]
    return []


def check_machine(probe: Mapping[str, Any], free_memory_bytes: int, free_disk_bytes: int) -> list[Finding]:
    """Findings on memory and disk, from the estimates of `probe`. Sizes in bytes."""
    memory, disk = int(probe.get("estimated_memory_bytes") or 0), int(probe.get("estimated_disk_bytes") or 0)
    sizes = {"need": _size(memory), "free": _size(free_memory_bytes), "advice": LESS_MEMORY}
    words = Text("The run needs about {need} of memory, and {free} are free. {advice}.", **sizes)
    found = _on_share("batch_size", memory, free_memory_bytes, words)
    words = Text(
        "The run needs about {need} of disk, and {free} are free. Delete old runs or models, or free some disk.",
        need=_size(disk), free=_size(free_disk_bytes),
    )  # fmt: skip
    found += _on_share("disk", disk, free_disk_bytes, words)
    return found + (check_steps(0) if probe.get("steps") == 0 else [])


def _on_share(field: str, need: int, free: int, words: Text) -> list[Finding]:
    """An error where there is not enough, a warning where it nearly takes all."""
    return [Finding("error" if need > free else "warning", field, words)] if need > 0.8 * free else []
