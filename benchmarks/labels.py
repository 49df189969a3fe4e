"""How well labels of one's own are told without training: `python -m benchmarks.labels --data DATA [--rows 300]`.

DATA holds `sentiment/`, whose sentences of film reviews are positive or negative; the loss tells the best temperature.
"""

from __future__ import annotations

import argparse
import gzip
import math
import random
from contextlib import closing
from pathlib import Path

from benchmarks.ours import CALLER, open_engine
from engine.applications import labels

MEANINGS = (
    "positive: a positive review, the film is good",
    "negative: a negative review, the film is bad",
)
TEMPERATURES = (0.01, 0.02, 0.03, 0.05)


def main() -> None:
    """Print accuracy, and loss and confidence at each temperature."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=300)
    options = parser.parse_args()
    rows = reviews(options.data)
    random.Random(1).shuffle(rows)
    rows = rows[: options.rows]
    with closing(open_engine()) as engine:
        for temperature in TEMPERATURES:
            labels.TEMPERATURE = temperature
            *_, last = labels.stream_shares(engine, [text for _, text in rows], MEANINGS, CALLER)
            shares = [(row, label) for row, (label, _) in zip(last.result, rows, strict=True)]
            right = sum(max(row, key=lambda name: row[name]) == label for row, label in shares)
            loss = -sum(math.log(row[label]) for row, label in shares) / len(rows)
            sure = sum(max(row.values()) for row, _ in shares) / len(rows)
            print(f"temperature {temperature}: right {right / len(rows):.3f}, loss {loss:.3f}, sure {sure:.3f}")


def reviews(data: Path) -> list[tuple[str, str]]:
    """Labels and sentences."""
    path = data / "sentiment" / "sentence_polarity.no-sst-test.tsv.gz"
    lines = gzip.decompress(path.read_bytes()).decode().split("\n")
    return [(label, text) for label, _, text in (line.partition("\t") for line in lines) if text]


if __name__ == "__main__":
    main()
