"""Firefox's students: quality and speed of our runtime against `fxtranslate`, Mozilla's engine as a library.

Run `python -m benchmarks.students FOLDER [--pairs en-pt pt-en]`, where FOLDER holds `flores200.eng_Latn.dev` and the
like: lines 698 to 997, in turns, one thread each, by processor time. Beside them what translated before the students.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks.ours import CALLER, open_engine, wait_loaded
from benchmarks.translation_quality import flores
from benchmarks.weights import ctranslate2_int8, opus_sized
from engine.backends.marian.files import Translator, open_student
from engine.catalogue.models import read_catalogue
from engine.catalogue.sources.package import Package
from engine.catalogue.store import Store
from engine.requests import Generate, Sampling
from engine.settings import current
from models.recipes.student_translations import translated

HELD_OUT = slice(697, 997)
BATCH = 32
ALONE = 16
"""Sentences of a round that are translated one by one."""
VISITORS = 8
PIECES = 33
"""Of a translation of these sentences, by the middle."""
Work = Callable[[Sequence[str]], list[str]]


def library(folder: Path) -> Work:
    """One sentence after the other, which is all that it offers."""
    from fxtranslate import Translator as Library

    model, vocabulary, shortlist = (next(folder.glob(name)).read_bytes() for name in ("model*", "vocab*", "lex*"))
    library = Library(model, vocabulary, vocabulary, shortlist)
    return lambda texts: [str(library.translate(text)) for text in texts]


def batches(translator: Translator, size: int) -> Work:
    """Our network and loop in batches of like lengths."""

    sides = (translator.source, translator.target)
    return lambda texts: translated(translator.quick, sides, texts, translator.shortlist, size)


def before() -> Work:
    """What translated before the students came: CTranslate2 in int8 with the shape of an OPUS-MT model, random weights
    and as many tokens a sentence as these take."""
    import ctranslate2
    from transformers import AutoTokenizer

    folder = opus_sized()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    translator = ctranslate2.Translator(
        str(ctranslate2_int8(folder)), device="cpu", compute_type="int8", intra_threads=1, inter_threads=1
    )

    def work(texts: Sequence[str]) -> list[str]:
        rows = [tokenizer.convert_ids_to_tokens(tokenizer(text)["input_ids"]) for text in texts]
        found = translator.translate_batch(rows, beam_size=1, max_decoding_length=PIECES, max_batch_size=BATCH)
        return [tokenizer.convert_tokens_to_string(one.hypotheses[0]) for one in found]

    return work


def visitors(model_id: str) -> Work:
    """Eight at once through the engine, each with its share of the sentences, one request a sentence."""
    engine = open_engine(threads=1)
    wait_loaded(engine, model_id)

    def one(texts: Sequence[str], done: list[str]) -> None:
        requests = [Generate(text, sampling=Sampling(200, 0.0)) for text in texts]
        found = engine.run(model_id, requests, CALLER)
        done += [result.text for result in found]  # type: ignore[union-attr]

    def work(texts: Sequence[str]) -> list[str]:
        parts: list[list[str]] = [[] for _ in range(VISITORS)]
        threads = [
            threading.Thread(target=one, args=(texts[place::VISITORS], part)) for place, part in enumerate(parts)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return [text for part in parts for text in part]

    return work


def seconds(work: Work, texts: Sequence[str]) -> float:
    """Of the processor, which other work on the machine lengthens less than the clock's."""
    started = time.process_time()
    work(texts)
    return time.process_time() - started


def race(sides: dict[str, tuple[Work, int]], texts: Sequence[str], rounds: int) -> dict[str, list[float]]:
    """Sentences a second of each side in each round; a side gets so many of the sentences, from another place."""
    speeds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds):
        for name, (work, count) in sides.items():
            part = [texts[(number * BATCH + place) % len(texts)] for place in range(count)]
            speeds[name].append(count / seconds(work, part))
    return speeds


def measure(pair: str, options: argparse.Namespace) -> None:
    """Print quality and ratios of one direction."""
    import sacrebleu

    source, _, target = pair.partition("-")
    model = read_catalogue().find(f"firefox-{pair}")
    assert isinstance(model.source, Package)
    folder = Store(replace(current(), prefetch=False), read_catalogue()).path(model.id)
    texts, references = flores(options.folder, source)[HELD_OUT], flores(options.folder, target)[HELD_OUT]
    ours, theirs = open_student(model.title, folder, model.source.files), library(folder)
    for name, work in (("ours", batches(ours, BATCH)), ("fxtranslate", theirs)):
        print(f"{pair} {name}: BLEU {sacrebleu.corpus_bleu(work(texts), [references]).score:.2f}", flush=True)
    sides: dict[str, tuple[Work, int]] = {
        "fxtranslate": (theirs, BATCH),
        "ours, batch of 32": (batches(ours, BATCH), BATCH),
        "ours, alone": (batches(ours, 1), ALONE),
        "ours, 8 visitors": (visitors(model.id), BATCH * 2),
        "CTranslate2 int8, OPUS-MT's shape, batch of 32": (before(), BATCH),
        "ours, batch of 64": (batches(ours, 2 * BATCH), BATCH * 2),
    }
    speeds = race(sides, texts, options.rounds)
    for name, found in speeds.items():
        ratios = [mine / other for mine, other in zip(found, speeds["fxtranslate"], strict=True)]
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        print(f"{pair} {name}: {median(found):.1f} sentences/s, {median(ratios):.2f} of fxtranslate's ({spread})")
    shared = [one / bare for one, bare in zip(speeds["ours, batch of 64"], speeds["ours, 8 visitors"], strict=True)]
    print(f"{pair} 8 visitors take {median(shared):.2f} times a bare batch of the same sentences")


def main() -> None:
    """Measure the directions named."""
    parser: Any = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pairs", nargs="+", default=["en-pt", "pt-en"])
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for pair in options.pairs:
        measure(pair, options)


if __name__ == "__main__":
    main()
