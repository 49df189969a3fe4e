"""Whether embeddings find what belongs together: questions their passages, sentences their translations.

Run `python -m benchmarks.retrieval --data FOLDER [--model multilingual-e5-small]`, where FOLDER holds `qa/` and
`translation/`: 200 questions over 200 passages of SQuAD, PIAF and CMRC each, and FLORES-200 dev, lines 698 to 997.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.ours import CALLER, open_engine
from benchmarks.translation_quality import FLORES, flores
from engine.documents.passages import Passage
from engine.documents.search import Index
from engine.requests import Embed
from engine.serving.protocol import Engine

SETS = {
    "SQuAD (en)": "squad_train_part/test-v1.1.json.gz",
    "PIAF (fr)": "piaf_fr/piaf-v1.0.json.gz",
    "CMRC (zh)": "cmrc2018/cmrc2018_dev.fixed.json.gz",
}
ROWS, SEED, CHUNK = 200, 19, 200
HELD_OUT = slice(697, 997)
PLACES = (1, 3)
Vectors = NDArray[np.float32]


def pairs(file: Path, count: int = ROWS) -> list[tuple[str, str]]:
    """Passages, all of different texts, with one question on each."""
    with gzip.open(file, "rt", encoding="utf-8") as opened:
        paragraphs = [paragraph for article in json.load(opened)["data"] for paragraph in article["paragraphs"]]
    asked = {paragraph["context"]: paragraph["qas"] for paragraph in paragraphs if paragraph["qas"]}
    rng = random.Random(SEED)
    passages = rng.sample(sorted(asked), min(count, len(asked)))
    return [(rng.choice(asked[passage])["question"], passage) for passage in passages]


def vectors(engine: Engine, model: str, texts: Sequence[str], kind: Any) -> Vectors:
    """One a text (texts, width), asked for as clients do."""
    found: list[Any] = []
    for start in range(0, len(texts), CHUNK):
        found += engine.run(model, [Embed(text, kind) for text in texts[start : start + CHUNK]], CALLER)
    return np.array([one.vector for one in found], dtype=np.float32)


def shares(asked: Vectors, offered: Vectors) -> dict[int, float]:
    """For so many first places how often the one of the same number is among them."""
    scores = asked @ offered.T
    ranks = (scores > np.diag(scores)[:, None]).sum(1)
    return {places: float((ranks < places).mean()) for places in PLACES}


def searched(
    questions: Sequence[str], passages: Sequence[str], asked: Vectors, offered: Vectors
) -> dict[str, dict[int, float]]:
    """The same by words alone, and by both joined, as documents are searched."""
    index = Index([Passage(str(n), "", 0, 0, len(text), text) for n, text in enumerate(passages)])
    ways = {"by words": (None, None), "by both": (asked, offered.astype(np.float16))}
    shown: dict[str, dict[int, float]] = {}
    for kind, (vectors, rows) in ways.items():
        found = []
        for number, one in enumerate(questions):
            vector = None if vectors is None else vectors[number].tolist()
            found.append([hit.passage.document for hit in index.search(one, max(PLACES), vector, rows)])
        shown[kind] = {most: float(np.mean([str(n) in ids[:most] for n, ids in enumerate(found)])) for most in PLACES}
    return shown


def show(name: str, found: dict[int, float]) -> None:
    """Print a line."""
    print(f"{name}: " + ", ".join(f"in the first {places} {share:.1%}" for places, share in found.items()), flush=True)


def main() -> None:
    """Print one line a set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="multilingual-e5-small")
    parser.add_argument("--passages-only", action="store_true", help="leave out the translations")
    options = parser.parse_args()
    engine = open_engine()
    for name, file in SETS.items():
        questions, passages = zip(*pairs(options.data / "qa" / file), strict=True)
        asked, offered = (
            vectors(engine, options.model, texts, kind) for texts, kind in ((questions, "query"), (passages, "passage"))
        )
        show(f"{name}, {len(questions)} questions over {len(passages)} passages, by meaning", shares(asked, offered))
        for kind, found in searched(questions, passages, asked, offered).items():
            show(f"{name}, {kind}", found)
    if options.passages_only:
        return engine.close()
    lines = {
        code: vectors(engine, options.model, flores(options.data / "translation", code)[HELD_OUT], "query")
        for code in ("en", "fr", "de", "es", "zh")
        if code in FLORES
    }
    for code in ("fr", "de", "es", "zh"):
        show(f"FLORES en to {code}, {len(lines[code])} lines", shares(lines["en"], lines[code]))
        show(f"FLORES {code} to en, {len(lines[code])} lines", shares(lines[code], lines["en"]))
    engine.close()


if __name__ == "__main__":
    main()
