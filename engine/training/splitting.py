"""Many rows are parted and looked through in a child, so that nobody's answers wait for it; few are where they are.

The child, `python -m engine.training.splitting BYTES`, gets an order and rows in the lines of `formats`, and answers
in such lines.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from tempfile import TemporaryFile
from typing import IO, Any

from engine.errors import TooLargeError
from engine.jobs.apart import ask, line, serve
from engine.training import preflight, splits
from engine.training.columns import Rows
from engine.training.config import TrainingConfig, make_config
from engine.training.findings import Finding, read_finding
from engine.training.formats import Table
from engine.training.formats._apart import Answer, lines_of
from engine.training.splits import Splits

MANY_ROWS = 5_000
"""From here on a child takes less of everybody's time than it needs to begin."""


def make(
    task_id: str, table: Table, held_out: Table | None, mapping: Mapping[str, str | None], share: float,
    keeps_repeats: bool, seed: int, id: str = "",
) -> Splits:  # fmt: skip
    """As `splits.make`. Raises TooLargeError or BusyError too."""
    tables = [table] if held_out is None else [table, held_out]
    if sum(len(each.rows) for each in tables) < MANY_ROWS:
        return splits.make(task_id, table, held_out, mapping, share, keeps_repeats, seed, id)
    order = {"make": [task_id, dict(mapping), share, keeps_repeats, seed]}
    answer = _asked(order, tables)
    train, validation, *others = map(_rows, answer.tables)
    found = tuple(map(read_finding, answer.told["found"]))
    whole = others[0] if held_out is None else None
    learned, judged = (train, validation) if whole is not None else (others[0], others[1])
    return Splits(id, table, mapping, keeps_repeats, whole, train, validation, learned, judged, found)


def check(config: TrainingConfig | str, made: Splits, settings: Mapping[str, Any] | None = None) -> list[Finding]:
    """Findings about rows, columns and settings, errors first; without a config, the id of the task, about rows and
    columns alone. Raises TooLargeError or BusyError."""
    parts = [made.train, made.validation, *([made.whole] if made.whole is not None else [])]
    if sum(map(len, parts)) < MANY_ROWS:
        found = splits.check_rows(config, made)
    else:
        order = {"check": config if isinstance(config, str) else asdict(config), "keeps_repeats": made.keeps_repeats}
        told = _asked(order, [_table(rows) for rows in parts]).told
        found = [read_finding(each) for each in told["found"]]
    return splits.with_columns(config, made, found, settings)


def _asked(order: Mapping[str, Any], tables: Sequence[Table]) -> Answer:
    with TemporaryFile() as given, _about_rows():
        given.write(line(order))
        for table in tables:
            given.writelines(lines_of(table))
        return ask("engine.training.splitting", given, Answer())


@contextmanager
def _about_rows() -> Iterator[None]:
    try:
        yield
    except TooLargeError as error:
        if error.param:  # the child's own words on a cell
            raise
        raise TooLargeError(
            "Looking through these rows takes more time or memory than there is. Bring a part of them.", "file"
        ) from error


def _table(rows: Rows) -> Table:
    """Rows whose keys may differ, for the way to another process and back."""
    return Table((), rows.values, rows.numbers, findings=rows.findings)


def _rows(table: Table) -> Rows:
    return Rows(table.rows, table.numbers, table.findings)


def work(given: IO[bytes]) -> Iterator[bytes]:
    """The child's: what an order makes of the rows behind it. Raises PeopleError."""
    order, answer = json.loads(given.readline()), Answer()
    answer.take(given)
    if "check" in order:
        yield _found(_checked(order, list(map(_rows, answer.tables))))
        return
    task_id, *others = order["make"]
    made = splits.make(task_id, answer.tables[0], (*answer.tables[1:], None)[0], *others)
    rest = (made.usable_train, made.usable_validation) if made.whole is None else (made.whole,)
    for rows in (made.train, made.validation, *rest):
        yield from lines_of(_table(rows))
    yield _found(made.findings)


def _checked(order: Mapping[str, Any], parts: Sequence[Rows]) -> list[Finding]:
    config = order["check"] if isinstance(order["check"], str) else make_config(order["check"])
    train, validation, whole = (*parts, None)[:3]
    assert train is not None and validation is not None
    return preflight.check_rows(config, train, validation, order["keeps_repeats"], whole)


def _found(findings: Sequence[Finding]) -> bytes:
    return line({"found": [each.as_json() for each in findings]})


if __name__ == "__main__":
    sys.exit(serve(work))
