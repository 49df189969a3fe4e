"""Where pages and the HTTP API bring files, and fetch what came of them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from engine.documents.rewriting import objects
from engine.documents.rewriting.delimited import Head
from engine.documents.rewriting.plain import Letters
from engine.documents.rewriting.rows import ENDINGS as ROW_ENDINGS
from engine.documents.rewriting.rows import grid_of
from engine.errors import ConflictError, InputError, NotFoundError, TooLargeError, UnsupportedError
from engine.files import write_json
from engine.jobs import work
from engine.jobs.apart import about, shown
from engine.jobs.files import judging, translating
from engine.jobs.files.folder import DONE, FIGURES, PLAN, RESULT, SOURCE
from engine.jobs.files.judging import SentimentFile
from engine.jobs.files.translating import ENDINGS, TranslateFile
from engine.jobs.folder import json_lines
from engine.jobs.reading import read_object
from engine.jobs.work import JobView
from engine.messages import read
from engine.serving.access import check
from engine.serving.protocol import Caller
from engine.sizes import size_in_words

if TYPE_CHECKING:
    from engine.serving.compose import House

Order = TranslateFile | SentimentFile
MAX_NAME_BYTES = 150
TABLES = (".csv", ".tsv", *objects.ENDINGS)
HEAD_BYTES = 65_536
"""Of a table, by which its columns are told."""


@dataclass(frozen=True)
class FileService:
    """What is done with files of an application."""

    kind: str
    endings: tuple[str, ...]
    order: type[Any]
    check: Any


SERVICES: Mapping[str, FileService] = {
    "translate": FileService("translate-file", ENDINGS, TranslateFile, translating.check_order),
    "sentiment": FileService("sentiment-file", ROW_ENDINGS, SentimentFile, judging.check_order),
}
"""By the application's id."""
KINDS = frozenset(service.kind for service in SERVICES.values())


def begin(house: House, application: str, name: str, content: bytes, order: Order, caller: Caller) -> str:
    """Begin to work on a file; returns the job's id at once.

    Raises ConflictError for who may not, InputError, UnsupportedError or TooLargeError for what is wrong with name,
    size or order, BusyError, LimitError; what is wrong with the content the job tells.
    """
    service = SERVICES[application]
    check(caller, "upload")
    name = _name(name)
    with about(name):
        _check(house, service, name, content)
    service.check(house.engine, order)
    with work.disk_explained():
        folder = work.new_folder(house.settings)
        (folder / SOURCE).write_bytes(content)
        write_json(folder / "config.json", {"name": name, "order": asdict(order)})
    try:
        return work.adopt(house.settings, folder, service.kind, title=name, subject=folder.name, caller=caller,
                          house=house)  # fmt: skip
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # where it was not begun


def _name(name: str) -> str:
    """A file's name without folders and signs, its ending kept."""
    path = PurePosixPath(shown(name) or "file")
    return path.stem.encode()[:MAX_NAME_BYTES].decode(errors="ignore").strip(". ") + path.suffix.lower()[:10]


def _check(house: House, service: FileService, name: str, content: bytes) -> None:
    most = house.engine.settings.file_bytes
    if PurePosixPath(name).suffix not in service.endings:
        raise UnsupportedError("is of no known kind. Bring one of {kinds}.", kinds=list(service.endings))
    if not content:
        raise InputError("is empty.")
    if len(content) > most:
        raise TooLargeError(
            "has {size}; the limit is {limit}. Bring a part of it.",
            size=size_in_words(len(content)), limit=size_in_words(most),
        )  # fmt: skip


def head_of(name: str, content: bytes) -> Head | None:
    """What a table's first rows tell; None of a file that is none. Raises InputError."""
    if PurePosixPath(name).suffix.lower() not in TABLES:
        return None
    with about(name):
        first = content[:HEAD_BYTES]
        whole = first if len(content) <= HEAD_BYTES else first[: first.rfind(b"\n") + 1] or first
        return grid_of(Letters(whole).text, name, is_head=len(content) > HEAD_BYTES).head


def jobs_of(house: House, application: str, caller: Caller) -> list[JobView]:
    """The caller's own, newest first; a host's are all."""
    return work.own(house.settings, {SERVICES[application].kind}, caller)


def all_jobs_of(house: House, caller: Caller) -> list[JobView]:
    """The same of all applications."""
    return work.own(house.settings, KINDS, caller)


def result_path(view: JobView) -> Path:
    """The file that came of a job. Raises ConflictError where it has not come to its end."""
    path = view.folder / RESULT / str(view.result.get("file") or "")
    if view.state != "finished" or not path.is_file():
        raise ConflictError("This has no result yet. Wait until it is finished.", param="job")
    return path


def application_of(view: JobView) -> str:
    """The id of the application whose file it is. Raises NotFoundError for another kind of job."""
    found = next((id for id, service in SERVICES.items() if service.kind == view.kind), "")
    if not found:
        raise NotFoundError("There is no job {name}.", name=repr(view.id), param="job")
    return found


def order_of(view: JobView) -> Order:
    """What was ordered, as it stands in the job's folder."""
    named = read_object(view.folder / "config.json").get("order") or {}
    order: Order = SERVICES[application_of(view)].order(**named)
    return order


def told_result(view: JobView) -> dict[str, Any]:
    """What a job tells of its result, its sentences as texts."""
    return {**view.result, "notes": [read(note) for note in view.result.get("notes") or ()]}


def report(view: JobView) -> dict[str, Any]:
    """What was made of each piece so far, and the figures of all."""
    rows = records(view)
    if application_of(view) == "translate":
        numbers = (read_object(view.folder / PLAN).get("told") or {}).get("numbers", [])
        sentences = [{**one, "warning": read(one["warning"])} for one in translating.sentences_of(rows, numbers)]
        return {"sentences": sentences}
    return {"rows": [{**row, "warning": read(row["warning"])} for row in rows], "figures": figures(view)}


def records(view: JobView) -> list[dict[str, Any]]:
    """What was made of the file's pieces so far."""
    return json_lines(view.folder / DONE)


def figures(view: JobView) -> Mapping[str, Any]:
    """The figures of judged rows, or the sentences to look at first; {} before its end."""
    return read_object(view.folder / RESULT / FIGURES)
