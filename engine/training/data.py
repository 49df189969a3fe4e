"""Rows from files, and rows as a model sees them. What is particular to a task is in `tasks/`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.backends.spans import Window, label_window, make_windows
from engine.errors import InputError
from engine.messages import Text, counted
from engine.training.formats import read_squad, read_table

Feature = dict[str, Any]
"""One model input: `input_ids`, its labels, its `length` in tokens, its `row` in the file and whether it `is_cut`."""


Features = Sequence[Feature]
"""What a trainer reads features from: a list, or something that makes them when asked."""
Row = dict[str, str]
NUMBER = "#"
"""Key under which a row holds its number in the file."""
IGNORED = -100
"""Label of a token that is not learned."""


@dataclass(frozen=True)
class Question:
    """A row of answer: `answers` are (text, first character); none when the passage holds no answer."""

    question: str
    passage: str
    answers: tuple[tuple[str, int], ...]
    row: int = 0
    """Its number in the file."""


def read_rows(path: Path, keys: Sequence[str], can_be_empty: Sequence[str] = ()) -> list[Row]:
    """Rows with the texts of these keys, stripped; rows with an empty one are left out, but where it can be empty.

    Raises InputError naming the file, and the row and key where there is one.
    """
    rows: list[Row] = []
    table = read_table(path, path.name, is_own=True)
    for number, row in zip(table.numbers, table.rows, strict=True):
        if any(row.get(key) is None for key in keys):
            raise _lacking(path, keys, [name for name, cell in row.items() if cell is not None])
        for key in keys:
            if isinstance(row[key], list):
                raise InputError(
                    "{file}, row {number}: {role} must be a text.", key, file=path.name, number=number, role=key
                )
        texts = {key: str(row[key]).strip() for key in keys}
        if all(texts[key] for key in keys if key not in can_be_empty):
            others = {str(key): str(value) for key, value in row.items() if value is not None}
            rows.append(others | texts | {NUMBER: str(number)})
    if not rows:
        raise InputError("{file} has no rows.", file=path.name)
    return rows


def _lacking(path: Path, keys: Sequence[str], found: Sequence[str]) -> InputError:
    names = Text("{others} and {last}", others=keys[:-1], last=keys[-1]) if len(keys) > 1 else keys[0]
    return InputError(
        counted(
            "{file} needs the column {names}; it has {found}.",
            "{file} needs the columns {names}; it has {found}.",
            len(keys), file=path.name, names=names, found=found,
        )
    )  # fmt: skip


def read_texts(path: Path, labels: Sequence[str] = ()) -> list[Row]:
    """Texts and labels from columns `text` and `label`; without `labels` any label is right.

    Raises InputError naming row and column.
    """
    rows = read_rows(path, ("text", "label"))
    for row in rows:
        if labels and row["label"] not in labels:
            raise InputError(
                "{file}, row {number}: label {label} is none of {labels}.",
                "label", file=path.name, number=row[NUMBER], label=repr(row["label"]), labels=list(labels),
            )  # fmt: skip
    return rows


def read_questions(path: Path) -> list[Question]:
    """Questions from SQuAD JSON (version 1 or 2), or from rows of question, passage and answer.

    Raises InputError when an answer is not at its place.
    """
    if path.suffix != ".json":
        return [_question(row, path) for row in read_rows(path, ("question", "passage", "answer"), ("answer",))]
    rows = [
        Question(question, passage, _answers(answers, passage, path))
        for question, passage, answers in read_squad(path, path.name)
    ]
    if not rows:
        raise InputError("{file} has no questions.", file=path.name)
    return rows


def _question(row: Row, path: Path) -> Question:
    passage, answer, place = row["passage"], row["answer"], row.get("answer_start", "")
    if not answer:
        return Question(row["question"], passage, (), int(row[NUMBER]))
    # The passage was stripped, so a given place may be off by the space before it; the text at it decides.
    start = int(place) if place.isdigit() and passage.startswith(answer, int(place)) else passage.find(answer)
    if start < 0:
        raise InputError(
            "{file}, row {number}: the answer {answer} is not in its passage, word for word.",
            "answer", file=path.name, number=row[NUMBER], answer=repr(answer[:60]),
        )  # fmt: skip
    return Question(row["question"], passage, ((answer, start),), int(row[NUMBER]))


def _answers(found: Sequence[Mapping[str, Any]], passage: str, path: Path) -> tuple[tuple[str, int], ...]:
    answers = tuple((answer["text"], int(answer["answer_start"])) for answer in found)
    for text, start in answers:
        if passage[start : start + len(text)] != text:
            raise InputError(
                "{file}: the answer {answer} is not at character {start} of its passage.",
                file=path.name, answer=repr(text[:60]), start=start,
            )  # fmt: skip
    return answers


def cut_ids(
    tokenizer: Any, texts: Sequence[str], max_length: int, *, is_target: bool = False
) -> tuple[list[list[int]], set[int]]:
    """Token ids of each text (as a target, for translators), cut to `max_length`, and the places of those that were."""
    name = "text_target" if is_target else "text"
    found = list(tokenizer(**{name: list(texts)}, verbose=False)["input_ids"])
    long = [place for place, ids in enumerate(found) if len(ids) > max_length]
    if long:
        some = {name: [texts[place] for place in long]}
        cut = tokenizer(**some, truncation=True, max_length=max_length)["input_ids"]
        for place, ids in zip(long, cut, strict=True):
            found[place] = ids
    return found, set(long)


def feature(ids: Sequence[int], row: int, *, length: int = 0, is_cut: bool = False, **learned: Any) -> Feature:
    """A model input; its length is that of the ids unless told otherwise."""
    return {"input_ids": ids, "length": length or len(ids), "row": row, "is_cut": is_cut, **learned}


def text_features(rows: Sequence[Row], tokenizer: Any, max_length: int, labels: Sequence[str]) -> list[Feature]:
    """Token ids and label numbers; texts longer than `max_length` tokens are cut."""
    encoded, cut = cut_ids(tokenizer, [row["text"] for row in rows], max_length)
    numbers = {label: number for number, label in enumerate(labels)}
    return [
        feature(ids, int(row[NUMBER]), is_cut=number in cut, labels=numbers[row["label"]])
        for number, (ids, row) in enumerate(zip(encoded, rows, strict=True))
    ]


def question_features(
    rows: Sequence[Question], tokenizer: Any, max_length: int, stride: int
) -> tuple[list[Feature], list[Window], list[int]]:
    """Features of all windows of all rows, the windows themselves, and the number of each window's row."""
    features, windows, owners = [], [], []
    for number, row in enumerate(rows):
        for window in make_windows(tokenizer, row.question, row.passage, max_length, stride):
            first, last = _labels(window, row)
            places: Any = {"start_positions": first, "end_positions": last}
            features.append(feature(window.input_ids, row.row, token_type_ids=window.token_type_ids, **places))
            windows.append(window)
            owners.append(number)
    return features, windows, owners


