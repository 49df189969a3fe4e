"""Judging the rows of a file: each by the page's own path, the file with what came of it, and the figures of all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from engine.applications import emotions, labels, sentiment
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
    emotions: bool = False
    """Whether the emotions of each row are named too, where their model is here."""

    @property
    def options(self) -> Options:
        """For who reads and writes the file."""
        return Options("", self.column, self.has_names, self.date)


def check_order(engine: Engine, order: SentimentFile) -> None:
    """Raise what is wrong with the model before anything begins."""
    sentiment.APPLICATION.choose(engine.catalogue, order.model)
    if order.labels:
        labels.checked(order.labels)
    if order.emotions:
        emotions.check(engine)


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
        request = SentimentRequest(
            texts, order.model, labels=order.labels, emotions=order.emotions, with_words=order.with_words
        )  # fmt: skip
        for event in sentiment.stream(engine, request, caller):
            if event.kind != "done":
                yield event
                continue
            result: SentimentResult = event.result
            for text, score in zip(texts, result.results, strict=True):
                warning = score.warning.as_json() if score.warning else None
                label, scores = (score.label, score.scores) if score.is_judged else ("", {})
                found[text] = {"label": label, "scores": scores, "warning": warning, "model": score.model}
                if order.emotions:
                    found[text]["emotions"] = score.emotions
                if order.with_words:
                    found[text]["words"] = [[one.word, one.part] for one in score.words]
    except (InputError, TooLargeError) as error:  # of every text
        found = {text: {"label": "", "scores": {}, "warning": error.text.as_json()} for text in texts}
    yield Event("done", result=[found[unit.text] for unit in chunk])


def _finished(job: Job, files: FileFolder, units: Sequence[Unit]) -> dict[str, Any]:
    """Write the file with its new columns, last of all; what is told of it."""
    rows = files.done()
    names, cells = new_columns(rows)
    content = files.with_columns(names, cells)
    figures = figures_of([unit.text for unit in units], rows, files.told["numbers"], files.told["dates"])
    name = f"{PurePosixPath(files.name).stem}.judged{files.told['ending']}"
    with job.placed(RESULT) as folder:
        (folder / name).write_bytes(content)
        write_json(folder / FIGURES, figures)
    doubtful = sum(bool(row["warning"]) for row in rows)
    judges = Counter(row["model"] for row in rows if row.get("model"))
    return {"file": name, "rows": len(rows), "doubtful": doubtful, "counts": figures["counts"],
            "models": [model for model, _ in judges.most_common()], "notes": files.told.get("notes", [])}  # fmt: skip


def new_columns(rows: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """What a file gets beside its own columns: their names, and each row's cells. What no row has gets none."""
    labels = list(next((row["scores"] for row in rows if row["scores"]), {}))
    columns: dict[str, list[str]] = {
        "label": [row["label"] for row in rows],
        "confidence": [f"{max(row['scores'].values(), default=0.0):.4f}" for row in rows],
    }
    columns |= {f"P({label})": [f"{row['scores'].get(label, 0.0):.4f}" for row in rows] for label in labels}
    if any("emotions" in row for row in rows):
        columns["emotions"] = [
            ", ".join(f"{name} {share:.2f}" for name, share in row.get("emotions", {}).items()) for row in rows
        ]
    if any(row.get("words") for row in rows):
        columns["words"] = [", ".join(f"{word} {part:+.2f}" for word, part in row.get("words", ())) for row in rows]
    if any(row["warning"] for row in rows):
        columns["note"] = [str(read(row["warning"])) for row in rows]
    return list(columns), [list(cells) for cells in zip(*columns.values(), strict=True)]
