"""How the classifier of sentiment in five languages is made on the multilingual encoder.

    python -m models.recipes.sentiments --data DATA --base E5 --run RUN [--threads 2] [--tokens 8e6]
    python -m models.recipes.sentiments --data DATA --base E5 --run RUN --finish 1.5e6 [--translated fr=FILE es=FILE]

As `models.recipes.answers`: the first form trains and goes on, the second writes RUN/finished/model. DATA holds
`sentiment/`, `translation/` and `text/`; FILE is of `models.recipes.translated_sentences`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.backends.e5.conversion import COPY
from engine.backends.pytorch import packed
from engine.backends.pytorch.loading import load_tokenizer
from engine.evaluation.metrics import calibration_error, macro_f1
from engine.training.data import NUMBER, Feature, collate, text_features
from models.recipes.answers_data import stretch
from models.recipes.head_export import export, fit_temperature
from models.recipes.head_training import LEARNING, PAD, in_batches, read_options, run
from models.recipes.sentiment_corpora import LABELS
from models.recipes.sentiments_data import SEED, Parts, Said, read_rows, share

LAYER_RATE, HEAD_RATE = 1e-4, 1e-3
TOKENS = 8e6
MAX_LENGTH = 128
CHUNK_ROWS = 4096
BATCH_TOKENS = 2048
SMOOTHING = 0.05
JUDGED = 120
"""Rows of a language that choose at a checkpoint."""


class Sentiments:
    """The sentences in batches of like lengths, and the figures of rows held out."""

    def __init__(self, rows: Parts, tokenizer: Any, judged: int = JUDGED) -> None:
        self.rows, self.tokenizer = rows, tokenizer
        parts = by_language(rows.choosing).values()
        self.judged = [row for part in parts for row in stretch(part, 0, min(judged, len(part)), "judged")]

    def batches(self, chunk: int) -> Iterator[list[Feature]]:
        """Of one chunk."""
        rng, said = random.Random(f"{SEED}-{chunk}"), list[Said]()
        for name, part in self.rows.learned.items():
            count = round(CHUNK_ROWS * share(name))
            said += stretch(part, chunk * count, count, name)
        yield from in_batches(features_of(said, self.tokenizer), BATCH_TOKENS, rng)

    def loss(self, module: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """Cross-entropy, a little of it to all labels."""
        inputs = {name: value for name, value in batch.items() if name != "labels"}
        return F.cross_entropy(module(**inputs).logits, batch["labels"], label_smoothing=SMOOTHING)

    def judge(self, module: Any) -> dict[str, float]:
        """Macro F1 by language."""
        return figures(self.judged, logits_of(module, self.tokenizer, self.judged))


def by_language(rows: Sequence[Said]) -> dict[str, list[Said]]:
    """The rows of each language."""
    found: dict[str, list[Said]] = {}
    for row in rows:
        found.setdefault(row.language, []).append(row)
    return found


def features_of(rows: Sequence[Said], tokenizer: Any) -> list[Feature]:
    """Token ids and label numbers."""
    texts = [{"text": row.text, "label": row.label, NUMBER: "0"} for row in rows]
    return text_features(texts, tokenizer, MAX_LENGTH, LABELS)


def logits_of(module: Any, tokenizer: Any, rows: Sequence[Said]) -> Tensor:
    """Logits (rows, labels)."""
    features = features_of(rows, tokenizer)
    order = sorted(range(len(features)), key=lambda place: features[place]["length"])
    logits = torch.empty(len(rows), len(LABELS))
    for first in range(0, len(order), 32):
        places = order[first : first + 32]
        batch = collate([features[place] for place in places], PAD)
        batch.pop("labels")
        with torch.inference_mode():
            logits[places] = module(**batch).logits
    return logits


def figures(rows: Sequence[Said], logits: Tensor) -> dict[str, float]:
    """Macro F1 in percent by language and of all, and the calibration error."""
    shares = logits.softmax(-1)
    found = [LABELS[place] for place in shares.argmax(-1).tolist()]
    right = [row.label for row in rows]
    told = {}
    for language in by_language(rows):
        places = [place for place, row in enumerate(rows) if row.language == language]
        told[f"f1_{language}"] = 100 * macro_f1([found[place] for place in places], [right[place] for place in places])
    error = calibration_error(shares.max(-1).values.tolist(), [a == b for a, b in zip(found, right, strict=True)])
    return told | {"f1": sum(told.values()) / len(told), "calibration_error": 100 * error}


def main() -> None:
    """Train, or finish what was trained and write what ships."""
    options = read_options(__doc__, TOKENS, translated="LANGUAGE=FILE: rows that a student translated")
    folder = COPY.made(options.base)
    tokenizer = load_tokenizer("the encoder", folder)
    files = (one.split("=", 1) for one in options.translated)
    rows = read_rows(options.data, {language: Path(file) for language, file in files})
    print({name: len(part) for name, part in rows.learned.items()}, flush=True)
    task = Sentiments(rows, tokenizer)
    names = dict(enumerate(LABELS))
    module = packed.load(folder, "AutoModelForSequenceClassification", id2label=names, **LEARNING)
    trainer = run(options, module, task, (LAYER_RATE, HEAD_RATE))
    if options.finish is None:
        return
    with trainer.averaged() as averaged:
        logits = logits_of(averaged, tokenizer, rows.choosing)
        right = [LABELS.index(row.label) for row in rows.choosing]
        temperature = fit_temperature(list(zip(logits, right, strict=True)))
        for value in averaged.classifier.parameters():
            value.data /= temperature
        print(f"temperature {temperature:.3f}: {figures(rows.choosing, logits / temperature)}", flush=True)
        settings = {"id2label": names, "label2id": {name: place for place, name in names.items()}}
        export(averaged, folder, options.run / "finished" / "model", settings | {"temperature": temperature})


if __name__ == "__main__":
    main()
