"""Who stands behind a request."""

from __future__ import annotations

from starlette.requests import HTTPConnection

from engine.http.visitors import number_of, visitor_of
from engine.serving import access
from engine.serving.compose import House
from engine.serving.protocol import Caller


def caller_of(house: House, request: HTTPConnection) -> Caller:
    """The caller, known by the browser's number, else by the address that the request came from."""
    address, visitor = request.client.host if request.client else "", visitor_of(request.cookies)
    return access.caller_of(house.settings, number_of(visitor) if visitor else address, address=address)
