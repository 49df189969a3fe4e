"""How the reader in five languages is made on the multilingual encoder.

    python -m models.recipes.answers --data DATA --base E5 --run RUN [--tokens 16e6] [--translated es=FILE]
    python -m models.recipes.answers --data DATA --base E5 --run RUN --finish 3e6

DATA holds `qa/`, E5 is `e5-small-q4.bin` in the cache, FILE is written by `translated_questions`. The first form trains
at an even rate until it has seen so many tokens, and goes on from its checkpoint when started again; the second takes
its checkpoint, lets the rate fall to nothing and writes RUN/finished/model, which is what ships; the checkpoint stays
as it is.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.backends.e5.conversion import COPY
from engine.backends.pytorch import packed
from engine.backends.pytorch.loading import load_tokenizer
from engine.backends.spans import Window
from engine.evaluation.metrics import answer_f1
from engine.training.data import Feature, question_features
from engine.training.lessons.answer import choose_threshold, decode
from models.recipes.answers_data import SEED, Asked, Elsewhere, Parts, read_rows, share, shortened, stretch
from models.recipes.head_export import export, fit_temperature
from models.recipes.head_training import LEARNING, PAD, in_batches, read_options, run

LAYER_RATE, HEAD_RATE = 1.5e-4, 1e-3
TOKENS = 16e6
WINDOW, STRIDE = 320, 96
CHUNK_ROWS = 2048
BATCH_TOKENS = 3072
SAME_ARTICLE, OTHER_ARTICLE = 0.15, 0.15
"""Questions asked where there is no answer, for each question asked where it is."""
SHARPER = 0.65
"""Of the temperature by which start and end are likeliest: an answer that says most of what is right is right for
people, so that one is too unsure of it. On the articles that choose 1, 0.8, 0.65, 0.55 and 0.45 of it had calibration
errors of 12.5, 9.4, 8.0, 8.0 and 7.5, and below 0.65 saying that there is no answer costs more."""
JUDGED = 34
"""Rows of each set that choose at a checkpoint."""


class Answers:
    """The questions in batches of like lengths, and the figures of rows held out."""

    def __init__(self, rows: Parts, tokenizer: Any, judged: int = JUDGED) -> None:
        self.rows, self.tokenizer = rows, tokenizer
        self.elsewhere = Elsewhere([row for part in rows.learned.values() for row in part])
        self.judged = with_unanswerable(
            [row for name, part in rows.choosing.items() for row in stretch(part, 0, min(judged, len(part)), name)]
        )

    def batches(self, chunk: int) -> Iterator[list[Feature]]:
        """Of one chunk, questions without an answer among them."""
        rng = random.Random(f"{SEED}-{chunk}")
        rows = list(self._mixed(chunk, rng))
        features, _, _ = question_features(rows, self.tokenizer, WINDOW, STRIDE)
        yield from in_batches(features, BATCH_TOKENS, rng)

    def _mixed(self, chunk: int, rng: random.Random) -> Iterator[Asked]:
        for name, part in self.rows.learned.items():
            count = round(CHUNK_ROWS * share(name)) if part else 0
            for row in stretch(part, chunk * count, count, name):
                yield shortened(row, rng)
                if rng.random() < SAME_ARTICLE and (other := self.elsewhere.same_article(row, rng)):
                    yield shortened(other, rng)
                if rng.random() < OTHER_ARTICLE and (other := self.elsewhere.other_article(row, rng)):
                    yield shortened(other, rng)

    def loss(self, module: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """Cross-entropy of start and end."""
        loss: Tensor = module(**batch).loss
        return loss

    def judge(self, module: Any) -> dict[str, float]:
        """F1 by language on questions with an answer; how often the others are told so by the threshold that fits."""
        return figures(self.judged, predict(module, self.tokenizer, self.judged))


def with_unanswerable(rows: Sequence[Asked]) -> list[Asked]:
    """The rows, and each question once more where it has no answer: by turns over the same article and another."""
    rng, elsewhere = random.Random(SEED), Elsewhere(rows)
    asked = list(rows)
    for number, row in enumerate(rows):
        same = elsewhere.same_article(row, rng) if number % 2 else None
        other = same or elsewhere.other_article(row, rng)
        asked += [other] if other else []
    return asked


Logits = list[tuple[np.ndarray, np.ndarray]]


def windows_of(module: Any, tokenizer: Any, rows: Sequence[Asked]) -> tuple[list[Window], list[int], Logits]:
    """All windows of the rows, whose they are, and the logits of start and end for each."""
    features, windows, owners = question_features(rows, tokenizer, WINDOW, STRIDE)
    order = sorted(range(len(features)), key=lambda place: features[place]["length"])
    logits: Logits = [(np.empty(0), np.empty(0))] * len(features)
    for first in range(0, len(order), 16):
        places = order[first : first + 16]
        width = max(features[place]["length"] for place in places)
        ids = torch.full((len(places), width), PAD)
        mask = torch.zeros_like(ids)
        for number, place in enumerate(places):
            ids[number, : features[place]["length"]] = torch.tensor(features[place]["input_ids"])
            mask[number, : features[place]["length"]] = 1
        with torch.inference_mode():
            output = module(input_ids=ids, attention_mask=mask)
        for number, place in enumerate(places):
            length = features[place]["length"]
            logits[place] = (output.start_logits[number, :length].numpy(), output.end_logits[number, :length].numpy())
    return windows, owners, logits


def predict(module: Any, tokenizer: Any, rows: Sequence[Asked]) -> list[tuple[str, float]]:
    """Each row's best span and the probability that there is none."""
    windows, owners, logits = windows_of(module, tokenizer, rows)
    of_row: list[list[int]] = [[] for _ in rows]
    for place, owner in enumerate(owners):
        of_row[owner].append(place)
    return decode(rows, windows, of_row, tuple(zip(*logits, strict=True)))


