"""What is left of a caller's allowance, on every answer of the API to a request for work."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine.errors import PeopleError
from engine.http.callers import is_kept, remember
from engine.http.errors import error_response
from engine.http.language import listen
from engine.http.streams import in_thread
from engine.serving.allowances import Allowance
from engine.serving.compose import House

OPENAIS = ("requests", "tokens")


class Told:
    """Around the API: finds the caller, and tells what is left in `RateLimit` and `RateLimit-Policy`
    (draft-ietf-httpapi-ratelimit-headers) and in OpenAI's own headers."""

    def __init__(self, app: ASGIApp, house: House) -> None:
        self.app, self.house = app, house

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and tell with the answer's head what is left then."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        house, request = self.house, HTTPConnection(scope)
        try:
            kept = is_kept(house, request)
            caller = await in_thread(remember, house, request) if kept else remember(house, request)
        except PeopleError as error:
            listen(scope)
            return await error_response(error)(scope, receive, send)

        async def telling(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(headers(await in_thread(house.allowances.of, caller)))
            await send(message)

        is_told = scope["method"] == "POST" and house.allowances.is_limited(caller)
        await self.app(scope, receive, telling if is_told else send)


def headers(allowances: Sequence[Allowance]) -> dict[str, str]:
    """The headers that tell of them; none where nothing is limited."""
    if not allowances:
        return {}
    policy = ", ".join(f'"{one.use}";q={one.limit};w={one.window_seconds}' for one in allowances)
    left = ", ".join(f'"{one.use}";r={one.rest};t={one.reset_seconds}' for one in allowances)
    found = {"RateLimit-Policy": policy, "RateLimit": left}
    for one in (one for one in allowances if one.use in OPENAIS):
        found[f"x-ratelimit-limit-{one.use}"] = str(one.limit)
        found[f"x-ratelimit-remaining-{one.use}"] = str(one.rest)
        found[f"x-ratelimit-reset-{one.use}"] = f"{one.reset_seconds}s"
    return found
