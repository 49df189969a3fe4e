"""What each application brings to training: its model, its features, and how its predictions are judged.

A new application is one function here and its name in `TASKS`; the loop in `train.py` stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForQuestionAnswering, AutoModelForSequenceClassification, EvalPrediction

from engine.backends.spans import Window, best_spans
from engine.evaluation.metrics import answer_f1, exact_match
from engine.training.config import TrainingConfig
from engine.training.data import Feature, Question, question_features, read_questions, read_texts, text_features

MAX_ANSWER_TOKENS = 40
"""Longest answer that is looked for, as in serving."""
MAX_F1_LOSS = 1.0
"""Points of F1 on answerable questions that saying "no answer" may cost where it should not have been said."""


@dataclass(frozen=True)
class Task:
    """`metric` is the one that chooses the best checkpoint; `settings` are what serving reads from config.json."""

    model: Any
    train_set: Sequence[Feature]
    validation_set: list[Feature]
    judge: Callable[[EvalPrediction], dict[str, float]]
    metric: str
    label_names: tuple[str, ...]
    settings: Callable[[Mapping[str, float]], dict[str, Any]]


def classification(config: TrainingConfig, tokenizer: Any) -> Task:
    """A classifier with the config's labels."""
    names = dict(enumerate(config.labels))
    numbers = {label: number for number, label in names.items()}
    model = AutoModelForSequenceClassification.from_pretrained(
        config.base, num_labels=len(names), id2label=names, label2id=numbers, dtype=torch.float32
    )
    train_set, validation_set = (
        text_features(read_texts(Path(file), config.labels), tokenizer, config.max_length, config.labels)
        for file in (config.train_file, config.validation_file)
    )
    present = np.array(sorted({feature["labels"] for feature in validation_set}))

    def judge(prediction: EvalPrediction) -> dict[str, float]:
        return {"accuracy": accuracy_among(np.asarray(prediction.predictions), prediction.label_ids, present)}

    validation_set.sort(key=lambda feature: feature["length"])
    return Task(model, train_set, validation_set, judge, "accuracy", ("labels",), lambda metrics: {})


def accuracy_among(logits: np.ndarray, labels: np.ndarray, present: np.ndarray) -> float:
    """Accuracy in percent when only the label numbers in `present` can be chosen. Logits are (rows, labels)."""
    return 100 * float((present[logits[:, present].argmax(-1)] == labels).mean())


def answer(config: TrainingConfig, tokenizer: Any) -> Task:
    """An extractive reader; the first token stands for "no answer in this window"."""
    model = AutoModelForQuestionAnswering.from_pretrained(config.base, dtype=torch.float32)
    train_rows, rows = (read_questions(Path(file)) for file in (config.train_file, config.validation_file))
    train_set, _, _ = question_features(train_rows, tokenizer, config.max_length, config.stride)
    features, windows, owners = question_features(rows, tokenizer, config.max_length, config.stride)
    order = sorted(range(len(features)), key=lambda i: features[i]["length"])
    of_row: list[list[int]] = [[] for _ in rows]
    for position, index in enumerate(order):
        of_row[owners[index]].append(position)
    windows = [windows[index] for index in order]

    def judge(prediction: EvalPrediction) -> dict[str, float]:
        return judge_answers(decode(rows, windows, of_row, prediction.predictions), rows)

    def settings(metrics: Mapping[str, float]) -> dict[str, Any]:
        threshold = round(metrics["eval_null_threshold"], 4)
        return {"null_threshold": threshold, "window_tokens": config.max_length, "window_stride": config.stride}

    positions = ("start_positions", "end_positions")
    return Task(model, train_set, [features[i] for i in order], judge, "f1", positions, settings)


Prediction = tuple[str, float]
"""The best span's text, and the probability that there is no answer."""


def decode(
    rows: Sequence[Question], windows: Sequence[Window], of_row: Sequence[Sequence[int]], logits: Any
) -> list[Prediction]:
    """Each row's prediction. `logits` are (starts, ends), each (windows, tokens), padded on the right."""
    starts, ends = logits
    predictions = []
    for row, mine in zip(rows, of_row, strict=True):
        spans, null = best_spans(
            [windows[i] for i in mine],
            [starts[i][: len(windows[i].input_ids)] for i in mine],
            [ends[i][: len(windows[i].input_ids)] for i in mine],
            top_k=1,
            max_answer_tokens=MAX_ANSWER_TOKENS,
        )
        predictions.append((row.passage[spans[0].start : spans[0].end] if spans else "", null))
    return predictions


def judge_answers(predictions: Sequence[Prediction], rows: Sequence[Question]) -> dict[str, float]:
    """F1 and EM in percent over the rows with an answer, always answering; then what a null threshold does.

    The threshold is the one that serves all rows best (F1, or 1 for a rightly said "no answer") among those that
    cost at most MAX_F1_LOSS on the rows with an answer. It is 1 where no row lacks an answer.
    """
    known = [[text for text, _ in row.answers] for row in rows]
    f1 = np.array([answer_f1(text, texts) for (text, _), texts in zip(predictions, known, strict=True)])
    exact = np.array([exact_match(text, texts) for (text, _), texts in zip(predictions, known, strict=True)])
    null = np.array([probability for _, probability in predictions])
    has = np.array([bool(texts) for texts in known])
    threshold = choose_threshold(f1, null, has)
    abstains = null >= threshold
    return {
        "f1": 100 * float(f1[has].mean()),
        "exact_match": 100 * float(exact[has].mean()),
        "null_threshold": threshold,
        "f1_with_abstention": 100 * float((f1 * ~abstains)[has].mean()),
        "null_recall": 100 * float(abstains[~has].mean()) if (~has).any() else 0.0,
        "f1_of_all": 100 * float(np.where(abstains, ~has, f1 * has).mean()),
    }


def choose_threshold(f1: np.ndarray, null: np.ndarray, has: np.ndarray) -> float:
    """The null threshold in [0.02, 1] as `judge_answers` says. All arrays are (rows,)."""
    if has.all() or not has.any():
        return 1.0
    candidates = np.linspace(0.02, 1.0, 99)
    totals = np.array([np.where(null >= t, ~has, f1 * has).mean() for t in candidates])
    losses = np.array([100 * (f1 * (null >= t))[has].mean() for t in candidates])
    totals[losses > MAX_F1_LOSS] = -1.0
    return float(candidates[int(np.argmax(totals))])


TASKS: dict[str, Callable[[TrainingConfig, Any], Task]] = {"classification": classification, "answer": answer}
