"""The command line of benchmarks that are rows, each a function that tells figures: printed as a line of JSON."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

Rows = Mapping[str, Callable[..., dict[str, Any]]]
NOTHING: Mapping[str, dict[str, Any]] = {}


def parser(name: str, about: str | None, rows: Rows) -> argparse.ArgumentParser:
    """What can be asked of `python -m benchmarks.NAME`."""
    made = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=about)
    made.add_argument("rows", nargs="*", help=f"of {', '.join(rows)}; all where none is named")
    return made


def measure(rows: Rows, names: Iterable[str], given: Mapping[str, dict[str, Any]] = NOTHING) -> None:
    """Measure the rows that are named, one after the other, with the arguments that are given for some."""
    for name in names or rows:
        facts = rows[name](**given.get(name, {}))
        print(json.dumps({"row": name, "load": os.getloadavg()}) + "\n  " + json.dumps(facts, default=str), flush=True)
