"""How the adapter that names emotions is made: GoEmotions' 27 and neutral, several of them true of a text.

    python -m models.recipes.emotions --data DATA --base E5 --run RUN [--threads 2] [--tokens 4e6]
    python -m models.recipes.emotions --data DATA --base E5 --run RUN --finish 1e6

As `models.recipes.sentiments`. DATA holds `sentiment/goemotions27` (Demszky et al. 2020, CC BY 4.0): its train part is
learned from, its dev part chooses checkpoint, temperature and thresholds, its test part is measured on.
"""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.backends.e5.conversion import COPY
from engine.backends.pytorch.loading import load_tokenizer
from engine.evaluation.metrics import calibration_error
from engine.training.data import Feature, cut_ids, feature
from models.recipes import adapters
from models.recipes.head_training import read_options

TOKENS = 4e6
FEW = 20
"""Rows of a label among those that choose, under which it has the threshold of all."""
GRID = torch.linspace(0.05, 0.7, 66)
FOLDER = "goemotions27"


@dataclass(frozen=True)
class Felt:
    """A comment and the emotions in it, by their names."""

    text: str
    emotions: tuple[str, ...]


def labels(data: Path) -> tuple[str, ...]:
    """The names, in the order of their numbers."""
    return tuple((data / "sentiment" / FOLDER / "labels.txt").read_text(encoding="utf-8").split())


def read_part(data: Path, part: str) -> list[Felt]:
    """Of train, dev or test. Names and religions that were masked are put back as any."""
    path, names = data / "sentiment" / FOLDER / f"{part}.tsv", labels(data)
    content = path.read_bytes() if path.is_file() else gzip.decompress(path.with_name(f"{path.name}.gz").read_bytes())
    rows = []
    for line in content.decode("utf-8").split("\n"):
        if line.count("\t") == 2:
            text, numbers, _ = line.split("\t")
            read = text.replace("[NAME]", "Sam").replace("[RELIGION]", "faith")
            rows.append(Felt(read, tuple(names[int(number)] for number in numbers.split(","))))
    return rows


def features_of(rows: Sequence[Felt], names: Sequence[str], tokenizer: Any) -> list[Feature]:
    """Token ids, and a one for each emotion that is true."""
    encoded, _ = cut_ids(tokenizer, [row.text for row in rows], adapters.MAX_LENGTH)
    return [
        feature(ids, number, labels=[float(name in row.emotions) for name in names])
        for number, (ids, row) in enumerate(zip(encoded, rows, strict=True))
    ]


def loss_of(logits: Tensor, wanted: Tensor) -> Tensor:
    """Each emotion by itself; the sum of a row's."""
    return F.binary_cross_entropy_with_logits(logits, wanted, reduction="sum") / len(logits)


def f1_of(chosen: Tensor, wanted: Tensor) -> Tensor:
    """F1 of each label (labels,), of what is chosen and wanted: (rows, labels) of zeros and ones."""
    both = (chosen * wanted).sum(0)
    return 2 * both / (chosen.sum(0) + wanted.sum(0)).clamp(min=1)


def fit_thresholds(shares: Tensor, wanted: Tensor) -> Tensor:
    """For each label the probability from which on it is said, by F1 on these rows; of rare labels that of all."""
    scores = torch.stack([f1_of((shares >= one).float(), wanted) for one in GRID])  # (thresholds, labels)
    common = GRID[scores.mean(1).argmax()]
    own = GRID[scores.argmax(0)]
    return torch.where(wanted.sum(0) >= FEW, own, common)


def chosen_by(shares: Tensor, thresholds: Tensor) -> Tensor:
    """What is said: all over their threshold, the likeliest where none is."""
    over = (shares >= thresholds).float()
    best = F.one_hot((shares / thresholds).argmax(1), shares.shape[1]).float()
    return torch.where(over.sum(1, keepdim=True) > 0, over, best)


def figures(logits: Tensor, wanted: Tensor, thresholds: Tensor | None = None) -> dict[str, float]:
    """Macro F1 and the calibration error of all probabilities, in percent; thresholds that fit where none are given."""
    shares = logits.sigmoid()
    fitted = fit_thresholds(shares, wanted) if thresholds is None else thresholds
    surer = torch.maximum(shares, 1 - shares).flatten().tolist()
    right = ((shares >= 0.5) == (wanted > 0.5)).flatten().tolist()
    return {
        "macro_f1": 100 * float(f1_of(chosen_by(shares, fitted), wanted).mean()),
        "calibration_error": 100 * calibration_error(surer, right),
    }


def main() -> None:
    """Train, or finish what was trained and write what ships."""
    options = read_options(__doc__, TOKENS)
    folder, names = COPY.made(options.base), labels(options.data)
    tokenizer = load_tokenizer("the encoder", folder)
    parts = [features_of(read_part(options.data, part), names, tokenizer) for part in ("train", "dev")]
    for part, name in zip(parts, ("learned", "choosing"), strict=True):
        adapters.add_states(folder, part, options.run / f"states-{name}.safetensors")
    module = adapters.upper(folder, names, problem_type="multi_label_classification")
    trainer = adapters.train(options, module, adapters.Judging(parts[0], parts[1], loss_of, figures))
    if options.finish is None:
        return
    with trainer.averaged() as averaged:
        logits, wanted = adapters.logits_of(averaged, parts[1]), adapters.labels_of(parts[1])
        temperature = adapters.fit_temperature(loss_of, logits, wanted)
        adapters.scale(averaged, temperature)
        thresholds = fit_thresholds((logits / temperature).sigmoid(), wanted)
        print(f"temperature {temperature:.3f}: {figures(logits / temperature, wanted)}", flush=True)
        named = dict(enumerate(names))
        settings = {"id2label": named, "label2id": {name: place for place, name in named.items()},
                    "problem_type": "multi_label_classification", "temperature": temperature,
                    "thresholds": [round(float(one), 3) for one in thresholds]}  # fmt: skip
        adapters.export(averaged, folder, options.run / "finished" / "model", settings)


if __name__ == "__main__":
    main()
