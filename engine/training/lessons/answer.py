"""Questions whose answers are words of a passage, or that the passage does not answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import EvalPrediction

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
LEAST_THRESHOLD, MOST_THRESHOLD = 0.02, 0.99
"""Of "no answer": a model that is never sure enough to say it would answer whatever it is asked."""
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
        return {"null_threshold": metrics["eval_null_threshold"], "window_tokens": length, "window_stride": stride}

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
            row.passage,
            [windows[i] for i in mine],
            [starts[i][: len(windows[i].input_ids)] for i in mine],
            [ends[i][: len(windows[i].input_ids)] for i in mine],
            top_k=1,
            max_answer_tokens=MAX_ANSWER_TOKENS,
        )
        predictions.append((spans[0].text if spans else "", null))
    return predictions


def judge_answers(
    predictions: Sequence[Prediction], rows: Sequence[Question], threshold: float | None = None
) -> dict[str, float]:
    """F1 and EM in percent over the rows with an answer, always answering; then what a null threshold does.

    None takes the threshold that serves all rows best (F1, or 1 for a rightly said "no answer") among those that
    cost at most MAX_F1_LOSS on the rows with an answer, and MOST_THRESHOLD where no row lacks an answer.
    """
    known = [[text for text, _ in row.answers] for row in rows]
    f1 = np.array([answer_f1(text, texts) for (text, _), texts in zip(predictions, known, strict=True)])
    exact = np.array([exact_match(text, texts) for (text, _), texts in zip(predictions, known, strict=True)])
    null = np.array([probability for _, probability in predictions])
    has = np.array([bool(texts) for texts in known])
    threshold = choose_threshold(f1, null, has) if threshold is None else threshold
    abstains = null >= threshold
    return {
        "f1": _percent(f1[has]),
        "exact_match": _percent(exact[has]),
        "null_threshold": threshold,
        "f1_with_abstention": _percent((f1 * ~abstains)[has]),
        "null_recall": _percent(abstains[~has]),
        "f1_of_all": _percent(np.where(abstains, ~has, f1 * has)),
    }


def _percent(shares: np.ndarray) -> float:
    return 100 * float(shares.mean()) if shares.size else 0.0


def choose_threshold(f1: np.ndarray, null: np.ndarray, has: np.ndarray) -> float:
    """The null threshold as `judge_answers` says. All arrays are (rows,).

    Tried is the middle of each gap between the rows' own probabilities, as few as they may be; of equally good ones
    the widest gap is the safest.
    """
    edges = np.unique([LEAST_THRESHOLD, *null.clip(LEAST_THRESHOLD, MOST_THRESHOLD), MOST_THRESHOLD])
    tried = [(round(float(low + high) / 2, 4), float(high - low)) for low, high in pairwise(edges)]
    allowed = [(t, gap) for t, gap in tried if _percent((f1 * (null >= t))[has]) <= MAX_F1_LOSS]
    if has.all() or not has.any() or not allowed:
        return MOST_THRESHOLD
    return max(allowed, key=lambda one: (np.where(null >= one[0], ~has, f1 * has).mean(), one[1]))[0]


def judge(config: TrainingConfig, folder: Path, rows: Sequence[Row], report: Report) -> Verdict:
    """The words that each model takes for the answer, none where it says that there is none; F1 with the right ones.

    The figures of all rows are those that training measures, with the threshold that the model keeps.
    """
    model, tokenizer, new = bases.start(config, folder, "AutoModelForQuestionAnswering")
    model.eval()
    length = positions(model.config, tokenizer, config.max_length)
    stride, threshold = min(config.stride, length // 2), float(getattr(model.config, "null_threshold", MOST_THRESHOLD))
    asked = read_questions(Path(config.validation_file))[: len(rows)]
    predictions, judged = [], []
    for row in asked:
        text, null = _answer(model, tokenizer, row, length, stride)
        predictions.append((text, null))
        text = "" if null >= threshold else text
        judged.append(Judged(text, 100 * answer_f1(text, [known for known, _ in row.answers] or [""])))
        report(len(judged))
    return Verdict(tuple(judged), judge_answers(predictions, asked, threshold), bool(new))
