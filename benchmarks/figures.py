"""What a row of the table says: one figure, what it is compared with, what it should reach, and the physical limit."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from engine.settings import available_cores

STORE = Path(__file__).parents[1] / "docs" / "performance.json"
PAIRS = 5


@dataclass(frozen=True)
class Options:
    """How to measure. `is_short` is for trying a row out: its figures are not to be kept."""

    pairs: int = PAIRS
    is_short: bool = False
    threads: int = 2
    size: float = 1.0
    """Share of the whole work, for a busy machine; the figure says how much it was."""

    def choose(self, whole: int, short: int) -> int:
        """A size, smaller when short."""
        return short if self.is_short else max(short, round(whole * self.size))


@dataclass(frozen=True)
class Figure:
    """`value` is the median over the rounds, between `low` and `high`; `ours` and `theirs` are medians in `unit`.

    `limit` is the most (or least) that the hardware allows, in `unit`; 0 where there is none.
    """

    row: str
    work: str
    peer: str
    value: float
    reach: float
    low: float = 0.0
    high: float = 0.0
    kind: str = "times"
    """What `value` is: "times" of the peer, or an absolute "s", or "ms" more than the peer."""
    is_at_most: bool = False
    """Whether `reach` is the most that `value` may be."""
    ours: float = 0.0
    theirs: float = 0.0
    unit: str = ""
    limit: float = 0.0
    limit_note: str = ""
    rounds: int = 0
    note: str = ""
    is_short: bool = False
    measured: str = ""

    @property
    def is_reached(self) -> bool:
        """Whether the row holds."""
        return self.value <= self.reach if self.is_at_most else self.value >= self.reach

    @property
    def share_of_limit(self) -> float | None:
        """How near the hardware's limit ours is, 1 being there; None where there is no limit."""
        if not self.limit or not self.ours:
            return None
        is_time = self.unit in ("s", "ms", "MB")
        return self.limit / self.ours if is_time else self.ours / self.limit


Rounds = Sequence[Mapping[str, Mapping[str, Any]]]


def figure(
    rounds: Rounds,
    key: str,
    side: str,
    *,
    combine: Callable[[float, float], float] = lambda ours, theirs: ours / theirs,
    **fields: Any,
) -> Figure:
    """A figure of the rounds' `key`, ours against that `side`, which is the peer's name if `peer` gives no other.

    Each round gives one value; the figure's is their median.

    `combine` makes that value of ours and theirs.
    """
    ours = [float(done["ours"][key]) for done in rounds]
    theirs = [float(done[side][key]) for done in rounds]
    values = [combine(a, b) for a, b in zip(ours, theirs, strict=True)]
    return Figure(
        value=median(values),
        low=min(values),
        high=max(values),
        ours=median(ours),
        theirs=median(theirs),
        rounds=len(rounds),
        **({"peer": side} | fields),
    )


def read_store(path: Path = STORE) -> dict[str, Any]:
    """All that was measured and kept: machine, figures by row, curves by name."""
    if not path.is_file():
        return {"machine": {}, "figures": {}, "curves": {}}
    kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    kept["figures"] = {row: [Figure(**one) for one in figures] for row, figures in kept["figures"].items()}
    return kept


def write_store(kept: Mapping[str, Any], path: Path = STORE) -> None:
    """Keep it."""
    plain = dict(kept) | {"figures": {row: [asdict(one) for one in some] for row, some in kept["figures"].items()}}
    path.write_text(json.dumps(plain, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def stamped(figures: Sequence[Figure], options: Options) -> list[Figure]:
    """The figures with when and how they were measured."""
    today = time.strftime("%Y-%m-%d %H:%M", time.gmtime())
    return [replace(one, measured=today, is_short=options.is_short) for one in figures]


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that all measurements share."""
    parser.add_argument("--pairs", type=int, default=0, help=f"rounds, at least {PAIRS} for figures that count")
    parser.add_argument("--short", action="store_true", help="try it out: less work, two rounds, nothing is kept")
    parser.add_argument(
        "--size", type=float, default=1.0, help="share of each row's work, such as 0.2; the table says so"
    )
    parser.add_argument("--threads", type=int, default=0, help="threads of every side; 0 is the number of cores")


def read_options(arguments: argparse.Namespace) -> Options:
    """The options as given."""
    pairs = arguments.pairs or (2 if arguments.short else PAIRS)
    return Options(pairs, arguments.short, arguments.threads or available_cores(), arguments.size)
