"""How the adapter that tells toxic texts is made: insults, threats and contempt of groups, in five languages.

    python -m models.recipes.toxicity --data DATA --base E5 --run RUN [--threads 2] [--tokens 3e6]
    python -m models.recipes.toxicity --data DATA --base E5 --run RUN --finish 1e6

As `models.recipes.emotions`. DATA holds `toxicity/` and `sentiment/goemotions27`, whose friendly and neutral comments
stand for texts of which none is toxic, oaths among them. These are English and German; sentences of our own in English,
French, German, Spanish and Chinese (`models.recipes.own_toxicity`) bring kinds that they hardly have: threats, insults,
hints, disguised spellings, and harmless texts in the same words. HateCheck is neither learned from nor chosen by.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.backends.e5.conversion import COPY
from engine.backends.pytorch.loading import load_tokenizer
from engine.evaluation.metrics import calibration_error, macro_f1
from engine.training.data import NUMBER, Feature, text_features
from models.recipes import adapters, emotions, own_toxicity
from models.recipes.head_training import read_options
from models.recipes.sentiments_data import Said

TOKENS = 3e6
SEED = 19
LABELS = ("not toxic", "toxic")
SMOOTHING = 0.05
MEASURED_EVERY, CHOOSING_EVERY = 5, 10
"""Rows of each set that are measured on, and of the others that choose."""
HARMLESS_FORUM, HARMLESS_COMMENTS = 3000, 4000
"""Rows that are not toxic, of the forum and of GoEmotions, so that they do not drown the others."""
OWN_LEARNED, OWN_CHOOSING = 4000, 500
"""Own sentences at most: a quarter of what is learned and of what chooses. None is measured on."""
FRIENDLY = {
    "admiration", "amusement", "approval", "caring", "curiosity", "excitement", "gratitude", "joy", "love", "neutral",
    "optimism", "relief",
}  # fmt: skip


@dataclass(frozen=True)
class Parts:
    """Rows to learn from, to choose by, and to measure on."""

    learned: list[Said]
    choosing: list[Said]
    measured: list[Said]


def read_rows(data: Path) -> Parts:
    """From the folder with `toxicity/` and `sentiment/`; of equal texts the first alone."""
    rng, parts, seen = random.Random(SEED), Parts([], [], []), set[str]()
    for rows in (list(_forum(data, rng)), list(_tweets(data)), list(_comments(data)), list(_friendly(data, rng))):
        fresh = _fresh(rows, seen)
        rng.shuffle(fresh)
        for number, row in enumerate(fresh):
            is_measured, is_choosing = number % MEASURED_EVERY == 0, number % CHOOSING_EVERY == 1
            (parts.measured if is_measured else parts.choosing if is_choosing else parts.learned).append(row)
    parts.learned.extend(_fresh(_own(OWN_LEARNED, is_choosing=False), seen))
    parts.choosing.extend(_fresh(_own(OWN_CHOOSING, is_choosing=True), seen))
    return parts


def _fresh(rows: Iterable[Said], seen: set[str]) -> list[Said]:
    """Those whose text was not seen, which now is."""
    return [row for row in rows if not (row.text.lower() in seen or seen.add(row.text.lower()))]  # type: ignore[func-returns-value]


def _own(count: int, is_choosing: bool) -> Iterator[Said]:
    for row in own_toxicity.own_rows(count, is_choosing):
        yield Said(row.text, LABELS[row.template.is_toxic], row.template.language)


def _forum(data: Path, rng: random.Random) -> Iterator[Said]:
    """Sentences of a forum of white supremacists (de Gibert et al. 2018), CC BY-SA 3.0."""
    path = data / "toxicity" / "vicomtech" / "hate_forum.tsv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    yield from (Said(row["text"], LABELS[1], "en") for row in rows if row["label"] == "hate")
    harmless = [row["text"] for row in rows if row["label"] == "noHate"]
    yield from (Said(text, LABELS[0], "en") for text in rng.sample(harmless, min(HARMLESS_FORUM, len(harmless))))


def _tweets(data: Path) -> Iterator[Said]:
    """GermEval 2018 (Wiegand et al.), CC BY 4.0."""
    for part in ("training", "test"):
        path = data / "toxicity" / "germeval2018" / f"germeval2018.{part}.txt"
        for line in path.read_text(encoding="utf-8").split("\n"):
            if line.count("\t") == 2:
                text, kind, _ = line.split("\t")
                yield Said(text.replace("|LBR|", " "), LABELS[kind == "OFFENSE"], "de")


def _comments(data: Path) -> Iterator[Said]:
    """Surge AI's comments (MIT), and a sample of Jigsaw's (CC0)."""
    with (data / "toxicity" / "surge" / "toxicity_en.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield Said(" ".join(row["text"].split()), LABELS[row["is_toxic"] == "Toxic"], "en")
    with (data / "toxicity" / "jigsaw_sample" / "test_examples.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield Said(row["comment_text"], LABELS[row["toxic"] == "1"], "en")


def _friendly(data: Path, rng: random.Random) -> Iterator[Said]:
    """Of GoEmotions (CC BY 4.0) comments in which nothing unfriendly was found."""
    rows = [row.text for row in emotions.read_part(data, "train") if FRIENDLY.issuperset(row.emotions)]
    yield from (Said(text, LABELS[0], "en") for text in rng.sample(rows, min(HARMLESS_COMMENTS, len(rows))))


def features_of(rows: Sequence[Said], tokenizer: Any) -> list[Feature]:
    """Token ids and label numbers."""
    texts = [{"text": row.text, "label": row.label, NUMBER: "0"} for row in rows]
    return text_features(texts, tokenizer, adapters.MAX_LENGTH, LABELS)


def loss_of(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy, a little of it to both labels."""
    return F.cross_entropy(logits, labels, label_smoothing=SMOOTHING)


