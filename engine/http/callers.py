"""Who stands behind a request."""

from __future__ import annotations

from starlette.requests import HTTPConnection

from engine.serving import access
from engine.serving.compose import House
from engine.serving.protocol import Caller


def caller_of(house: House, request: HTTPConnection) -> Caller:
    """The caller, known by the address that the request came from."""
    return access.caller_of(house.settings, request.client.host if request.client else "")
