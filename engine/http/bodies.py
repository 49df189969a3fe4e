"""Bodies become requests in a thread, which stops at the first fault: everybody else is answered meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import TypeAdapter, ValidationError

from engine.errors import InputError, TooLargeError
from engine.http.errors import BodyError, first_fault_in_words
from engine.http.limits import look_at

MAX_NAMES = 100
"""Fields of one body; OpenAI's clients know about forty."""


class BodyRoute(APIRoute):
    """A route whose body is parsed and checked in a thread."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's own handler, which takes a body that is checked already as it is."""
        handle = super().get_route_handler()
        if self.body_field is None:
            return handle
        kind: Any = self.body_field.field_info.annotation
        adapter: TypeAdapter[Any] = TypeAdapter(kind)

        async def checked(request: Request) -> Response:
            return await handle(_Request(request, adapter))

        return checked


class _Request(Request):
    """A request whose JSON is what its route wants."""

    def __init__(self, request: Request, adapter: TypeAdapter[Any]) -> None:
        super().__init__(request.scope, request.receive)
        self.adapter = adapter

    async def json(self) -> Any:
        """The checked body. Raises BodyError, JSONDecodeError."""
        return await look_at(_checked, await self.body(), self.adapter)


def _checked(body: bytes, adapter: TypeAdapter[Any]) -> Any:
    value = json.loads(body)
    if isinstance(value, dict) and len(value) > MAX_NAMES:
        raise BodyError(TooLargeError("The body has over {most} fields. Send fewer.", most=MAX_NAMES))
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        param, sentence = first_fault_in_words(error.errors(include_url=False))
    raise BodyError(InputError(sentence, param))
