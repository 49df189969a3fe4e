"""Errors as JSON: `{"error": {"type", "message", "param"}}` with the right status, and never a stack trace."""

from __future__ import annotations

import logging
import math
import secrets
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine.errors import PeopleError

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 8 * 2**20
KINDS = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}


def error_body(error: Exception) -> dict[str, Any]:
    """The error's JSON. One that is no PeopleError is ours: logged with a number that the message names."""
    if isinstance(error, PeopleError):
        return _body(error.kind, str(error), error.param)
    number = secrets.token_hex(4)
    log.error("error %s in the HTTP API", number, exc_info=error)
    return _body("internal", f"Something broke on our side. Try again; if it stays, report the number {number}.")


def _body(kind: str, message: str, param: str | None = None) -> dict[str, Any]:
    return {"error": {"type": kind, "message": message, "param": param, "code": None}}


def error_response(error: Exception) -> JSONResponse:
    """The error as a response; Retry-After where trying again makes sense."""
    status = error.status if isinstance(error, PeopleError) else 500
    seconds = getattr(error, "retry_seconds", None)
    headers = {"Retry-After": str(max(1, math.ceil(seconds)))} if seconds else None
    return JSONResponse(error_body(error), status, headers)


def handle_errors(app: FastAPI) -> None:
    """Have the app answer every error in our form."""

    @app.exception_handler(PeopleError)
    async def people(request: Request, error: PeopleError) -> JSONResponse:
        return error_response(error)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        param, message = _first_fault(error.errors())
        return JSONResponse(_body("invalid_request", message, param), 400)

    @app.exception_handler(HTTPException)
    async def other(request: Request, error: HTTPException) -> JSONResponse:
        kind = KINDS.get(error.status_code, "invalid_request")
        return JSONResponse(_body(kind, str(error.detail)), error.status_code, error.headers)

    @app.exception_handler(Exception)
    async def bug(request: Request, error: Exception) -> JSONResponse:
        return error_response(error)


def _first_fault(faults: Sequence[Any]) -> tuple[str | None, str]:
    """Field and sentence of the first fault that validation found."""
    fault = faults[0]
    if fault["type"] == "json_invalid":
        return None, "The body is not valid JSON."
    names = [str(part) for part in fault["loc"] if part != "body" and not str(part).startswith(("list[", "function-"))]
    names = [name for name in names if name not in ("str", "int", "float", "bool")]
    if not names:
        return None, "The body must be a JSON object. Send it with Content-Type: application/json."
    field = ".".join(names)
    if fault["type"] == "missing":
        return field, f"{field} is missing."
    return field, f"{field}: {str(fault['msg'])[0].lower()}{str(fault['msg'])[1:]}."


class LimitedBody:
    """Refuses bodies over MAX_BODY_BYTES with 413, counting what arrives rather than trusting the header."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with a counted body."""
        arrived = 0

        async def counted() -> Message:
            nonlocal arrived
            message = await receive()
            arrived += len(message.get("body", b""))
            if arrived > MAX_BODY_BYTES:
                raise HTTPException(413, f"The body is over {MAX_BODY_BYTES // 2**20} MB. Send less at a time.")
            return message

        await self.app(scope, counted, send)
