"""The whole table, or the rows named: `python -m benchmarks [ROW ...] [--pairs 5] [--short] [--threads N]`.

Rows are measured one after the other, printed, kept in `docs/performance.json`, and `docs/performance.md` is written
anew from all that is kept. A row that cannot run here says why and leaves what was kept.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from importlib import import_module

from benchmarks import figures, growth, machine, report
from benchmarks.figures import Figure, Options
from benchmarks.machine import Rates
from benchmarks.sides import Side

MEASURES = {
    "stories": "stories:measure",
    "visitors": "visitors:measure",
    "sentiment": "encoders:sentiment",
    "answers": "encoders:answers",
    "translation": "translation:measure",
    "embeddings": "encoders:embeddings",
    "fine-tuning": "fine_tuning:measure",
    "beside": "fine_tuning:beside",
    "start": "pages:start",
    "rerun": "pages:rerun",
    "typing": "pages:typing",
    "memory": "memory:measure",
}
GROWTH, REPORT = "growth", "report"


def measure(row: str, options: Options, rates: Rates) -> list[Figure]:
    """The figures of one row."""
    module, _, name = MEASURES[row].partition(":")
    work: Callable[[Options, Rates], list[Figure]] = getattr(import_module(f"benchmarks.{module}"), name)
    return figures.stamped(work(options, rates), options)


def probe(options: Options) -> Rates:
    """What the hardware can do, measured now."""
    side = Side("benchmarks.machine:probe", options.threads, is_short=options.is_short)
    try:
        seen = side()
    finally:
        side.close()
    return Rates(**{name: seen[name] for name in ("bandwidth", "float32", "bfloat16", "int8")})


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, keep, write. Returns how many rows could not run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", choices=[[], *MEASURES, GROWTH, REPORT], metavar="ROW", default=[])
    figures.add_options(parser)
    given = parser.parse_args(arguments)
    options, kept, failed = figures.read_options(given), figures.read_store(), 0
    rows = given.rows or [*MEASURES, GROWTH]
    if rows != [REPORT]:
        described = machine.describe(options.threads)
        rates = probe(options)
        kept["machine"] = described | {"rates": vars(rates)}
    for row in rows:
        started = time.perf_counter()
        try:
            _row(row, options, rates if rows != [REPORT] else None, kept)
        except Exception as error:  # one row that cannot run must not cost the others
            failed += 1
            print(f"{row}: could not be measured: {type(error).__name__}: {error}", flush=True)
        print(f"    ({row}: {time.perf_counter() - started:.0f} s)", flush=True)
        if not options.is_short:
            figures.write_store(kept)
            report.write(kept)
    return failed


def _row(row: str, options: Options, rates: Rates | None, kept: dict[str, dict[str, object]]) -> None:
    if row == GROWTH:
        kept["curves"] = dict(growth.measure(options))
        for name, curve in kept["curves"].items():
            print(f"{name}: {curve}", flush=True)
    elif row != REPORT:
        assert rates is not None
        kept["figures"][row] = found = measure(row, options, rates)
        print(report.table(found), flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
