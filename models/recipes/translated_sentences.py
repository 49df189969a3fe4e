"""English sentences with a sentiment in another language, by a student: French and Spanish have no neutral ones else.

    python -m models.recipes.translated_sentences --data DATA --student models/student-en-fr --language fr --out FILE
    python -m models.recipes.sentiments … --translated fr=FILE

As many of each label are drawn from the English rows of the derived corpus. A row is kept where its translation is
about as long as it and repeats nothing.
"""

from __future__ import annotations

import argparse
import random
import re
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch

from engine.backends.marian.files import open_student
from models.recipes.sentiment_corpora import LABELS
from models.recipes.sentiments_data import SEED, Said, read_rows, write_translated
from models.recipes.student_translations import translated

EACH = 2500
"""Rows of a label."""
MOST_CHARACTERS = 200
"""Of a row: students lose parts of long sentences."""
LENGTHS = (0.6, 2.0)
"""Of a translation over its source."""
_REPEATS = re.compile(r"(\b\w+\b)(\W+\1\b){2,}", re.IGNORECASE)
Translate = Callable[[Sequence[str]], list[str]]


def drawn(rows: Sequence[Said], count: int) -> list[Said]:
    """So many short rows of each label."""
    rng, found = random.Random(SEED), list[Said]()
    for label in LABELS:
        fitting = [row for row in rows if row.label == label and len(row.text) <= MOST_CHARACTERS]
        found += rng.sample(fitting, min(count, len(fitting)))
    return found


def translated_rows(rows: Sequence[Said], translate: Translate, language: str) -> list[Said]:
    """The rows in the language, without those whose translation shows that something went wrong."""
    found = translate([row.text for row in rows])
    return [
        Said(text, row.label, language)
        for row, text in zip(rows, found, strict=True)
        if LENGTHS[0] * len(row.text) <= len(text) <= LENGTHS[1] * len(row.text) and not _REPEATS.search(text)
    ]


def main() -> None:
    """Translate, write, and tell how many rows were kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("data", "student", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--language", required=True)
    parser.add_argument("--rows", type=int, default=EACH, help="of each label")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    student = open_student(options.student.name, options.student)
    sides = (student.source, student.target)
    rows, begun = drawn(read_rows(options.data).learned["derived en"], options.rows), time.monotonic()
    made = translated_rows(
        rows, partial(translated, student.quick, sides, shortlist=student.shortlist), options.language
    )  # fmt: skip
    write_translated(made, options.out)
    print(f"{len(made)} of {len(rows)} rows kept, {time.monotonic() - begun:.0f} s", flush=True)


if __name__ == "__main__":
    main()