def _labels(window: Window, row: Question) -> tuple[int, int]:
    if not row.answers:
        return 0, 0
    text, start = row.answers[0]
    return label_window(window, start, start + len(text))


class HiddenTokens(Sequence[Feature]):
    """Features whose tokens, but for the special ones, are hidden behind the mask token at random at each reading.

    Items are counted and read as in a list; what is hidden follows from seed, epoch and index, so that a resumed run
    hides the same tokens. Raises InputError where the tokenizer has no mask token.
    """

    def __init__(self, features: Features, tokenizer: Any, share: float, seed: int = 0) -> None:
        if tokenizer.mask_token_id is None:
            raise InputError("This base has no mask token: set token_dropout to 0.", param="token_dropout")
        self._features, self._share, self._mask = features, share, tokenizer.mask_token_id
        self._special, self._seed, self._epoch = set(tokenizer.all_special_ids), seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Other tokens are hidden from now on."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._features)

    def __getitem__(self, index: int) -> Feature:  # type: ignore[override]
        import numpy as np

        feature = self._features[index]
        rng = np.random.default_rng((self._seed, self._epoch, index))
        hidden = (rng.random(len(feature["input_ids"])) < self._share).tolist()
        ids = [
            self._mask if is_hidden and token not in self._special else token
            for token, is_hidden in zip(feature["input_ids"], hidden, strict=True)
        ]
        return feature | {"input_ids": ids}


def collate(features: Sequence[Feature], pad: int = 0) -> dict[str, Any]:
    """A padded batch of tensors from features; padding is masked and, where every token has a label, not learned."""
    import torch

    width = max(len(feature["input_ids"]) for feature in features)

    def padded(name: str, fill: int = 0, to: int = width) -> torch.Tensor:
        return torch.tensor([[*f[name], *[fill] * (to - len(f[name]))] for f in features])

    batch = {"input_ids": padded("input_ids", pad)}
    lengths = torch.tensor([len(feature["input_ids"]) for feature in features])
    batch["attention_mask"] = (torch.arange(width)[None, :] < lengths[:, None]).long()
    if features[0].get("token_type_ids"):
        batch["token_type_ids"] = padded("token_type_ids")
    for name in ("labels", "start_positions", "end_positions"):
        if name in features[0] and isinstance(features[0][name], int):
            batch[name] = torch.tensor([feature[name] for feature in features])
        elif name in features[0]:
            batch[name] = padded(name, IGNORED, max(len(feature[name]) for feature in features))
    return batch


def in_batches(items: Sequence[Sequence[Any]], size: int) -> Iterator[list[int]]:
    """Places of the items, so many at a time, those of similar length together."""
    order = sorted(range(len(items)), key=lambda place: len(items[place]))
    for first in range(0, len(order), size):
        yield order[first : first + size]


def shift_right(labels: Any, start: int, pad: int) -> Any:
    """What the decoder reads while it learns `labels` (rows, tokens): the start token, then all labels but the last."""
    shifted = labels.new_full(labels.shape, start)
    shifted[:, 1:] = labels[:, :-1]
    return shifted.masked_fill(shifted == IGNORED, pad)
