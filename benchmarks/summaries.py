"""How good summaries are, how often they have their length, and how long they take.

Run `python -m benchmarks.summaries --data FOLDER` for ROUGE on held-out papers (in `summarization/scitldr`), of the
first sentences, of chosen sentences and of each embedded model's own words; `--read` for the summaries of twenty
everyday texts, to be read; `--speed` for a text of 1,000 words.
"""

from __future__ import annotations

import argparse
import gzip
import json
import statistics
import time
import tomllib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.ours import CALLER, open_engine
from engine.applications import summarize
from engine.applications.extracts import count_words, is_near
from engine.applications.summarize import APPLICATION, ENCODER, SummarizeRequest, SummarizeResult, writer_for
from engine.evaluation.metrics import rouge
from engine.serving.protocol import Engine

WRITERS = ("smollm2-135m-instruct", "gemma-3-270m")
TLDR_WORDS = 25
"""Of a summary; the references have 21 on average."""
LENGTHS = (30, 60)
TEXTS = Path(__file__).with_name("everyday.toml")
SAMPLES = Path(summarize.__file__).with_suffix(".toml")


def papers(folder: Path, count: int) -> list[tuple[list[str], list[str]]]:
    """Sentences of abstracts and their references, of SciTLDR's test part."""
    with gzip.open(folder / "summarization" / "scitldr" / "test.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return [(row["source"], row["target"]) for row in rows[:count]]


def summary(engine: Engine, text: str, words: int, model: str | None) -> SummarizeResult:
    """One summary, as page and API make it."""
    result: SummarizeResult = APPLICATION.run(engine, SummarizeRequest(text, words, model=model, seed=1), CALLER)
    return result


def measure(rows: Sequence[tuple[list[str], list[str]]], make: Callable[[list[str]], str]) -> str:
    """Mean ROUGE F1, in percent, and mean words."""
    made = [make(sentences) for sentences, _ in rows]
    scores = [rouge(text, references) for text, (_, references) in zip(made, rows, strict=True)]
    means = {name: 100 * statistics.fmean(score[name] for score in scores) for name in scores[0]}
    words = statistics.fmean(map(count_words, made))
    return ", ".join(f"{name} {mean:.1f}" for name, mean in means.items()) + f", {words:.0f} words, {len(rows)} papers"


def held_out(engine: Engine, folder: Path, count: int, written: int) -> None:
    """A line for each way."""
    rows = papers(folder, count)
    ways: list[tuple[str, int, Callable[[list[str]], str]]] = [
        ("lead-3", count, lambda sentences: " ".join(sentences[:3])),
        (f"first {TLDR_WORDS} words", count, lambda sentences: " ".join(" ".join(sentences).split()[:TLDR_WORDS])),
        (ENCODER, count, lambda sentences: summary(engine, " ".join(sentences), TLDR_WORDS, None).text),
    ]
    for model in WRITERS:
        ways.append((model, written, partial(_written, engine, model)))
    ways.append((f"{ENCODER}, the same papers", written, ways[2][2]))
    for name, papers_of, make in ways:
        print(f"{name}: {measure(rows[:papers_of], make)}", flush=True)


def _written(engine: Engine, model: str, sentences: list[str]) -> str:
    return summary(engine, " ".join(sentences), TLDR_WORDS, model).text


def everyday() -> list[dict[str, str]]:
    """Twenty texts, the page's samples among them."""
    files = [tomllib.loads(file.read_text(encoding="utf-8")) for file in (SAMPLES, TEXTS)]
    return [*files[0]["samples"], *files[1]["texts"]]


def read(engine: Engine) -> None:
    """Print the summaries of everyday texts, and how many have their length, and what is unsupported."""
    facts: dict[str, list[Any]] = {}
    for entry in everyday():
        text = entry["text"].strip()
        print(f"\n== {entry['language']}, {entry['about']}, {count_words(text)} words")
        for model in (ENCODER, writer_for(text)):
            for words in LENGTHS:
                made = summary(engine, text, words, model)
                strange = [word for one in made.sentences for word in one.unsupported]
                loose = sum(not one.sources for one in made.sentences)
                kind = "chosen" if made.is_quoted else "written"
                facts.setdefault(kind, []).append((is_near(made.words, words), bool(strange), bool(loose)))
                told = f"{model} {words} -> {made.words}; not in the text: {strange}; without source: {loose}"
                print(f"[{told}] {made.text}")
    for kind, rows in facts.items():
        near, strange_, loose_ = (sum(row[place] for row in rows) for place in range(3))
        print(
            f"\n{kind}: {near} of {len(rows)} have their length, {strange_} hold a name or number that the text lacks, "
            f"{loose_} a sentence without a source"
        )


def speed(engine: Engine) -> None:
    """Seconds for a text of 1,000 words, which nobody asked about before."""
    entries = [one["text"].strip() for one in everyday()]
    text = "\n\n".join(entries[:9])
    text = " ".join(text.split(" ")[:1000])
    summary(engine, entries[-1], 60, None)
    for model in (ENCODER, *WRITERS[:1]):
        started = time.perf_counter()
        made = summary(engine, text, 100, model)
        print(
            f"{model}: {count_words(text)} words to {made.words} in {time.perf_counter() - started:.2f} s", flush=True
        )


def main() -> None:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--count", type=int, default=618)
    parser.add_argument("--written", type=int, default=100)
    parser.add_argument("--read", action="store_true")
    parser.add_argument("--speed", action="store_true")
    options = parser.parse_args()
    engine = open_engine()
    if options.data:
        held_out(engine, options.data, options.count, options.written)
    if options.read:
        read(engine)
    if options.speed:
        speed(engine)
    engine.close()


if __name__ == "__main__":
    main()
