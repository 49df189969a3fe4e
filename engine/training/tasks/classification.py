"""Labels of one's own: texts, and one label each."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from engine.applications import sentiment
from engine.catalogue.models import Model
from engine.errors import InputError
from engine.messages import Text, counted
from engine.requests import Event
from engine.serving.protocol import Caller, Engine
from engine.training.config import TrainingConfig
from engine.training.findings import Data, Finding, numbers_of, on_rows, quoted
from engine.training.tasks import SAMPLES, Cells, Sample, TrainingTask, lazily

MAX_LABEL_CHARACTERS = 100
MAX_LABELS = 200
FEW_ROWS_OF_A_LABEL = 3


def _finish(row: Cells) -> Cells:
    return row | {"label": row["label"].strip()}


def _check_table(rows: Sequence[Mapping[str, Any]]) -> None:
    labels = {row["label"] for row in rows}
    if long := next((label for label in labels if len(label) > MAX_LABEL_CHARACTERS), None):
        raise InputError(
            "label holds {value}…, over {limit} characters. Choose the column of the labels.",
            "label", value=repr(long[:40]), limit=MAX_LABEL_CHARACTERS,
        )  # fmt: skip
    if len(labels) > MAX_LABELS:
        raise InputError(
            "label has {number:,} different values; the limit is {limit}. Choose the column of the labels.",
            "label", number=len(labels), limit=MAX_LABELS,
        )  # fmt: skip


def _check_part(rows: Data, part: Text) -> Iterator[Finding]:
    """The same text under several labels teaches neither."""
    labels: dict[str, set[str]] = defaultdict(set)
    texts = [" ".join(str(row.get("text", "")).casefold().split()) for row in rows]
    for text, row in zip(texts, rows, strict=True):
        if text and row.get("label"):
            labels[text].add(str(row["label"]))
    if torn := [index for index, text in enumerate(texts) if len(labels.get(text, ())) > 1]:
        words = counted(
            "{rows} ({part}) has a text that stands under several labels ({labels}). Decide for one.",
            "{rows} ({part}) have texts that stand under several labels ({labels}). Decide for one each.",
            len(torn), part=part, labels=quoted(sorted(set.union(*(labels[texts[i]] for i in torn)))),
        )  # fmt: skip
        yield on_rows("warning", "label", rows, torn, words)


def _check_both(train: Data, validation: Data, config: TrainingConfig | None) -> Iterator[Finding]:
    learned, held = (Counter(str(row.get("label", "")) for row in rows) for rows in (train, validation))
    learned.pop("", None)
    held.pop("", None)
    if len(learned) == 1:
        words = Text("All rows have the label {labels}. Two or more are needed.", labels=quoted(learned))
        yield Finding("error", "label", words)
    expected = config.labels if config else ()
    if expected and (unknown := sorted(set(learned + held) - set(expected))):
        indices = [i for i, row in enumerate(train) if row.get("label") in unknown]
        words = Text(
            "The rows have labels that labels does not name: {labels}. Add them there.", labels=quoted(unknown)
        )
        yield Finding("error", "labels", words, numbers_of(train, indices))
    if missing := sorted(set(held) - set(learned)):
        indices = [i for i, row in enumerate(validation) if row.get("label") in missing]
        words = counted(
            "{rows} (held out) has labels that no row to learn from has: {labels}. Bring rows for them.",
            "{rows} (held out) have labels that no row to learn from has: {labels}. Bring rows for them.",
            len(indices), labels=quoted(missing),
        )  # fmt: skip
        yield on_rows("error", "label", validation, indices, words)
    if unseen := sorted(set(learned) - set(held)):
        words = Text("No row held out has {labels}, so nothing tells how well it is learned.", labels=quoted(unseen))
        yield Finding("warning", "label", words)
    yield from _check_shares(train, learned)


def _check_shares(train: Data, learned: Counter[str]) -> Iterator[Finding]:
    if rare := sorted(label for label, count in learned.items() if count < FEW_ROWS_OF_A_LABEL):
        indices = [i for i, row in enumerate(train) if row.get("label") in rare]
        words = Text(
            "Fewer than {few} rows to learn from have {labels}. Bring more, or drop the label.",
            few=FEW_ROWS_OF_A_LABEL, labels=quoted(rare),
        )  # fmt: skip
        yield Finding("warning", "label", words, numbers_of(train, indices))
    most, least = max(learned.values(), default=1), min(learned.values(), default=1)
    if most > 10 * least:
        often = max(learned, key=lambda label: learned[label])
        words = Text(
            "{label} has {times:.0f} times the rows of the rarest label; the rare ones suffer.",
            label=quoted([often]), times=most / least,
        )  # fmt: skip
        yield Finding("note", "label", words)


def _stream(
    engine: Engine, model: Model, config: TrainingConfig, inputs: Mapping[str, Any], caller: Caller
) -> Iterator[Event]:
    return sentiment.stream(engine, sentiment.SentimentRequest(str(inputs["text"]), model.id), caller)


TASK = TrainingTask(
    id="classification",
    title=Text("Labels of your own"),
    summary=Text("Texts and their labels: the model learns to tell them apart. For the page Sentiment."),
    order=3,
    roles=("text", "label"),
    lesson=lazily("classification", "labels"),
    judge=lazily("classification", "judge"),
    architecture="classification",
    applications=("sentiment",),
    bases=("embedding", "classification", "masked", "extraction"),
    first_base="minilm-l6",
    is_headed=True,
    metric="accuracy",
    score="probability",
    defaults={"method": "full", "epochs": 4.0, "batch_size": 16, "max_length": 128},
    learning_rates={"full": 1e-4, "lora": 1e-3, "head": 2e-3},
    settings=frozenset({"labels", "label_smoothing"}),
    split_by="label",
    finish=_finish,
    check_table=_check_table,
    check_part=_check_part,
    check_both=_check_both,
    stream=_stream,
    description="gives a text one of its labels",
    pipeline="text-classification",
    auto_class="AutoModelForSequenceClassification",
    samples=(
        Sample(
            "tickets",
            Text("Support tickets"),
            Text("280 messages to a shop with four labels: billing, delivery, technical, account."),
            SAMPLES / "tickets.jsonl",
        ),
    ),
)
