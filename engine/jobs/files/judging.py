"""Judging the rows of a file: each by the page's own path, the file with what came of it, and the figures of all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from engine.applications import labels, sentiment
from engine.applications.sentiment import SentimentRequest, SentimentResult
from engine.documents.rewriting import Options, Unit
from engine.errors import InputError, TooLargeError
from engine.files import write_json
from engine.jobs.files.asking import check, work_off
from engine.jobs.files.figures import figures_of
from engine.jobs.files.folder import FIGURES, RESULT, FileFolder
from engine.jobs.files.translating import check_rows
from engine.jobs.folder import Job
from engine.messages import read
from engine.requests import Event
from engine.serving.protocol import Caller, Engine

if TYPE_CHECKING:
    from engine.serving.compose import House


@dataclass(frozen=True)
class SentimentFile:
    """How the rows of a file are judged. Columns by name or number; an empty one is the likeliest, or no dates."""

    model: str | None = None
    column: str = ""
    date: str = ""
    """The column that tells when a row was written, for shares over time."""
    labels: list[str] = field(default_factory=list)
    """Labels of one's own in place of the model's, each "name" or "name: what it means"."""
    has_names: bool | None = None
    """Whether the first row names the columns; null tells by what stands there."""
    with_words: bool = False
    """Whether the words that carried each judgement are told, which takes as long again for each word of a row."""

    @property
    def options(self) -> Options:
        """For who reads and writes the file."""
        return Options("", self.column, self.has_names, self.date)


def check_order(engine: Engine, order: SentimentFile) -> None:
    """Raise what is wrong with the model before anything begins."""
    sentiment.APPLICATION.choose(engine.catalogue, order.model)
    if order.labels:
        labels.checked(order.labels)


def work(job: Job, house: House) -> dict[str, Any]:
    """Judge the file in the job's folder; `result/` holds it with more columns, and the figures."""
    config = job.config
    order = SentimentFile(**config["order"])
    files = FileFolder(job.folder, config["name"], order.options)
    job.update("preparing")
    units = files.read("rows")
    check_rows(house.engine, len(units))
    done = files.begin_again()
    work_off(job, house, units, done, lambda chunk: _judged(house.engine, order, chunk, job.caller))
    check(job, house)
    return _finished(job, files, units)


def _judged(engine: Engine, order: SentimentFile, chunk: Sequence[Unit], caller: Caller) -> Iterator[Event]:
    """Judge rows; the last event's result is their records. Equal ones are judged once."""
    texts = list(dict.fromkeys(unit.text for unit in chunk))
    found: dict[str, dict[str, Any]] = {}
    try:
        request = SentimentRequest(texts, order.model, labels=order.labels, with_words=order.with_words)
        for event in sentiment.stream(engine, request, caller):
            if event.kind != "done":
                yield event
                continue
            result: SentimentResult = event.result
            for text, score in zip(texts, result.results, strict=True):
                warning = score.warning.as_json() if score.warning else None
                found[text] = {"label": score.label, "scores": score.scores, "warning": warning}
                if order.with_words:
                    found[text]["words"] = [[one.word, one.part] for one in score.words]
    except (InputError, TooLargeError) as error:  # of every text
        found = {text: {"label": "", "scores": {}, "warning": error.text.as_json()} for text in texts}
    yield Event("done", result=[found[unit.text] for unit in chunk])


def _finished(job: Job, files: FileFolder, units: Sequence[Unit]) -> dict[str, Any]:
    """Write the file with its new columns, last of all; what is told of it."""
    rows = files.done()
    own = list(next((row["scores"] for row in rows if row["scores"]), {}))
    names = ["label", "confidence", *(f"P({label})" for label in own)]
    has_notes = any(row["warning"] for row in rows)
    has_words = any(row.get("words") for row in rows)
    names += (["words"] if has_words else []) + (["note"] if has_notes else [])
    cells = [_cells(row, own, has_words=has_words, has_notes=has_notes) for row in rows]
    content = files.with_columns(names, cells)
    figures = figures_of([unit.text for unit in units], rows, files.told["numbers"], files.told["dates"])
    name = f"{PurePosixPath(files.name).stem}.judged{files.told['ending']}"
    with job.placed(RESULT) as folder:
        (folder / name).write_bytes(content)
        write_json(folder / FIGURES, figures)
    doubtful = sum(bool(row["warning"]) for row in rows)
    return {"file": name, "rows": len(rows), "doubtful": doubtful, "counts": figures["counts"],
            "notes": files.told.get("notes", [])}  # fmt: skip


def _cells(row: Mapping[str, Any], labels: Sequence[str], *, has_words: bool, has_notes: bool) -> list[str]:
    shares = row["scores"]
    best = max(shares.values(), default=0.0)
    own = [row["label"], f"{best:.4f}", *(f"{shares.get(label, 0.0):.4f}" for label in labels)]
    own += [", ".join(f"{word} {part:+.2f}" for word, part in row.get("words", ()))] if has_words else []
    return [*own, str(read(row["warning"]))] if has_notes else own
