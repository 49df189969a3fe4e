"""How long five documents of 40 pages take until they can be searched, and how good answers over them are.

Run `python -m benchmarks.documents --data FOLDER [--questions 100] [--written 30]`, where FOLDER holds `qa/`. The
documents are PDFs of 300 words a page, put together from passages of SQuAD 1.1 dev; the questions are theirs.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import textwrap
import time
from dataclasses import replace
from pathlib import Path
from statistics import mean, median
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.ours import CALLER
from benchmarks.retrieval import SETS
from engine.applications.answer import APPLICATION
from engine.applications.answers import AnswerRequest, AnswerResult
from engine.documents import read_document
from engine.evaluation.metrics import answer_f1
from engine.serving.compose import House, open_house
from engine.settings import current
from tests.documents.files import pdf

DOCUMENTS, PAGES, WORDS, SEED = 5, 40, 300, 7
OWNER = "home"


def passages(file: Path) -> list[dict[str, Any]]:
    """Passages of SQuAD with their questions, in the file's order."""
    with gzip.open(file, "rt", encoding="utf-8") as opened:
        return [one for article in json.load(opened)["data"] for one in article["paragraphs"]]


def documents(found: list[dict[str, Any]]) -> tuple[list[bytes], list[dict[str, Any]]]:
    """Five PDFs of those passages, and the passages that are in them."""
    words: list[str] = []
    taken = []
    for one in found:
        if len(words) >= DOCUMENTS * PAGES * WORDS:
            break
        words += one["context"].split()
        taken.append(one)
    pages = [words[at : at + WORDS] for at in range(0, DOCUMENTS * PAGES * WORDS, WORDS)]
    lines = [textwrap.wrap(" ".join(page), 90) for page in pages]
    return [pdf(lines[at : at + PAGES]) for at in range(0, len(lines), PAGES)], taken


def questions(taken: list[dict[str, Any]], count: int) -> list[tuple[str, list[str]]]:
    """Questions with all their right answers."""
    asked = [(one["question"], [each["text"] for each in one["answers"]]) for p in taken for one in p["qas"]]
    return random.Random(SEED).sample(asked, min(count, len(asked)))


def bring(house: House, files: list[bytes]) -> list[str]:
    """Read, keep and index the files, and print how long each step takes."""
    house.engine.load("multilingual-e5-small", CALLER)
    while not any(one.id == "multilingual-e5-small" and one.state == "ready" for one in house.engine.status().models):
        time.sleep(0.05)
    start = time.monotonic()
    kept = [house.documents.add(OWNER, read_document(one, f"{n}.pdf"), f"{n}.pdf") for n, one in enumerate(files, 1)]
    ids = [one.id for one in kept]
    hits = house.documents.index(OWNER, sorted(ids)).search("who won the game", 3)
    words = sum(one.words for one in kept)
    print(f"{len(ids)} PDFs, {words:,} words: searched by words after {time.monotonic() - start:.1f} s ({len(hits)})")
    for id in ids:
        house.indexing.begin(OWNER, id, CALLER)
    house.indexing.wait(ids, 600)
    count = sum(len(house.documents.passages(OWNER, id)) for id in ids)
    print(f"by meaning too after {time.monotonic() - start:.1f} s ({count} passages)", flush=True)
    return ids


def answered(house: House, ids: list[str], question: str, style: Any) -> tuple[AnswerResult, float]:
    """The answer, and the seconds that it took."""
    start = time.monotonic()
    request = AnswerRequest(question, documents=ids, style=style)
    *_, last = APPLICATION.of(house)(house.engine, request, replace(CALLER, call=""))
    return last.result, time.monotonic() - start


def main() -> None:
    """Print a line a figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--questions", type=int, default=100)
    parser.add_argument("--written", type=int, default=30)
    parser.add_argument("--shown", action="store_true", help="print each written answer")
    options = parser.parse_args()
    files, taken = documents(passages(options.data / "qa" / SETS["SQuAD (en)"]))
    with TemporaryDirectory() as folder:
        house = open_house(replace(current(), storage_folder=Path(folder), prefetch=False, result_cache_bytes=0))
        ids = bring(house, files)
        answered(house, ids, "Who won?", "quote")
        found = [(right, *answered(house, ids, one, "quote")) for one, right in questions(taken, options.questions)]
        seconds = [each for _, _, each in found]
        print(f"quoted: median {median(seconds):.2f} s, slowest {max(seconds):.2f} s")
        for places in (1, 3, 5):
            share = mean(any(r in p.text for p in one.passages[:places] for r in right) for right, one, _ in found)
            print(f"an answer is in the first {places} passages: {share:.0%}")
        print(
            f"F1 of the quoted answer: {mean(answer_f1(one.answer, right) for right, one, _ in found):.1%}", flush=True
        )
        answered(house, ids, "Who won?", "write")
        wrote = [(q, right, *answered(house, ids, q, "write")) for q, right in questions(taken, options.written)]
        show_written(wrote, options.shown)
        house.close()


def show_written(wrote: list[Any], is_shown: bool) -> None:
    """Figures of written answers."""
    sentences = [one for _, _, result, _ in wrote for one in result.sentences]
    kept = [(right, result) for _, right, result, _ in wrote if result.answer]
    held = sum(any(words.lower() in result.answer.lower() for words in right) for right, result in kept)
    print(f"written: median {median(each for *_, each in wrote):.1f} s, {len(sentences)} sentences,", end=" ")
    print(
        f"{sum(one.is_kept for one in sentences)} kept; {len(kept)} of {len(wrote)} answered, {held} with right words"
    )
    for question, right, result, _ in wrote if is_shown else ():
        print(f"\n{question} {right[:1]}")
        for one in result.sentences:
            print(" ", "+" if one.is_kept else "-", one.text, one.sources, one.why)


if __name__ == "__main__":
    main()
