"""Long work by the API: begin a run or what is done with its model, look after it, stop it, take what came of it."""
# Without `from __future__ import annotations`: the endpoints' types are known only when they are made.

from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import FileResponse, Response

from engine.errors import ConflictError, NotFoundError
from engine.files import read_json
from engine.http.bodies import BodyRoute
from engine.http.callers import caller_of
from engine.http.errors import Json
from engine.http.first_fault import FirstFault
from engine.http.language import said
from engine.http.streams import in_thread
from engine.jobs import askers, work
from engine.jobs.files import desk
from engine.jobs.work import JobView
from engine.serving import access
from engine.serving.compose import House
from engine.serving.protocol import Caller
from engine.training import beginning, compare, runs
from engine.training.export import Kind as Form

RunJob = Literal["compare", "export", "use"]
"""What is done with a run's model."""
RUNS = ("training", "average")
"""Kinds whose folders are among the runs."""


class _Body(FirstFault, BaseModel):
    model_config = ConfigDict(extra="forbid")


class TrainingBody(_Body):
    """A fine-tuning run: what to learn, the id of the model to start from ("" for none), and rows with named values."""

    task: str = Field(max_length=100, examples=["classification"])
    base: str = Field("", max_length=200)
    rows: list[dict[str, Any]] = Field(min_length=1, examples=[[{"text": "It leaks.", "label": "damage"}]])
    held_out: list[dict[str, Any]] = []
    """Rows to judge by; a share of the others where there are none."""
    settings: dict[str, Any] = {}
    """Fields of a run's config, as Fine-tune's expert view has them."""
    title: str = Field("", max_length=200)
    note: str = Field("", max_length=runs.MAX_NOTE_CHARACTERS)


class RunBody(_Body):
    """A run, and for an export the form of its model."""

    run: str = Field(max_length=100)
    form: Form = "safetensors"


class StopBody(_Body):
    """`now` ends its process at once, also one that hangs."""

    now: bool = False


def routes(house: House) -> APIRouter:
    """The routes of all jobs."""
    router = APIRouter(prefix="/api/jobs", tags=["Jobs"], route_class=BodyRoute)
    _add_begins(router, house)
    _add_one(router, house)

    @router.get("")
    async def list_jobs(request: Request) -> Response:
        """Those that the caller began or may see, newest first."""
        return Json({"jobs": await in_thread(_listed, house, caller_of(house, request))})

    return router


def _add_begins(router: APIRouter, house: House) -> None:
    @router.post("/training", status_code=202)
    async def train(body: TrainingBody, request: Request) -> Response:
        """Begin a run; its id is its job's."""
        about = body.task, body.base, body.rows, body.held_out, body.settings, body.title, body.note
        caller = caller_of(house, request)
        run_id = await in_thread(beginning.begin_with_rows, house, *about, caller)
        return await _told(house, run_id, caller, 202)

    @router.post("/{kind}", status_code=202)
    async def begin(kind: RunJob, body: RunBody, request: Request) -> Response:
        """Begin what is done with a run's model: judge it beside its base, export it, put it into the pickers."""
        caller = caller_of(house, request)
        return await _told(house, await in_thread(_begun, house, kind, body, caller), caller, 202)


def _add_one(router: APIRouter, house: House) -> None:
    @router.get("/{job_id}")
    async def read(job_id: str, request: Request) -> Response:
        """How it stands."""
        return await _told(house, job_id, caller_of(house, request))

    @router.get("/{job_id}/result", response_class=FileResponse)
    async def result(job_id: str, request: Request) -> Response:
        """What came of it: an export's zip; else JSON, of a run its figures and rows and its model's id."""
        found = await in_thread(_result, house, job_id, caller_of(house, request))
        return FileResponse(found, filename=found.name) if isinstance(found, Path) else Json(said(found))

    @router.post("/{job_id}/stop")
    async def stop(job_id: str, body: StopBody, request: Request) -> Response:
        """Ask it to end; a run keeps the best so far."""
        caller = caller_of(house, request)
        view = await in_thread(_seen, house, job_id, caller)
        words = await in_thread(lambda: work.stop(view.folder, is_now=body.now, caller=caller))
        return Json(said({"id": job_id, "message": words}))

    @router.delete("/{job_id}", status_code=204)
    async def delete(job_id: str, request: Request) -> Response:
        """Delete it with all that came of it."""
        caller = caller_of(house, request)
        view = await in_thread(_seen, house, job_id, caller)
        if view.kind in RUNS:
            await in_thread(runs.delete, house.settings, job_id, house.engine, caller)
        else:
            await in_thread(work.delete, house.settings, job_id, caller)
        return Response(status_code=204)


