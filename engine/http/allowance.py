"""What is left of a caller's allowance, on every answer of the API to a request for work."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine.http.callers import caller_of
from engine.serving.allowances import Allowance
from engine.serving.compose import House

OPENAIS = ("requests", "tokens")


class Told:
    """Around the API: `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers), and OpenAI's own."""

    def __init__(self, app: ASGIApp, house: House) -> None:
        self.app, self.house = app, house

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and tell with the answer's head what is left then."""
        if scope["type"] != "http" or scope["method"] != "POST":
            return await self.app(scope, receive, send)

        async def telling(message: Message) -> None:
            if message["type"] == "http.response.start":
                request = HTTPConnection(scope)
                found = await run_in_threadpool(lambda: self.house.allowances.of(caller_of(self.house, request)))
                MutableHeaders(scope=message).update(headers(found))
            await send(message)

        await self.app(scope, receive, telling)


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
