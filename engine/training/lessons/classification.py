"""Texts and their labels: one label a text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoConfig, EvalPrediction

from engine.backends.pytorch.loading import LOCAL, positions
from engine.errors import InputError
from engine.files import read_json
from engine.training import bases
from engine.training.config import TrainingConfig
from engine.training.data import Row, read_texts, text_features
from engine.training.lessons import Lesson, Shown
from engine.training.verdicts import BATCH, Judged, Report, Verdict


def labels(config: TrainingConfig, folder: Path) -> Lesson:
    """A classifier with the config's labels, or else those of the training file."""
    rows = read_texts(Path(config.train_file), config.labels)
    names = in_base_order(config, config.labels or tuple(sorted({row["label"] for row in rows})))
    if len(names) < 2:
        raise InputError(
            "All rows of {file} have the label {label}; there is nothing to tell apart. Add rows with another label.",
            "train_file", file=Path(config.train_file).name, label=repr(names[0]),
        )  # fmt: skip
    held_out = read_texts(Path(config.validation_file), names)
    model, tokenizer, new = start(config, folder, names)
    length = positions(model.config, tokenizer, config.max_length)
    train_set, validation_set = (text_features(texts, tokenizer, length, names) for texts in (rows, held_out))
    validation_set.sort(key=lambda feature: feature["length"])
    present = np.array(sorted({feature["labels"] for feature in validation_set}))

    def judge(prediction: EvalPrediction) -> dict[str, float]:
        return {"accuracy": accuracy_among(np.asarray(prediction.predictions), prediction.label_ids, present)}

    def sample(module: Any) -> list[Shown]:
        texts = config.sample_prompts
        found = _probabilities(module, tokenizer, texts, length) if texts else []
        return [(text, _in_words(one)) for text, one in zip(texts, found, strict=True)]

    absent = tuple(label for number, label in enumerate(names) if number not in present)
    return Lesson(
        model, tokenizer, train_set, validation_set, judge=judge, sample=sample, new_modules=new, absent_labels=absent
    )


def in_base_order(config: TrainingConfig, labels: Sequence[str]) -> tuple[str, ...]:
    """The labels in the order in which the base's head has them, so that it goes on meaning the same; others after."""
    known = read_json(Path(config.base) / "config.json").get("id2label")
    places = {str(name).casefold(): int(place) for place, name in known.items()} if isinstance(known, dict) else {}
    return tuple(sorted(labels, key=lambda label: places.get(label.casefold(), len(places))))


def start(config: TrainingConfig, folder: Path, labels: Sequence[str]) -> tuple[Any, Any, tuple[str, ...]]:
    """As `bases.start`: a classifier whose outputs are these labels, in this order."""
    names = dict(enumerate(labels))
    model, tokenizer, new = bases.start(
        config,
        folder,
        "AutoModelForSequenceClassification",
        num_labels=len(names),
        id2label=names,
        label2id={label: number for number, label in names.items()},
    )
    if model.config.pad_token_id is None:
        model.config.pad_token_id = tokenizer.pad_token_id
    return model, tokenizer, new


@torch.no_grad()
def _probabilities(model: Any, tokenizer: Any, texts: Sequence[str], length: int) -> list[dict[str, float]]:
    """Of each label, for each text."""
    batch = tokenizer(list(texts), truncation=True, max_length=length, padding=True, return_tensors="pt")
    names = _labels(model.config)
    shares = model(**batch.to(model.device)).logits.float().softmax(-1).tolist()
    return [dict(zip(names, row, strict=True)) for row in shares]


def _in_words(probabilities: Mapping[str, float]) -> str:
    label = _likeliest(probabilities)
    return f"{label} ({100 * probabilities[label]:.0f} %)"


def _likeliest(probabilities: Mapping[str, float]) -> str:
    return max(probabilities, key=lambda label: probabilities[label])


def accuracy_among(logits: np.ndarray, labels: np.ndarray, present: np.ndarray) -> float:
    """Accuracy in percent when only the label numbers in `present` can be chosen. Logits are (rows, labels)."""
    return 100 * float((present[logits[:, present].argmax(-1)] == labels).mean())


def judge(config: TrainingConfig, folder: Path, rows: Sequence[Row], report: Report) -> Verdict:
    """The likeliest label of each row with its probability; the score is the right label's.

    The accuracy is the one that training measures, among the labels that any row held out has.
    """
    names = _labels(AutoConfig.from_pretrained(folder / "model", **LOCAL))
    model, tokenizer, new = start(config, folder, names)
    model.eval()
    length = positions(model.config, tokenizer, config.max_length)
    present = {row["label"] for row in read_texts(Path(config.validation_file), names)}
    judged: list[Judged] = []
    right = 0
    for first in range(0, len(rows), BATCH):
        batch = rows[first : first + BATCH]
        found = _probabilities(model, tokenizer, [row["text"] for row in batch], length)
        chosen = (_likeliest({name: one[name] for name in names if name in present}) for one in found)
        right += sum(name == row["label"] for name, row in zip(chosen, batch, strict=True))
        judged += [Judged(_in_words(one), one[row["label"]]) for row, one in zip(batch, found, strict=True)]
        report(len(judged))
    return Verdict(tuple(judged), {"accuracy": 100 * right / max(1, len(rows))}, bool(new))


def _labels(config: Any) -> list[str]:
    """A model's labels in the order of its outputs."""
    return [str(config.id2label[number]) for number in sorted(config.id2label)]
