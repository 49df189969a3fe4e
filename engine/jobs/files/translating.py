"""Translating a file: its pieces by the page's own path, and the same file with what came of them."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from engine.applications import translate
from engine.applications.faults import LATE
from engine.applications.glossary import for_legs, read_terms
from engine.applications.routes import PIVOT
from engine.applications.sentences import Sentence, Translation
from engine.applications.translate import TranslateRequest, TranslateResult, joined_legs
from engine.applications.words import words_of
from engine.documents.rewriting import Made, Options, Unit
from engine.documents.rewriting.placing import Pair, is_mixed, placed
from engine.errors import InputError, NotFoundError, NotReadyError, TooLargeError, UnsupportedError, not_among
from engine.files import write_json
from engine.jobs.files.asking import check, work_off
from engine.jobs.files.folder import FIGURES, RESULT, FileFolder
from engine.jobs.folder import Job
from engine.requests import Event
from engine.serving.protocol import Caller, Engine

if TYPE_CHECKING:
    from engine.serving.compose import House

ENDINGS = (".txt", ".md", ".csv", ".tsv", ".srt", ".vtt", ".ass", ".ssa", ".docx", ".pdf")
"""Of the files that can be translated."""
OUTPUTS = ("docx", "txt")
"""What can be written of a PDF."""
SHOWN_SENTENCES = 300
"""That a page shows, those to look at before others."""
SAMPLE_CHARACTERS = 4_000
"""Of a file, by which its language is told."""


@dataclass(frozen=True)
class TranslateFile:
    """How a file is translated. Languages are ISO 639-1 codes, or "auto" for the source: one for the whole file."""

    source: str = "auto"
    target: str = "fr"
    model: str | None = None
    column: str = ""
    """Of a table, by its name or number; empty is the likeliest."""
    has_names: bool | None = None
    """Whether a table's first row names its columns; null tells by what stands there."""
    output: str = ""
    """docx or txt, of a PDF."""
    glossary: list[str] = field(default_factory=list)
    """Terms with translations of their own, which are obeyed: "invoice = facture"."""

    @property
    def options(self) -> Options:
        """For who reads and writes the file."""
        return Options(self.target, self.column, self.has_names, output=self.output)


def check_order(engine: Engine, order: TranslateFile) -> None:
    """Raise what is wrong with languages and model before anything begins."""
    if order.output and order.output not in OUTPUTS:
        raise not_among("output", order.output, OUTPUTS)
    read_terms(order.glossary)
    translate.check_direction(engine.catalogue, TranslateRequest("", order.source, order.target, order.model))


def work(job: Job, house: House) -> dict[str, Any]:
    """Translate the file in the job's folder; `result/` holds the new one."""
    config = job.config
    order = TranslateFile(**config["order"])
    files = FileFolder(job.folder, config["name"], order.options)
    job.update("preparing")
    units = files.read()
    check_rows(house.engine, len(units))
    plan = _plan(job, house, files, order, units)
    done = files.begin_again()
    work_off(job, house, units, done, lambda chunk: _translated(house.engine, plan, order, chunk, job.caller))
    check(job, house)
    return _finished(job, files, order, plan)


def check_rows(engine: Engine, count: int) -> None:
    """Raise TooLargeError for a file of so many pieces."""
    if count > engine.settings.file_rows:
        raise TooLargeError(
            "The file has {count:,} rows or paragraphs; the limit is {limit:,}. Bring a part of it.", "file",
            count=count, limit=engine.settings.file_rows,
        )  # fmt: skip


def _plan(job: Job, house: House, files: FileFolder, order: TranslateFile, units: Sequence[Unit]) -> Mapping[str, Any]:
    """The language of the file and the models on the way, the same when the work goes on; can their words be placed?"""
    if "legs" not in files.plan:
        request = TranslateRequest(_sample(units), order.source, order.target, order.model)
        source, legs = translate.way(house.engine.catalogue, request)
        models = [leg.id for leg in legs]
        files.tell(source=source, legs=models, can_place=all(_can_place(house, one, job.caller) for one in models))
    return files.plan


def _sample(units: Sequence[Unit]) -> str:
    text = ""
    for unit in units:
        text += f"{unit.text}\n"
        if len(text) > SAMPLE_CHARACTERS:
            break
    return text[:SAMPLE_CHARACTERS]


def _can_place(house: House, model_id: str, caller: Caller) -> bool:
    """Whether the model's runtime or the multilingual encoder tells which word comes from which."""
    try:
        words_of(house.engine, model_id, [Sentence("a b", "a b", None)], caller)
    except (NotFoundError, NotReadyError, UnsupportedError):
        return False
    return True


