"""A file that was worked on twice, by other models or with other settings: both results beside each other."""

from __future__ import annotations

import filecmp
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from engine.applications import APPLICATIONS
from engine.applications.routes import translates
from engine.catalogue.models import Model
from engine.errors import ConflictError
from engine.jobs.files import desk
from engine.jobs.files.folder import SOURCE, UNITS, FileFolder
from engine.jobs.work import JobView
from engine.serving.protocol import Caller

if TYPE_CHECKING:
    from engine.serving.compose import House


@dataclass(frozen=True)
class Difference:
    """A row or paragraph, from 1, of which both say something else; scores are how sure each is, where that is told."""

    row: int
    source: str
    one: str
    other: str
    one_score: float | None
    other_score: float | None


@dataclass(frozen=True)
class Comparison:
    """Of all rows or paragraphs so many are the same; the others in their order."""

    rows: int
    same: int
    differences: list[Difference]


def others(house: House, view: JobView) -> list[Model]:
    """Models on this machine that could do the same with the file; labels of one's own have one model."""
    order, result = desk.order_of(view), view.result
    if getattr(order, "labels", ()):
        return []
    found = APPLICATIONS[desk.application_of(view)].models(house.catalogue)
    if "target" in result:
        found = [one for one in found if translates(one, result["source"], result["target"])]
    own = result.get("models") or []
    return house.catalogue.ready(one for one in found if [one.id] != own)


def begin_again(house: House, view: JobView, model_id: str, caller: Caller) -> str:
    """Begin to do the same with the file by another model; returns the job's id. Raises as `desk.begin`."""
    order: desk.Order = replace(desk.order_of(view), model=model_id)
    content = (view.folder / SOURCE).read_bytes()
    return desk.begin(house, desk.application_of(view), view.title, content, order, caller)


def twins(house: House, view: JobView, caller: Caller) -> list[JobView]:
    """The caller's other results of the same file, newest first."""
    jobs = desk.jobs_of(house, desk.application_of(view), caller)
    return [one for one in jobs if one.id != view.id and one.title == view.title and are_alike(view, one)]


def are_alike(one: JobView, other: JobView) -> bool:
    """Whether both are whole, of the same rows or paragraphs, and of translations into the same language."""
    if any(view.state != "finished" or not (view.folder / UNITS).is_file() for view in (one, other)):
        return False
    is_same_kind = one.kind == other.kind and one.result.get("target") == other.result.get("target")
    return is_same_kind and filecmp.cmp(one.folder / UNITS, other.folder / UNITS, shallow=False)


def compare(one: JobView, other: JobView) -> Comparison:
    """Where they differ, and how often not. Raises ConflictError for results of different files."""
    if not are_alike(one, other):
        raise ConflictError("These are not two results of the same file, so they cannot be compared.", param="job")
    files = FileFolder(one.folder, one.title, desk.order_of(one).options)
    numbers, units = files.told.get("numbers"), files.read()
    found = []
    for place, (unit, first, second) in enumerate(zip(units, desk.records(one), desk.records(other), strict=True)):
        said = _said(first), _said(second)
        if said[0] != said[1]:
            row = (numbers[place] if numbers else place) + 1
            found.append(Difference(row, unit.text, *said, _score(first), _score(second)))
    return Comparison(len(units), len(units) - len(found), found)


def _said(record: Mapping[str, Any]) -> str:
    return str(record["label"] if "label" in record else record["text"])


def _score(record: Mapping[str, Any]) -> float | None:
    """Of a judgement its probability, of a translation that of its least sure sentence."""
    if "label" in record:
        return max(record["scores"].values(), default=None)
    return min((score for _, _, score, _ in record["sentences"] if score is not None), default=None)
