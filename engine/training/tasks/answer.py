"""Extractive QA: finding in a passage the words that answer a question, or that there are none."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from engine.applications import answer
from engine.applications.answers import AnswerRequest
from engine.catalogue.models import Model
from engine.messages import Text, counted
from engine.requests import Event
from engine.serving.protocol import Caller, Engine
from engine.training.config import TrainingConfig
from engine.training.data import NUMBER, Row, read_questions
from engine.training.findings import Data, Finding, on_rows
from engine.training.tasks import SAMPLES, Cells, Sample, TrainingTask, lazily


def _finish(row: Cells) -> Cells:
    """The answer gets its place: of those in the passage the one nearest to the one given."""
    start, found = row.pop("answer_start", ""), row["answer"].strip()
    places = [match.start() for match in re.finditer(re.escape(found), row["passage"])] if found else []
    row |= {"answer": found}
    if not places:
        return row
    wanted = int(start) if start.isdecimal() else 0
    return row | {"answer_start": min(places, key=lambda place: abs(place - wanted))}


def _fits(row: Mapping[str, Any]) -> bool:
    """Whether the answer, where there is one, is in its passage word for word."""
    return not row.get("answer") or str(row["answer"]) in str(row.get("passage", ""))


def _check_part(rows: Data, part: Text) -> Iterator[Finding]:
    lost = [index for index, row in enumerate(rows) if not _fits(row)]
    answered = sum(bool(str(row.get("answer", "")).strip()) for row in rows) - len(lost)
    if lost:
        words = counted(
            "{rows} ({part}) has an answer that is not in its passage word for word; it is left out. "
            "Copy the answer from the passage, or leave it empty where there is none.",
            "{rows} ({part}) have an answer that is not in its passage word for word; they are left out. "
            "Copy the answer from the passage, or leave it empty where there is none.",
            len(lost), part=part,
        )  # fmt: skip
        yield on_rows("warning", "answer", rows, lost, words)
    if not answered:
        words = Text("No row {part} has an answer that is in its passage. Check the columns.", part=part)
        yield Finding("error", "answer", words)


def _read(path: Path) -> list[Row]:
    return [
        {
            "question": row.question,
            "passage": row.passage,
            "answer": row.answers[0][0] if row.answers else "",
            NUMBER: str(row.row),
        }
        for row in read_questions(path)
    ]


def _stream(
    engine: Engine, model: Model, config: TrainingConfig, inputs: Mapping[str, Any], caller: Caller
) -> Iterator[Event]:
    return answer.stream(engine, AnswerRequest(str(inputs["question"]), str(inputs["text"]), 1, model.id), caller)


TASK = TrainingTask(
    id="answer",
    title=Text("Finding answers in passages"),
    summary=Text("Questions, passages and the words that answer: the model learns to find them. For the page Answer."),
    order=4,
    roles=("question", "passage", "answer"),
    lesson=lazily("answer", "questions"),
    judge=lazily("answer", "judge"),
    architecture="extraction",
    applications=("answer",),
    bases=("extraction", "embedding", "masked", "classification"),
    first_base="answer-e5",
    is_headed=True,
    metric="f1",
    score="f1",
    defaults={
        "method": "full", "epochs": 3.0, "batch_size": 16, "max_length": 256, "stride": 96, "evaluations_per_epoch": 2,
    },
    learning_rates={"full": 2e-4, "lora": 1e-3, "head": 2e-3},
    settings=frozenset({"stride"}),
    optional_roles=("answer_start",),
    can_be_empty=("answer",),
    cuts_rows=False,
    finish=_finish,
    fits=_fits,
    check_part=_check_part,
    read=_read,
    shown=lambda row: (f"{row['question']}\n\n{row['passage']}", row["answer"]),
    stream=_stream,
    inputs={"question": Text("Question"), "text": Text("Passage")},
    description="finds the answer to a question in a passage",
    pipeline="question-answering",
    auto_class="AutoModelForQuestionAnswering",
    samples=(
        Sample(
            "passages",
            Text("Questions over invented places"),
            Text(
                "396 questions over 66 passages on villages, bridges, fairs and inventors; "
                "one in eight has no answer."
            ),
            SAMPLES / "passages.jsonl",
        ),
    ),
)  # fmt: skip