def figures(logits: Tensor, labels: Tensor) -> dict[str, float]:
    """Macro F1 and the calibration error, in percent."""
    shares = logits.softmax(-1)
    found = [LABELS[place] for place in shares.argmax(-1).tolist()]
    right = [LABELS[place] for place in labels.tolist()]
    error = calibration_error(shares.max(-1).values.tolist(), [a == b for a, b in zip(found, right, strict=True)])
    return {"macro_f1": 100 * macro_f1(found, right), "calibration_error": 100 * error}


def main() -> None:
    """Train, or finish what was trained and write what ships."""
    options = read_options(__doc__, TOKENS)
    folder, rows = COPY.made(options.base), read_rows(options.data)
    print({name: len(part) for name, part in vars(rows).items()}, flush=True)
    tokenizer = load_tokenizer("the encoder", folder)
    parts = [features_of(part, tokenizer) for part in (rows.learned, rows.choosing)]
    for part, name in zip(parts, ("learned", "choosing"), strict=True):
        adapters.add_states(folder, part, options.run / f"states-{name}.safetensors")
    trainer = adapters.train(
        options, adapters.upper(folder, LABELS), adapters.Judging(parts[0], parts[1], loss_of, figures)
    )  # fmt: skip
    if options.finish is None:
        return
    with trainer.averaged() as averaged:
        logits, labels = adapters.logits_of(averaged, parts[1]), adapters.labels_of(parts[1])
        temperature = adapters.fit_temperature(torch.nn.functional.cross_entropy, logits, labels)
        adapters.scale(averaged, temperature)
        print(f"temperature {temperature:.3f}: {figures(logits / temperature, labels)}", flush=True)
        names = dict(enumerate(LABELS))
        settings = {"id2label": names, "label2id": {name: place for place, name in names.items()}}
        adapters.export(
            averaged, folder, options.run / "finished" / "model", settings | {"temperature": temperature}
        )  # fmt: skip


if __name__ == "__main__":
    main()
