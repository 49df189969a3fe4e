"""BLEU and chrF of a model on FLORES-200 dev, through the engine as the page uses it.

Run `python -m benchmarks.translation_quality FOLDER [--pairs en-fr fr-en] [--lines 60] [--skip 697]
[--model gemma-3-270m]`, where FOLDER holds `flores200.eng_Latn.dev` and the like. Nothing of the set is in the prompts;
our own weights learned of its lines 1 to 500, and 501 to 697 chose: their figures are those of the last 300.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.ours import CALLER
from engine.applications.sentences import Translation
from engine.applications.translate import APPLICATION, TranslateRequest
from engine.serving.compose import open_house
from engine.serving.protocol import Engine
from engine.settings import current

FLORES = {"en": "eng_Latn", "fr": "fra_Latn", "de": "deu_Latn", "es": "spa_Latn", "pt": "por_Latn", "zh": "zho_Hans"}
CHUNK = 16
"""Texts of one request."""
PAIRS = ("en-fr", "fr-en", "en-de", "en-es", "en-zh", "zh-en")


def flores(folder: Path, language: str) -> list[str]:
    """FLORES-200 dev in a language, in the order that all languages share."""
    return (folder / f"flores200.{FLORES[language]}.dev").read_text(encoding="utf-8").rstrip("\n").split("\n")


def translate(engine: Engine, texts: Sequence[str], source: str, target: str, model_id: str) -> list[Translation]:
    """Translations in order; a few texts at a time, so that none waits longer than the engine allows."""
    done: list[Translation] = []
    for start in range(0, len(texts), CHUNK):
        request = TranslateRequest(list(texts[start : start + CHUNK]), source, target, model_id)
        done += APPLICATION.run(engine, request, CALLER).translations
    return done


def main() -> None:
    """Print one line a pair."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pairs", nargs="+", default=PAIRS)
    parser.add_argument("--lines", type=int, default=60)
    parser.add_argument("--skip", type=int, default=0, help="lines before those")
    parser.add_argument("--model", default=APPLICATION.default_model)
    parser.add_argument("--show", type=int, default=0, help="print the first translations")
    options = parser.parse_args()
    house = open_house(current())
    house.store.fetch(options.model)
    house.store.wait(options.model, 3600)
    for pair in options.pairs:
        source, _, target = pair.partition("-")
        texts, references = (
            flores(options.folder, one)[options.skip : options.skip + options.lines] for one in (source, target)
        )
        started = time.perf_counter()
        done = translate(house.engine, texts, source, target, options.model)
        seconds = time.perf_counter() - started
        measured = APPLICATION.measure([one.text for one in done], references, target)
        figures = "  ".join(f"{name} {value:5.1f}" for name, value in measured.items())
        again = sum(sentence.is_second_try for one in done for sentence in one.sentences)
        flagged = sum(bool(one.warning) for one in done)
        print(f"{pair}  {figures}  {again} tried again, {flagged} flagged of {len(texts)}, {seconds:.0f} s", flush=True)
        for one in done[: options.show]:
            print(f"    {one.score or 0:.2f}  {one.text}  {one.warning}")
    house.close()


if __name__ == "__main__":
    main()