def figures(rows: Sequence[Asked], predictions: Sequence[tuple[str, float]]) -> dict[str, float]:
    """F1 in percent by language, the threshold that fits, what it costs, and how many unanswerable ones it tells."""
    f1 = np.array([
        answer_f1(text, [known for known, _ in row.answers], row.language)
        for row, (text, _) in zip(rows, predictions, strict=True)
    ])  # fmt: skip
    null = np.array([probability for _, probability in predictions])
    has = np.array([bool(row.answers) for row in rows])
    languages = np.array([row.language for row in rows])
    threshold = choose_threshold(f1, null, has)
    found = {
        f"f1_{one}": 100 * float(f1[has & (languages == one)].mean()) for one in dict.fromkeys(languages[has].tolist())
    }
    abstains = null >= threshold
    return found | {
        "f1": 100 * float(f1[has].mean()),
        "f1_lost": 100 * float((f1 * abstains)[has].mean()),
        "told_so": 100 * float(abstains[~has].mean()) if (~has).any() else 0.0,
        "threshold": threshold,
    }


def main() -> None:
    """Train, or finish what was trained and write what ships."""
    options = read_options(__doc__, TOKENS, translated="LANGUAGE=FILE: rows that a student translated")
    folder = COPY.made(options.base)
    tokenizer = load_tokenizer("the encoder", folder)
    files = (one.split("=", 1) for one in options.translated)
    rows = read_rows(options.data, {language: Path(file) for language, file in files})
    print({name: len(part) for name, part in rows.learned.items()}, flush=True)
    task = Answers(rows, tokenizer)
    module = packed.load(folder, "AutoModelForQuestionAnswering", **LEARNING)
    trainer = run(options, module, task, (LAYER_RATE, HEAD_RATE))
    if options.finish is None:
        return
    with trainer.averaged() as module:
        choosing = with_unanswerable([row for part in rows.choosing.values() for row in part])
        windows, _, logits = windows_of(module, tokenizer, choosing)
        temperature = SHARPER * fit_spans(choosing, tokenizer, logits)
        for value in module.qa_outputs.parameters():
            value.data /= temperature
        found = figures(choosing, predict(module, tokenizer, choosing))
        print(f"temperature {temperature:.3f}, {len(windows)} windows: {found}", flush=True)
        settings = {"null_threshold": found["threshold"], "window_tokens": WINDOW, "window_stride": STRIDE}
        export(module, folder, options.run / "finished" / "model", settings | {"temperature": temperature})


def fit_spans(rows: Sequence[Asked], tokenizer: Any, logits: Logits) -> float:
    """The temperature by which start and end are likeliest on these rows."""
    features, _, _ = question_features(rows, tokenizer, WINDOW, STRIDE)
    sides = [
        (torch.tensor(both[side].copy()), feature[name])
        for feature, both in zip(features, logits, strict=True)
        for side, name in enumerate(("start_positions", "end_positions"))
    ]
    return fit_temperature(sides)


if __name__ == "__main__":
    main()
