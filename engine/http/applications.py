"""`POST /api/<application>` and `/api/explore/<view>` for all there are, from their own request and result types."""
# Without `from __future__ import annotations`: the endpoints' types are known only when they are made.

from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Body, Request
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass
from starlette.responses import Response, StreamingResponse

from engine.applications import APPLICATIONS, PARTS, Application
from engine.explain import VIEWS
from engine.http import limits
from engine.http.bodies import BodyRoute
from engine.http.callers import caller_of
from engine.http.first_fault import FirstFault
from engine.http.language import said
from engine.http.streams import KEEP_ALIVE, WAITING, data, event_stream, results_of
from engine.requests import Event
from engine.serving.compose import House


def routes(house: House) -> APIRouter:
    """The routes of all applications and views."""
    router = APIRouter(prefix="/api", route_class=BodyRoute)
    for application in _all():
        _add(router, application, house)
    return router


def body_bytes(house: House) -> dict[str, int]:
    """The largest body of each of their paths."""
    most = house.settings.max_text_characters
    return {
        path: limits.body_bytes(application.request_type, most)
        for application in _all()
        for path in (f"/api/{application.id}", f"/api/{application.id}/stream")
    }


def _all() -> list[Application[Any, Any]]:
    return [*APPLICATIONS.values(), *PARTS.values(), *VIEWS.values()]


def _views() -> set[str]:
    return {view.id for view in VIEWS.values()}


def _add(router: APIRouter, application: Application[Any, Any], house: House) -> None:
    """Two routes: the whole result, and server-sent events on the way to it."""
    stream = application.of(house)
    example = asdict(application.samples[0])
    body_type: Any = Annotated[_strict(application.request_type), Body(examples=[example])]

    async def whole(body: body_type, request: Request) -> Any:
        events = stream(house.engine, body, caller_of(house, request))
        (result,) = await results_of(request, events)
        return said(asdict(result))

    async def streamed(body: body_type, request: Request) -> Response:
        events = stream(house.engine, body, caller_of(house, request))
        return await event_stream(events, event_lines())

    path, name, operation = f"/{application.id}", str(application.title), application.id.replace("/", "_")
    tags: list[Any] = ["Explore" if application.id in _views() else "Applications"]
    router.add_api_route(
        path, whole, methods=["POST"], response_model=application.result_type, summary=name,
        description=str(application.summary), operation_id=operation, tags=tags,
    )  # fmt: skip
    router.add_api_route(
        f"{path}/stream", streamed, methods=["POST"], summary=f"{name}, streamed", response_class=StreamingResponse,
        description="Server-sent events, each a JSON object: `{kind: queued, position}` or `{kind: loading}` while it "
        "waits, `{kind: working, part, parts}` of work in parts, `{kind: text, text}` with new text, "
        "`{kind: replace, text}` in place of all text so far, and last "
        "`{kind: done, result}`, or `{error}`.",
        operation_id=f"{operation}_stream", tags=tags, responses={200: {"content": {"text/event-stream": {}}}},
    )  # fmt: skip


def _strict(request_type: type[Any]) -> Any:
    """The request type as a body whose unknown fields are errors: a misspelt name is not silently left out."""
    body_type = type(request_type.__name__, (FirstFault, request_type), {})
    strict: Any = dataclass(body_type, config=ConfigDict(extra="forbid"), frozen=True)
    strict.__doc__ = request_type.__doc__
    return strict


def event_lines() -> Callable[[Event], Iterator[bytes]]:
    """How one stream's events are written: waiting is told when it changes, and kept alive by comments between."""
    last: Event | None = None
    has_text = False

    def lines(event: Event) -> Iterator[bytes]:
        nonlocal last, has_text
        if event.kind == "done":
            yield data({"kind": "done", "result": said(asdict(event.result))})
        elif event.kind == "working":
            yield data({"kind": "working", "part": event.part, "parts": event.parts})
        elif event.kind not in WAITING:
            has_text = True
            yield data({"kind": event.kind, "text": event.text})
        elif has_text or event == last:
            yield KEEP_ALIVE
        else:
            yield data({"kind": event.kind, "position": event.position})
        last = event

    return lines
