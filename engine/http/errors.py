"""Errors as JSON: `{"error": {"type", "message", "param"}}` with the right status, and never a stack trace."""

from __future__ import annotations

import json
import logging
import math
import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException as RoutingException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine.errors import PeopleError
from engine.http.language import listen, said
from engine.http.limits import MAX_BODY_BYTES, UNREADABLE, check_body, look_at, too_large
from engine.messages import NOTHING, Text

log = logging.getLogger(__name__)

CODES = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}
MAX_SHOWN_CHARACTERS = 200
"""Of what a visitor sent and a message repeats."""
TYPES = {
    "string_type": Text("text"),
    "list_type": Text("a list"),
    "int_type": Text("a whole number"),
    "int_parsing": Text("a whole number"),
    "int_parsing_size": Text("a smaller whole number"),
    "int_from_float": Text("a whole number"),
    "float_type": Text("a number"),
    "float_parsing": Text("a number"),
    "bool_type": Text("true or false"),
    "bool_parsing": Text("true or false"),
}
"""Plainer words than pydantic's own, which are English only, for what a field must be."""


class ErrorDetail(BaseModel):
    """What is wrong, in words for people; `param` names the field at fault where there is one."""

    type: str
    message: str
    param: str | None = None
    code: str | None = None
    """OpenAI's name for it, where clients act on that."""


class ErrorAnswer(BaseModel):
    """What every error looks like."""

    error: ErrorDetail


class Json(JSONResponse):
    """JSON that no text can break."""

    def render(self, content: Any) -> bytes:
        return dumps(content)


def dumps(value: Any) -> bytes:
    """JSON in UTF-8. Half a character pair, which UTF-8 cannot hold, becomes a question mark."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8", "replace")


class BodyError(RoutingException):
    """What is wrong with a body, in the only form in which FastAPI passes it on."""

    def __init__(self, error: PeopleError) -> None:
        super().__init__(error.status)
        self.error = error


def error_body(error: Exception) -> dict[str, Any]:
    """The error's JSON. One that is no PeopleError is ours: logged with a number that the message names."""
    if isinstance(error, PeopleError):
        return _body(error.kind, error.text, error.param, error.code)
    number = secrets.token_hex(4)
    log.error("error %s in the HTTP API", number, exc_info=error)
    sentence = Text("Something broke on our side. Try again; if it stays, report the number {number}.", number=number)
    return _body("internal", sentence)


