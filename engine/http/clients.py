"""What clients do beside sending a body: HEAD, slashes at the end, packed bodies, pages of other sites, no /v1."""

from __future__ import annotations

from fastapi import FastAPI, Request
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine.errors import EncodingError, NotFoundError
from engine.http.errors import error_response
from engine.http.language import listen
from engine.settings import Settings

PLAIN = ("", "identity")
METHODS = ["GET", "POST"]


def welcome(app: FastAPI, settings: Settings, bare_paths: tuple[str, ...]) -> None:
    """Make the app take what clients send; `bare_paths` are asked for by those whose base address lacks /v1."""
    for path in bare_paths:
        app.add_api_route(path, _without_version, methods=METHODS, include_in_schema=False)
    app.add_middleware(Habits)
    if origins := settings.allowed_origins.replace(",", " ").split():
        app.add_middleware(
            CORSMiddleware, allow_origins=origins, allow_methods=METHODS, allow_headers=["*"],
            expose_headers=["Retry-After"],
        )  # fmt: skip


async def _without_version(request: Request) -> None:
    raise NotFoundError("The base address of this API ends with /v1: ask for /v1{path}.", path=request.url.path)


class Habits:
    """HEAD is answered as GET without a body, a slash at the end of an address under /v1 counts for nothing, and a
    packed body is refused: its size is known only once it is unpacked."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on as the routes know it."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        packing = Headers(scope=scope).get("content-encoding", "").strip().lower()
        if packing not in PLAIN:
            listen(scope)
            refusal = EncodingError(
                "Bodies packed with {packing} are not taken. Send plain JSON.", packing=packing[:20]
            )
            return await error_response(refusal)(scope, receive, send)
        path = scope["path"]
        known = {**scope, "path": path.rstrip("/")} if path.startswith("/v1/") else scope
        if scope["method"] != "HEAD":
            return await self.app(known, receive, send)

        async def bare(message: Message) -> None:
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        await self.app({**known, "method": "GET"}, receive, bare)