def _begun(house: House, kind: RunJob, body: RunBody, caller: Caller) -> str:
    settings = house.settings
    if kind == "use":
        return runs.begin_use(settings, house, body.run, caller)
    access.check(caller, kind)
    run = runs.read(settings, body.run)
    if not run.has_model:
        raise ConflictError("This run has no model yet. Wait for its end.", param="run")
    config = {"run": run.id} | ({"kind": body.form} if kind == "export" else {})
    subject = f"{run.id}/{body.form}" if kind == "export" else run.id
    return work.begin(settings, kind, config, title=run.title, subject=subject, caller=caller)


def _seen(house: House, job_id: str, caller: Caller) -> JobView:
    """A job that the caller began or may see. Raises NotFoundError for any other, whose being there is not told."""
    view: JobView | None
    try:
        view = work.read(house.settings, job_id, caller)
    except NotFoundError:
        view = _view(_run_folder(house, job_id))
    if view is None or not _may_see(view, caller):
        raise _missing(job_id)
    return view


def _view(folder: Path) -> JobView | None:
    """The job in a folder of a run; None where its files cannot be read, which Fine-tune tells."""
    with suppress(Exception):
        return work.view_of(folder)
    return None


def _run_folder(house: House, job_id: str) -> Path:
    try:
        return runs.run_folder(house.settings, job_id)
    except NotFoundError:
        raise _missing(job_id) from None


def _missing(job_id: str) -> NotFoundError:
    return NotFoundError("There is no job {name}.", name=repr(job_id[:80]), param="job")


def _may_see(view: JobView, caller: Caller) -> bool:
    if askers.is_askers(view.folder, caller) or caller.role == "host":
        return True
    return not view.kind_of.is_own and access.may(caller, "see runs")


def _listed(house: House, caller: Caller) -> list[dict[str, Any]]:
    found = [_view(run.folder) for run in runs.listed(house.settings)]
    views = [*work.listed(house.settings), *(view for view in found if view)]
    return [_described(view) for view in sorted(views, key=lambda one: -one.created) if _may_see(view, caller)]


async def _told(house: House, job_id: str, caller: Caller, status: int = 200) -> Response:
    view = await in_thread(_seen, house, job_id, caller)
    return Json(_described(view), status, {"Location": f"/api/jobs/{view.id}"} if status == 202 else None)


def _described(view: JobView) -> dict[str, Any]:
    facts = {name: getattr(view, name) for name in ("id", "kind", "title", "subject", "state", "created", "seconds")}
    words = {"error": view.error, "advice": view.advice} if view.state == "failed" else {}
    told: dict[str, Any] = said(facts | {"progress": view.progress} | words)
    return told


def _result(house: House, job_id: str, caller: Caller) -> Any:
    """Raises ConflictError before its end, and what made it fail."""
    view = _seen(house, job_id, caller)
    view.check()
    if view.kind in RUNS:
        return _of_run(house, job_id)
    if view.state != "finished":
        raise ConflictError("This job has not come to its end, so there is no result yet.", param="job")
    if view.kind == "compare" and (found := compare.read(runs.run_folder(house.settings, view.subject))):
        return asdict(found)
    if view.kind in desk.KINDS:
        return desk.result_path(view)
    if view.kind == "export":
        run_id, form = view.subject.split("/")
        return runs.run_folder(house.settings, run_id) / "exports" / form / Path(str(view.result["file"])).name
    return dict(view.result) or read_json(view.folder / "result.json")


def _of_run(house: House, run_id: str) -> dict[str, Any]:
    run = runs.read(house.settings, run_id)
    if run.is_alive or not run.has_model:
        raise ConflictError("This run has no model yet. Wait for its end.", param="job")
    rows = {name: run.facts.get(name) for name in ("train_rows", "validation_rows")}
    return {"run": run.id, "model": run.model_id if run.is_used else None, "metrics": list(run.metrics)} | rows