def _body(kind: str, message: Text, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    more = {} if code is None else {"code": code}
    return {"error": {"type": kind, "message": said(message), "param": param} | more}


def error_response(error: Exception) -> Response:
    """The error as a response; Retry-After where trying again makes sense."""
    status = error.status if isinstance(error, PeopleError) else 500
    seconds = getattr(error, "retry_seconds", None)
    headers = None if seconds is None else {"Retry-After": str(max(1, math.ceil(seconds)))}
    return Json(error_body(error), status, headers)


def handle_errors(app: FastAPI, body_bytes: Mapping[str, int], file_bytes: Mapping[str, int]) -> None:
    """Have the app answer every error in our form; `body_bytes` is the largest body of each path, `file_bytes` of
    those whose bodies are files and no JSON."""
    app.add_middleware(Guard, body_bytes=body_bytes, file_bytes=file_bytes)

    @app.exception_handler(PeopleError)
    async def people(request: Request, error: PeopleError) -> Response:
        return error_response(error)

    @app.exception_handler(BodyError)
    async def bad_body(request: Request, error: BodyError) -> Response:
        return error_response(error.error)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        param, message = first_fault_in_words(error.errors())
        return Json(_body("invalid_request", message, param), 400)

    @app.exception_handler(RoutingException)
    async def other(request: Request, error: RoutingException) -> Response:
        kind = CODES.get(error.status_code, "invalid_request")
        return Json(_body(kind, _routing_sentence(request, error)), error.status_code, error.headers)

    @app.exception_handler(ClientDisconnect)
    async def gone(request: Request, error: ClientDisconnect) -> Response:
        return Response(status_code=499)


def _routing_sentence(request: Request, error: RoutingException) -> Text:
    path = request.url.path[:MAX_SHOWN_CHARACTERS]
    if error.status_code == 404:
        return Text("There is no {path}. /api/docs lists what there is.", path=path)
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", Text("another method"))
        return Text("{path} does not take {method}. Use {allowed}.", path=path, method=request.method, allowed=allowed)
    if error.status_code == 400:
        return UNREADABLE
    return Text(str(error.detail))


_ALTERNATIVE = re.compile(r"str|int|float|bool|none|.*\[.*|.*\(.*|function-.*|constrained-.*")
"""What pydantic puts into a fault's place for the alternative of a union, which is no field."""


def first_fault_in_words(faults: Sequence[Any]) -> tuple[str | None, Text]:
    """Field and sentence of the first field that validation finds at fault; alternatives of a union make one sentence.

    Of several faults in one field the deepest counts: it belongs to the alternative that fits best.
    """
    if faults[0]["type"] == "json_invalid":
        reason = str(faults[0].get("ctx", {}).get("error", "")).lower().removesuffix(" at")  # its place follows
        place = faults[0]["loc"][-1]
        return None, Text("The body is not valid JSON: {reason} at character {place}.", reason=reason, place=place)
    places = [_place(fault["loc"]) for fault in faults]
    if not places[0]:
        return None, Text("The body must be a JSON object. Send it with Content-Type: application/json.")
    deepest = max((place for place in places if place[:1] == places[0][:1]), key=len)
    same = [fault for fault, place in zip(faults, places, strict=True) if place == deepest]
    field = _field(deepest)
    return field, _sentence(field, same)


def _place(location: Sequence[str | int]) -> list[str | int]:
    """A fault's place as names of fields and numbers of rows."""
    inside = location[1:] if location[:1] in (("body",), ["body"]) else location
    return [part for part in inside if isinstance(part, int) or not _ALTERNATIVE.fullmatch(part)]


def _field(place: Sequence[str | int]) -> str:
    """`messages[2].content`"""
    whole = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return whole.removeprefix(".")[:MAX_SHOWN_CHARACTERS]


def _sentence(field: str, faults: Sequence[Any]) -> Text:
    kind = faults[0]["type"]
    if kind == "missing":
        return Text("{field} is missing.", field=field)
    if kind in ("unexpected_keyword_argument", "extra_forbidden"):
        return Text("There is no field {field} here. /api/docs lists the fields.", field=field)
    kinds = list(dict.fromkeys(_needed(fault) for fault in faults))
    if not all(kinds):
        reason = str(faults[0]["msg"])
        return Text("{field} is not right: {reason}.", field=field, reason=reason[:1].lower() + reason[1:])
    either = kinds[0]
    for other in kinds[1:]:
        either = Text("{one} or {other}", one=either, other=other)
    return Text("{field} must be {kinds}.", field=field, kinds=either)


def _needed(fault: Any) -> Text:
    """What a field must be; empty where pydantic tells it in another way."""
    prefix, _, rest = str(fault["msg"]).partition("Input should be ")
    return TYPES.get(fault["type"]) or (NOTHING if prefix else Text(rest))


class Guard:
    """Around everything: reads the body, refuses what is too large before it is parsed, answers errors in our form.

    `body_bytes` tells the largest body of a path where that is less than MAX_BODY_BYTES, `file_bytes` of one whose body
    is a file.
    """

    def __init__(
        self, app: ASGIApp, body_bytes: Mapping[str, int] | None = None, file_bytes: Mapping[str, int] | None = None
    ) -> None:
        self.app = app
        self.file_bytes = file_bytes or {}
        self.body_bytes = {**(body_bytes or {}), **self.file_bytes}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its checked body."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        listen(scope)
        is_begun = False

        async def noted(message: Message) -> None:
            nonlocal is_begun
            is_begun = True
            await send(message)

        try:
            body = await self._body(scope, receive)
            if scope["path"] not in self.file_bytes:
                await look_at(check_body, body)
            await self.app(scope, _again(body, receive), noted)
        except ClientDisconnect:
            await Response(status_code=499)(scope, receive, send)
        except Exception as error:
            if is_begun:
                raise
            await error_response(error)(scope, receive, send)

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        """The whole body. Raises TooLargeError as soon as it is told or seen to be over its limit."""
        most, body, is_more = self.body_bytes.get(scope["path"], MAX_BODY_BYTES), bytearray(), True
        if _declared_bytes(scope) > most:
            raise too_large(most)
        while is_more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            body += message.get("body", b"")
            if len(body) > most:
                raise too_large(most)
            is_more = message.get("more_body", False)
        return bytes(body)


def _again(body: bytes, receive: Receive) -> Receive:
    """A receiver that gives the body, which was read before, and then what comes after it."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def given() -> Message:
        return messages.pop() if messages else await receive()

    return given


def _declared_bytes(scope: Scope) -> int:
    """What the header says, believed only when it says too much."""
    value = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
    return int(value) if value.isdigit() and len(value) < 20 else MAX_BODY_BYTES + 1 if value.isdigit() else 0
