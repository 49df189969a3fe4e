"""Questions whose answers are words of a passage, or that the passage does not answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import EvalPrediction

from engine.applications.answer import APPLICATION
from engine.backends.pytorch.loading import positions
from engine.backends.spans import Window, best_spans
from engine.errors import InputError
from engine.evaluation.metrics import answer_f1, exact_match
from engine.training import bases
from engine.training.config import TrainingConfig
from engine.training.data import Question, Row, collate, question_features, read_questions
from engine.training.lessons import Lesson, Shown
from engine.training.verdicts import BATCH, Judged, Report, Verdict

MAX_ANSWER_TOKENS = 40
"""Longest answer that is looked for, as in serving."""
SAMPLED_ROWS = 3
"""Validation rows whose answers are shown as it learns."""
MAX_F1_LOSS = 1.0
"""Points of F1 on answerable questions that saying "no answer" may cost where it should not have been said."""


def questions(config: TrainingConfig, folder: Path) -> Lesson:
    """An extractive reader; the first token stands for "no answer in this window"."""
    train_rows, rows = (read_questions(Path(file)) for file in (config.train_file, config.validation_file))
    if not any(row.answers for row in rows):
        raise InputError(
            "No validation row holds an answer, so nothing can be judged. Add some that do.", "validation_file"
        )
    model, tokenizer, new = bases.start(config, folder, "AutoModelForQuestionAnswering")
    length = positions(model.config, tokenizer, config.max_length)
    stride = min(config.stride, length // 2)
    train_set, _, _ = question_features(train_rows, tokenizer, length, stride)
    features, windows, owners = question_features(rows, tokenizer, length, stride)
    order = sorted(range(len(features)), key=lambda i: features[i]["length"])
    of_row: list[list[int]] = [[] for _ in rows]
    for position, index in enumerate(order):
        of_row[owners[index]].append(position)
    windows = [windows[index] for index in order]

    def judge(prediction: EvalPrediction) -> dict[str, float]:
        return judge_answers(decode(rows, windows, of_row, prediction.predictions), rows)

    def settings(metrics: Mapping[str, float]) -> dict[str, Any]:
        threshold = round(metrics["eval_null_threshold"], 4)
        return {"null_threshold": threshold, "window_tokens": length, "window_stride": stride}

    def sample(module: Any) -> list[Shown]:
        shown = rows[:SAMPLED_ROWS]
        return [(row.question, _answer(module, tokenizer, row, length, stride)[0]) for row in shown]

    return Lesson(
        model,
        tokenizer,
        train_set,
        [features[i] for i in order],
        ("start_positions", "end_positions"),
        judge=judge,
        sample=sample,
        settings=settings,
        new_modules=new,
    )


Prediction = tuple[str, float]
"""The best span's text, and the probability that there is no answer."""


@torch.no_grad()
def _answer(model: Any, tokenizer: Any, row: Question, length: int, stride: int) -> Prediction:
    """What the model takes for the answer to one question."""
    features, windows, _ = question_features([row], tokenizer, length, stride)
    starts, ends = [], []
    for first in range(0, len(features), BATCH):
        batch = collate(features[first : first + BATCH])
        inputs = {key: value.to(model.device) for key, value in batch.items() if not key.endswith("_positions")}
        output = model(**inputs)
        starts += list(output.start_logits.float().cpu().numpy())
        ends += list(output.end_logits.float().cpu().numpy())
    return decode([row], windows, [range(len(windows))], (starts, ends))[0]


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


def judge(config: TrainingConfig, folder: Path, rows: Sequence[Row], report: Report) -> Verdict:
    """The words that each model takes for the answer, none where it says that there is none; F1 with the right ones."""
    model, tokenizer, new = bases.start(config, folder, "AutoModelForQuestionAnswering")
    model.eval()
    length = positions(model.config, tokenizer, config.max_length)
    stride, threshold = min(config.stride, length // 2), float(getattr(model.config, "null_threshold", 1.0))
    texts, judged = [], []
    for row in rows:
        asked = Question(row["question"], row["passage"], ())
        text, null = _answer(model, tokenizer, asked, length, stride)
        text = "" if null >= threshold else text
        judged.append(Judged(text, 100 * answer_f1(text, [row["answer"]])))
        texts.append(text)
        report(len(judged))
    figures = APPLICATION.measure(texts, [[row["answer"]] for row in rows])
    return Verdict(tuple(judged), {name: 100 * share for name, share in figures.items()}, bool(new))
