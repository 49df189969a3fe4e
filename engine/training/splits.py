"""What a run learns from and what it is judged by: the rows of a table by role, without unusable ones, parted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from engine.errors import InputError
from engine.messages import Text
from engine.training import columns, preflight, tasks
from engine.training.columns import Rows
from engine.training.config import TrainingConfig
from engine.training.findings import Finding
from engine.training.formats import Table


@dataclass(frozen=True)
class Splits:
    """Rows to learn from and rows held out, as they came and (`usable`) without what is left out."""

    id: str
    """Tells contents apart, for who keeps what was found in them."""
    table: Table
    mapping: Mapping[str, str | None]
    keeps_repeats: bool
    whole: Rows | None
    """The rows of one file of which a share is held out, with those that cannot be used."""
    train: Rows
    validation: Rows
    usable_train: Rows
    usable_validation: Rows
    findings: tuple[Finding, ...]
    """What was guessed, joined or read otherwise on the way here."""


def make(
    task_id: str, table: Table, held_out: Table | None, mapping: Mapping[str, str | None], share: float,
    keeps_repeats: bool, seed: int, id: str = "",
) -> Splits:  # fmt: skip
    """The rows of a table and of what is held out, or of one table a share of whose usable rows is held out.

    Raises InputError naming the column or the row.
    """
    task = tasks.find(task_id)
    tables = [table] if held_out is None else [table, held_out]
    parts = [columns.apply(each, task_id, mapping) for each in tables]
    parts = columns.join_labels(parts, task.split_by) if task.split_by else parts
    found = [*table.findings, *parts[0].findings]
    if held_out is not None:
        found += map(_of_held_out, (*held_out.findings, *parts[1].findings))
    kept = [columns.usable(rows, task_id, keeps_repeats) for rows in parts]
    whole = parts[0] if held_out is None else None
    if whole is not None:
        parts = kept = list(_split(task_id, whole, kept[0], share, keeps_repeats, seed))
    once = tuple(dict.fromkeys(found))
    return Splits(id, table, mapping, keeps_repeats, whole, parts[0], parts[1], kept[0], kept[1], once)


def _of_held_out(finding: Finding) -> Finding:
    """A finding on the second file, whose rows have numbers of their own."""
    return replace(finding, message=Text("File held out: {finding}", finding=finding.message))


def _split(task_id: str, whole: Rows, kept: Rows, share: float, keeps_repeats: bool, seed: int) -> tuple[Rows, Rows]:
    try:
        return columns.split(kept, share, seed, tasks.find(task_id).split_by)
    except InputError as error:
        lost = preflight.check_texts(tasks.find(task_id), whole, keeps_repeats)
        if not lost:
            raise
        words = Text("{problem} {why}", problem=error.text, why=lost[0].message)
        raise InputError(words, lost[0].field) from None


def check_rows(config: TrainingConfig | str, made: Splits) -> list[Finding]:
    """Findings about the rows alone; see `preflight`."""
    return preflight.check_rows(config, made.train, made.validation, made.keeps_repeats, made.whole)


def with_columns(
    config: TrainingConfig | str, made: Splits, on_rows: Sequence[Finding], settings: Mapping[str, Any] | None = None
) -> list[Finding]:
    """Those about the rows, with those about columns and what was read, errors first."""
    task = tasks.find(config if isinstance(config, str) else config.task)
    settings = settings or {} if isinstance(config, str) else asdict(config)
    return preflight.in_order([*made.findings, *on_rows, *task.check_columns(made.table, made.mapping, settings)])
