"""`POST /api/<application>` for every application there is, from its own request and result types."""
# Without `from __future__ import annotations`: the endpoints' types are known only when they are made.

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from starlette.responses import Response

from engine.applications import APPLICATIONS, Application
from engine.core import get_engine
from engine.http.streams import data, event_stream, result_of
from engine.requests import Event

router = APIRouter(prefix="/api", tags=["Applications"])


def add_application(application: Application) -> None:
    """Two routes: the whole result, and server-sent events on the way to it."""

    async def whole(body: application.request_type, request: Request) -> Any:  # type: ignore[name-defined]
        result = await result_of(request, application.stream(get_engine(), body))
        return Response(status_code=499) if result is None else result

    async def streamed(body: application.request_type) -> StreamingResponse:  # type: ignore[name-defined]
        return await event_stream(application.stream(get_engine(), body), _lines)

    path, name = f"/{application.id}", application.title
    router.add_api_route(
        path, whole, methods=["POST"], response_model=application.result_type, summary=name,
        description=application.summary, operation_id=application.id,
    )  # fmt: skip
    router.add_api_route(
        f"{path}/stream", streamed, methods=["POST"], summary=f"{name}, streamed", response_class=StreamingResponse,
        description="Server-sent events: text and replace as it comes, done with the result.",
        operation_id=f"{application.id}_stream",
    )  # fmt: skip


def _lines(event: Event) -> Iterator[str]:
    if event.kind == "done":
        result = event.result
        yield data({"kind": "done", "result": asdict(result)})
    else:
        yield data({"kind": event.kind, "text": event.text})


for each in APPLICATIONS.values():
    add_application(each)
