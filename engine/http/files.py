"""Files that are worked on as jobs: brought to `/api/<application>/file`, looked at and fetched under `/api/files`.

The body is the file itself, as `curl --data-binary @letter.docx` sends it; everything else stands in the address.
"""
# Without `from __future__ import annotations`: the endpoints' types are known only when they are made.

from dataclasses import MISSING, Field, fields
from typing import Annotated, Any, Literal, get_type_hints
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from pydantic import ConfigDict, create_model
from pydantic.dataclasses import dataclass
from pydantic.fields import FieldInfo
from starlette.responses import FileResponse, Response

from engine.applications import APPLICATIONS
from engine.http.callers import caller_of
from engine.http.errors import Json
from engine.http.language import said
from engine.http.streams import in_thread
from engine.jobs import work
from engine.jobs.files import desk
from engine.jobs.files.comparing import Comparison, compare
from engine.jobs.work import JobView
from engine.messages import Text
from engine.serving import access
from engine.serving.compose import House

BYTES: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@dataclass(frozen=True)
class FileJob:
    """Work on a file as it stands. Times in seconds; `rows` are rows of a table, paragraphs or subtitles."""

    id: str
    application: str
    name: str
    state: Literal["queued", "preparing", "running", "finished", "stopped", "failed"]
    progress: float
    rows_done: int
    rows: int | None
    rows_per_second: float | None
    seconds_left: float | None
    seconds: float
    can_resume: bool
    error: str | None
    result: dict[str, Any] | None
    """What is told of its result, which `/api/files/{id}/result` is."""


def routes(house: House) -> APIRouter:
    """The routes of all applications that work on files, and of the work."""
    router = APIRouter(prefix="/api")
    for application, service in desk.SERVICES.items():
        _add_desk(router, house, application, service)
    _add_jobs(router, house)
    return router


def body_bytes(house: House) -> dict[str, int]:
    """The largest body of each of their paths: a file's."""
    return {f"/api/{application}/file": house.engine.settings.file_bytes for application in desk.SERVICES}


def _add_desk(router: APIRouter, house: House, application: str, service: desk.FileService) -> None:
    kinds = get_type_hints(service.order)
    named: dict[str, Any] = {field.name: (kinds[field.name], _default(field)) for field in fields(service.order)}
    asked_type: Any = create_model(
        service.order.__name__, __config__=ConfigDict(extra="forbid"), __doc__=service.order.__doc__, name=(str, ...),
        **named,
    )  # fmt: skip

    async def bring(request: Request, asked: Annotated[asked_type, Query()]) -> FileJob:
        content, caller = await request.body(), caller_of(house, request)
        order = service.order(**{name: getattr(asked, name) for name in named})

        def begin() -> FileJob:
            access.check(caller, "upload")
            house.allowances.take(caller, "uploads")
            job_id = desk.begin(house, application, asked.name, content, order, caller)
            return told(work.read(house.settings, job_id, caller))

        return await in_thread(begin)

    title = str(APPLICATIONS[application].title)
    router.add_api_route(
        f"/{application}/file", bring, methods=["POST"], status_code=202, tags=["Files"], openapi_extra=BYTES,
        summary=f"{title}: a file", operation_id=f"{application}_file",
        description=f"The body is the file, `name` its name with its ending: {', '.join(service.endings)}.",
    )  # fmt: skip


def _default(field: Field[Any]) -> Any:
    return FieldInfo(default_factory=list) if field.default is MISSING else field.default


class _Work:
    """What is asked of work that was begun, by whom it belongs to."""

    def __init__(self, house: House) -> None:
        self.house = house

    def view(self, job_id: str, request: Request) -> JobView:
        """Raises NotFoundError, also for another's and for another kind of job."""
        found = work.read(self.house.settings, job_id, caller_of(self.house, request))
        desk.application_of(found)
        return found

    async def listed(self, request: Request) -> list[FileJob]:
        """Your own, newest first."""
        caller = caller_of(self.house, request)
        return await in_thread(lambda: [told(one) for one in desk.all_jobs_of(self.house, caller)])

    async def state(self, job_id: str, request: Request) -> FileJob:
        """How it stands."""
        return await in_thread(lambda: told(self.view(job_id, request)))

    async def stop(self, job_id: str, request: Request) -> FileJob:
        """Stop it at once; what was finished is kept, and it can go on."""

        def stopped() -> FileJob:
            work.stop(self.view(job_id, request).folder, is_now=True, caller=caller_of(self.house, request))
            return told(self.view(job_id, request))

        return await in_thread(stopped)

    async def resume(self, job_id: str, request: Request) -> FileJob:
        """Have it go on where it stood."""

        def resumed() -> FileJob:
            view, caller = self.view(job_id, request), caller_of(self.house, request)
            work.resume(self.house.settings, view.id, self.house, caller)
            return told(self.view(job_id, request))

        return await in_thread(resumed)

    async def delete(self, job_id: str, request: Request) -> Response:
        """Delete the file and what was made of it."""

        def deleted() -> None:
            work.delete(self.house.settings, self.view(job_id, request).id, caller_of(self.house, request))

        await in_thread(deleted)
        return Response(status_code=204)

    async def result(self, job_id: str, request: Request) -> Response:
        """The file that came of it."""
        path = await in_thread(lambda: desk.result_path(self.view(job_id, request)))
        plain = path.name.encode("ascii", "replace").decode().translate({ord(sign): "_" for sign in '?"\\'})
        named = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(path.name)}"
        return FileResponse(path, media_type="application/octet-stream", headers={"Content-Disposition": named})

    async def report(self, job_id: str, request: Request) -> Response:
        """What was made of each piece so far: sentences with their warnings, or labels; and the figures of all."""
        return Json(said(await in_thread(lambda: desk.report(self.view(job_id, request)))))

    async def comparison(self, job_id: str, other_id: str, request: Request) -> Comparison:
        """Two results of the same file, by other models or with other settings: where they differ."""
        return await in_thread(lambda: compare(self.view(job_id, request), self.view(other_id, request)))


def _add_jobs(router: APIRouter, house: House) -> None:
    begun = _Work(house)
    paths: list[tuple[str, Any, str, int]] = [
        ("/files", begun.listed, "GET", 200),
        ("/files/{job_id}", begun.state, "GET", 200),
        ("/files/{job_id}/stop", begun.stop, "POST", 200),
        ("/files/{job_id}/resume", begun.resume, "POST", 202),
        ("/files/{job_id}", begun.delete, "DELETE", 204),
        ("/files/{job_id}/result", begun.result, "GET", 200),
        ("/files/{job_id}/report", begun.report, "GET", 200),
        ("/files/{job_id}/comparison/{other_id}", begun.comparison, "GET", 200),
    ]
    for path, answer, method, status in paths:
        router.add_api_route(path, answer, methods=[method], status_code=status, tags=["Files"])


def told(view: JobView) -> FileJob:
    """A job as the API tells it, in the request's language."""
    status, error = view.status, Text("{error} {advice}", error=view.error, advice=view.advice)
    return FileJob(
        id=view.id, application=desk.application_of(view), name=view.title, state=view.state,
        progress=round(view.progress, 4), rows_done=int(status.get("step") or 0), rows=status.get("max_steps"),
        rows_per_second=status.get("rows_per_second") if view.is_alive else None,
        seconds_left=status.get("seconds_left") if view.is_alive else None, seconds=round(view.seconds, 1),
        can_resume=view.can_resume, error=str(said(error)).strip() if view.error else None,
        result=desk.told_result(view) if view.state == "finished" else None,
    )  # fmt: skip
