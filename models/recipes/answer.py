"""How `models/answer-minilm` was made: `python -m models.recipes.answer --data DATA --base MINILM --run RUN`.

DATA is the folder with `qa/squad_train_part` (44 articles of SQuAD 1.1's train set); every eighth article is held out.
Some questions are asked again over another paragraph of their article, so that the model learns to say "not here".
Two runs from the same base, one of them with hidden tokens, are averaged: better than either by two points of F1.
"""

from __future__ import annotations

import gzip
import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.training.config import TrainingConfig
from models.recipes import read_arguments, train_stages

HELD_OUT_EVERY = 8
UNANSWERABLE_SHARE = 0.12
SEED = 13


def with_unanswerable(article: dict[str, Any], share: float, rng: random.Random) -> dict[str, Any]:
    """The article with this share of its questions also asked over one of its other paragraphs without the answer."""
    paragraphs = [dict(paragraph, qas=list(paragraph["qas"])) for paragraph in article["paragraphs"]]
    for paragraph in article["paragraphs"]:
        for item in paragraph["qas"]:
            if rng.random() >= share:
                continue
            other = rng.choice(paragraphs)
            if not any(answer["text"].lower() in other["context"].lower() for answer in item["answers"]):
                other["qas"].append({"id": item["id"] + "-none", "question": item["question"], "answers": []})
    return dict(article, paragraphs=paragraphs)


def write_data(data: Path, folder: Path) -> tuple[Path, Path]:
    """Write the training and the validation file, and return their paths."""
    with gzip.open(data / "qa" / "squad_train_part" / "test-v1.1.json.gz", "rt", encoding="utf-8") as file:
        articles = json.load(file)["data"]
    rng = random.Random(SEED)
    mixed = [with_unanswerable(article, UNANSWERABLE_SHARE, rng) for article in articles]
    parts = {
        "train": [article for number, article in enumerate(mixed) if number % HELD_OUT_EVERY],
        "validation": [article for number, article in enumerate(mixed) if number % HELD_OUT_EVERY == 0],
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, part in parts.items():
        (folder / f"{name}.json").write_text(json.dumps({"data": part}), encoding="utf-8")
    return folder / "train.json", folder / "validation.json"


def main() -> None:
    """Prepare the data, write the config and, unless told only to prepare, train."""
    options = read_arguments(__doc__, "data", "base", "run")
    train_file, validation_file = write_data(options.data, options.run / "data")
    first = TrainingConfig(
        task="answer",
        base=str(options.base),
        train_file=str(train_file),
        validation_file=str(validation_file),
        epochs=2.6,
        batch_size=16,
        max_length=256,
        stride=96,
        learning_rate=2.5e-4,
        warmup_ratio=0.08,
        average_decay=0.995,
        evaluations_per_epoch=2,
        threads=options.threads,
        seed=SEED,
    )
    second = replace(first, epochs=3.5, learning_rate=2e-4, token_dropout=0.1, average_decay=0.997)
    stages = ((options.run / "first", first), (options.run / "second", second))
    train_stages(stages, is_prepared_only=options.prepare)
    if options.prepare:
        return
    metrics = join([folder / "model" for folder, _ in stages], options.run / "model", validation_file, options.threads)
    print(json.dumps(metrics))


def join(models: list[Path], target: Path, validation_file: Path, threads: int) -> dict[str, float]:
    """Average the models into `target`, give it the threshold that fits, and return its metrics."""
    from engine.training.average import average
    from engine.training.measure import measure

    average(models, target)
    metrics = measure(target, validation_file, threads)
    config = json.loads((target / "config.json").read_text(encoding="utf-8"))
    config["null_threshold"] = round(metrics["eval_null_threshold"], 4)
    (target / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    return metrics


if __name__ == "__main__":
    main()
