"""Rows from files, and rows as a model sees them."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.backends.spans import Window, label_window, make_windows
from engine.errors import InputError

Feature = dict[str, Any]
"""One model input: `input_ids`, its labels, and its `length` in tokens."""


@dataclass(frozen=True)
class LabelledText:
    """A row of sentiment: the text and its label's name."""

    text: str
    label: str


@dataclass(frozen=True)
class Question:
    """A row of answer: `answers` are (text, first character); none when the passage holds no answer."""

    question: str
    passage: str
    answers: tuple[tuple[str, int], ...]


def read_table(path: Path) -> Iterator[dict[str, str]]:
    """Rows of a TSV or CSV file with a header, or of a JSONL file. Raises InputError with the row's number."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            if path.suffix == ".jsonl":
                yield from (_json_row(line, number, path) for number, line in enumerate(file, 1) if line.strip())
            elif path.suffix == ".tsv":
                yield from csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            else:
                yield from csv.DictReader(file)
    except UnicodeDecodeError as error:
        raise InputError(f"{path.name} is not UTF-8 text (byte {error.start}). Save it as UTF-8.") from None
    except (OSError, csv.Error) as error:
        raise InputError(f"{path.name} cannot be read: {error}.") from None


def _json_row(line: str, number: int, path: Path) -> dict[str, str]:
    try:
        row = json.loads(line)
    except ValueError:
        raise InputError(f"{path.name}, row {number}: this is not JSON.") from None
    if not isinstance(row, dict):
        raise InputError(f'{path.name}, row {number}: each line must be an object such as {{"text": …}}.')
    return row


def read_texts(path: Path, labels: Sequence[str]) -> list[LabelledText]:
    """Labelled texts from columns `text` and `label`. Raises InputError naming row and column."""
    rows = []
    for number, row in enumerate(read_table(path), 2):
        text, label = row.get("text"), row.get("label")
        if text is None or label is None:
            raise InputError(f"{path.name} needs the columns text and label; it has {', '.join(map(str, row))}.")
        if label not in labels:
            raise InputError(
                f"{path.name}, row {number}: label {label!r} is none of {', '.join(labels)}.", param="label"
            )
        if text.strip():
            rows.append(LabelledText(text.strip(), label))
    if not rows:
        raise InputError(f"{path.name} has no rows.")
    return rows


def read_questions(path: Path) -> list[Question]:
    """Questions from SQuAD JSON (version 1 or 2). Raises InputError when an answer is not at its place."""
    try:
        articles = json.loads(path.read_text(encoding="utf-8"))["data"]
        rows = [
            Question(item["question"], paragraph["context"], _answers(item, paragraph["context"], path))
            for article in articles
            for paragraph in article["paragraphs"]
            for item in paragraph["qas"]
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path.name} is not SQuAD JSON ({type(error).__name__}: {error}).") from None
    if not rows:
        raise InputError(f"{path.name} has no questions.")
    return rows


def _answers(item: dict[str, Any], passage: str, path: Path) -> tuple[tuple[str, int], ...]:
    answers = tuple((answer["text"], int(answer["answer_start"])) for answer in item["answers"])
    for text, start in answers:
        if passage[start : start + len(text)] != text:
            raise InputError(f"{path.name}: the answer {text[:60]!r} is not at character {start} of its passage.")
    return answers


def text_features(
    rows: Sequence[LabelledText], tokenizer: Any, max_length: int, labels: Sequence[str]
) -> list[Feature]:
    """Token ids and label numbers; texts longer than `max_length` tokens are cut."""
    encoded = tokenizer([row.text for row in rows], truncation=True, max_length=max_length)
    numbers = {label: number for number, label in enumerate(labels)}
    return [
        {"input_ids": ids, "labels": numbers[row.label], "length": len(ids)}
        for ids, row in zip(encoded["input_ids"], rows, strict=True)
    ]


def question_features(
    rows: Sequence[Question], tokenizer: Any, max_length: int, stride: int
) -> tuple[list[Feature], list[Window], list[int]]:
    """Features of all windows of all rows, the windows themselves, and the number of each window's row."""
    features, windows, owners = [], [], []
    for number, row in enumerate(rows):
        for window in make_windows(tokenizer, row.question, row.passage, max_length, stride):
            first, last = _labels(window, row)
            features.append(
                {
                    "input_ids": window.input_ids,
                    "token_type_ids": window.token_type_ids,
                    "start_positions": first,
                    "end_positions": last,
                    "length": len(window.input_ids),
                }
            )
            windows.append(window)
            owners.append(number)
    return features, windows, owners


def _labels(window: Window, row: Question) -> tuple[int, int]:
    if not row.answers:
        return 0, 0
    text, start = row.answers[0]
    return label_window(window, start, start + len(text))


class HiddenTokens:
    """Features whose tokens, but for the special ones, are hidden behind the mask token by chance at each reading.

    Items are counted and read as in a list; the chance is torch's, so that a resumed run hides the same tokens.
    """

    def __init__(self, features: Sequence[Feature], tokenizer: Any, share: float) -> None:
        self._features, self._share, self._mask = features, share, tokenizer.mask_token_id
        self._special = set(tokenizer.all_special_ids)

    def __len__(self) -> int:
        return len(self._features)

    def __getitem__(self, index: int) -> Feature:
        import torch

        feature = self._features[index]
        hidden = (torch.rand(len(feature["input_ids"])) < self._share).tolist()
        ids = [
            self._mask if is_hidden and token not in self._special else token
            for token, is_hidden in zip(feature["input_ids"], hidden, strict=True)
        ]
        return feature | {"input_ids": ids}


def collate(features: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A padded batch of tensors from features; padding is masked."""
    import torch

    width = max(len(feature["input_ids"]) for feature in features)

    def padded(name: str) -> torch.Tensor:
        return torch.tensor([[*f[name], *[0] * (width - len(f[name]))] for f in features])

    batch = {"input_ids": padded("input_ids")}
    lengths = torch.tensor([len(feature["input_ids"]) for feature in features])
    batch["attention_mask"] = (torch.arange(width)[None, :] < lengths[:, None]).long()
    if features[0].get("token_type_ids"):
        batch["token_type_ids"] = padded("token_type_ids")
    for name in ("labels", "start_positions", "end_positions"):
        if name in features[0]:
            batch[name] = torch.tensor([feature[name] for feature in features])
    return batch
