"""How often the multilingual encoder takes a word of a translation from the word that a student's own alignment says.

    python -m benchmarks.alignments --data DATA [--students firefox-en-pt …] [--lines 60]

DATA holds `translation/` with FLORES-200 dev; lines 698 and on are translated by each student, which was taught to tell
where its words come from. Printed are the share of all words, of those of four letters and more, and the seconds of a
sentence.
"""

from __future__ import annotations

import argparse
import time
from contextlib import closing
from pathlib import Path

from benchmarks.ours import CALLER, open_engine
from benchmarks.translation_quality import flores
from engine.applications.sentences import Sentence
from engine.applications.words import words_of
from engine.requests import Generate, Generation, Sampling
from engine.serving.protocol import Engine

STUDENTS = ("firefox-en-pt", "student-en-fr", "student-en-es")
FIRST, LONG = 697, 4
"""The first line that no student learned; letters of a word that mostly stands for something."""


def main() -> None:
    """Print one line a student."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--students", nargs="+", default=STUDENTS)
    parser.add_argument("--lines", type=int, default=60)
    options = parser.parse_args()
    with closing(open_engine()) as engine:
        for student in options.students:
            source = engine.catalogue.find(student).pair[0]  # type: ignore[index]
            texts = flores(options.data / "translation", source)[FIRST : FIRST + options.lines]
            print(student, compared(engine, student, texts), flush=True)


def compared(engine: Engine, student: str, texts: list[str]) -> str:
    """What of a student's alignment the encoder says too."""
    asked = [Generate(text, sampling=Sampling(200, 0.0)) for text in texts]
    made = [one.text for one in engine.run(student, asked, CALLER) if isinstance(one, Generation)]
    sentences = [Sentence(text, translation, None) for text, translation in zip(texts, made, strict=True)]
    own = words_of(engine, student, sentences, CALLER)
    began = time.perf_counter()
    found = words_of(engine, "", sentences, CALLER)
    seconds = (time.perf_counter() - began) / len(texts)
    same = {True: list[bool](), False: list[bool]()}
    for ours, theirs in zip(found, own, strict=True):
        sources = {link.target: link.source for link in ours}
        for link in theirs:
            same[link.target[1] - link.target[0] >= LONG].append(sources.get(link.target) == link.source)
    every = same[True] + same[False]
    return (
        f"{sum(every) / len(every):.1%} of {len(every):,} words, {sum(same[True]) / len(same[True]):.1%} of "
        f"{len(same[True]):,} long ones, {seconds:.3f} s a sentence"
    )


if __name__ == "__main__":
    main()