def _translated(
    engine: Engine, plan: Mapping[str, Any], order: TranslateFile, chunk: Sequence[Unit], caller: Caller
) -> Iterator[Event]:
    """Translate pieces, by each model on the way in turn; the last event's result is their records."""
    is_placed = plan["can_place"]
    units = [unit if is_placed or not unit.raw else Unit(unit.raw) for unit in chunk]
    stops = [plan["source"], *([PIVOT] if len(plan["legs"]) > 1 else []), order.target]
    all_done: list[Translation] = []
    terms = for_legs(order.glossary, len(plan["legs"]))
    for leg, model_id in enumerate(plan["legs"]):
        texts = [unit.text for unit in units]
        request = TranslateRequest(texts, stops[leg], stops[leg + 1], model_id, terms[leg])
        done = yield from _leg(engine, request, caller)
        units = yield from _placed(engine, model_id, units, done, caller, has_words=is_placed)
        all_done = [joined_legs(a, b) for a, b in zip(all_done, done, strict=True)] if leg else done
    records = [
        _record(Made(unit.text, unit.spans, unit.marks, not is_placed and bool(given.raw)), one)
        for unit, given, one in zip(units, chunk, all_done, strict=True)
    ]
    yield Event("done", result=records)


def _leg(engine: Engine, request: TranslateRequest, caller: Caller) -> Generator[Event, None, list[Translation]]:
    """Translations of texts; those that cannot be translated stay as they were, with the reason."""
    result: TranslateResult | None = None
    try:
        for event in translate.stream(engine, request, caller):
            if event.kind == "done":
                result = event.result
            else:
                yield event
    except (InputError, TooLargeError) as error:  # of every text
        return [Translation(str(text), None, request.source, [], error.text) for text in request.text]
    assert result is not None
    if any(sentence.warning == LATE for one in result.translations for sentence in one.sentences):
        raise NotReadyError(LATE, retry_seconds=1)  # these are asked for again, fewer at a time
    return result.translations


def _placed(
    engine: Engine,
    model_id: str,
    units: Sequence[Unit],
    done: Sequence[Translation],
    caller: Caller,
    *,
    has_words: bool,
) -> Generator[Event, None, list[Unit]]:
    """The translations with the formatting of their sources. Words are asked for where a sentence has several."""
    wanted: list[Sentence] = []
    pairs = [_pairs(unit, one) for unit, one in zip(units, done, strict=True)]
    for unit, one, own in zip(units, done, pairs, strict=True):
        if (unit.spans or unit.marks) and has_words:
            wanted += [one.sentences[place] for place, pair in own.items() if is_mixed(unit, pair[0])]
    known: dict[int, list[Pair]] = {}
    if wanted:
        yield Event("queued")
        for sentence, found in zip(wanted, words_of(engine, model_id, wanted, caller), strict=True):
            known[id(sentence)] = [(link.target, link.source) for link in found]
    made = []
    for unit, one, own in zip(units, done, pairs, strict=True):
        words = [known.get(id(one.sentences[place]), []) for place in own] if has_words else None
        new = placed(unit, one.text, list(own.values()), words)
        made.append(Unit(new.text, new.spans, new.marks))
    return made


def _pairs(unit: Unit, translation: Translation) -> dict[int, Pair]:
    """For each sentence, where it stands in the source and in the translation; those that stand in both."""
    if not (unit.spans or unit.marks):
        return {}
    found, end = {}, 0
    for place, (sentence, target) in enumerate(zip(translation.sentences, translation.places(), strict=True)):
        start = unit.text.find(sentence.source, end)
        if start >= 0 and target:
            end = start + len(sentence.source)
            found[place] = ((start, end), target)
    return found


def _record(made: Made, translation: Translation) -> dict[str, Any]:
    sentences = [
        [one.source, one.text, one.score, one.warning.as_json() if one.warning else None]
        for one in translation.sentences
    ]
    warning = translation.warning.as_json() if translation.warning else None
    return {"text": made.text, "spans": made.spans, "marks": made.marks, "is_raw": made.is_raw,
            "warning": warning, "sentences": sentences}  # fmt: skip


def _finished(job: Job, files: FileFolder, order: TranslateFile, plan: Mapping[str, Any]) -> dict[str, Any]:
    """Write the new file, last of all; what is told of it."""
    rows = files.done()
    made = [Made(row["text"], tuple(map(tuple, row["spans"])), tuple(row["marks"]), row["is_raw"]) for row in rows]
    content = files.written(made)
    name = f"{PurePosixPath(files.name).stem}.{order.target}{files.told['ending']}"
    sentences = list(sentences_of(rows, files.told.get("numbers", [])))
    doubtful = [one for one in sentences if one["warning"]]
    with job.placed(RESULT) as folder:
        (folder / name).write_bytes(content)
        write_json(folder / FIGURES, {"sentences": (doubtful or sentences)[:SHOWN_SENTENCES]})
    return {
        "file": name, "rows": len(rows), "doubtful": sum(bool(row["warning"]) for row in rows),
        "source": plan["source"], "target": order.target, "models": plan["legs"], "notes": files.told.get("notes", []),
    }  # fmt: skip


def sentences_of(rows: Sequence[Mapping[str, Any]], numbers: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Each sentence of what was made, by the piece's number: of a table its row's, as the file has them."""
    for number, row in zip(numbers or range(1, len(rows) + 1), rows, strict=False):
        if not row["sentences"] and row["warning"]:
            yield {"row": number, "source": row["text"], "text": "", "score": None, "warning": row["warning"]}
        for source, text, score, warning in row["sentences"]:
            yield {"row": number, "source": source, "text": text, "score": score, "warning": warning}
