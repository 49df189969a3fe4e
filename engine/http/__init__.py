"""The HTTP API beside the pages: request models and routes, nothing else.

FastAPI takes half a second to import: the first request to the API does that, or `warm_up`, and no page waits for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache, partial

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from engine.http.door import Door, check_listening
from engine.http.sockets import prepare_sockets
from engine.http.stopping import ended_by_signals
from engine.http.uploads import Uploads
from engine.serving.compose import House
from engine.serving.roles import has_sign_in

__all__ = [
    "Door",
    "Uploads",
    "check_listening",
    "ended_by_signals",
    "prepare_sockets",
    "routes",
    "signing_path",
    "warm_up",
]

BARE_MOUNTS = ("/api", "/v1", "/healthz", "/readyz", "/metrics")
BARE_PATHS = ("/models", "/completions", "/chat/completions", "/embeddings", "/responses")
"""What OpenAI's clients ask for where their base address lacks /v1."""


LINKS, LINK_METHODS = ("shared", "demo"), ["GET", "HEAD", "POST"]


def routes(house: Callable[[], House]) -> list[BaseRoute]:
    """Routes to mount beside Streamlit's own; the house is asked for at the first request."""
    app = _Whole(house)
    bare = [_Asked(path, app) for path in BARE_PATHS]
    links = [Route(f"/{kind}/{{key}}", partial(_link, house), methods=LINK_METHODS) for kind in LINKS]
    links.append(Route("/sign-in/{token}", partial(_sign_in, house), methods=LINK_METHODS))
    # A mount does not take its own bare path, which would then be a page.
    paths = [Route(path, app) for path in BARE_MOUNTS]
    return [*links, _Below("/api", app), _Below("/v1", app), *paths, *bare]


def signing_path(house: House) -> str:
    """Where a browser becomes the host's, once; "" where a sign-in tells who is, or everybody is."""
    is_needed = house.settings.is_public and not has_sign_in(house.settings)
    return f"/sign-in/{house.hosting.token}" if is_needed else ""


async def _link(house: Callable[[], House], request: Request) -> Response:
    from engine.http import shared  # with all applications, for which the server's start need not wait

    return await shared.answer(await run_in_threadpool(house), request)


async def _sign_in(house: Callable[[], House], request: Request) -> Response:
    from engine.http import signing

    return await signing.answer(await run_in_threadpool(house), request)


@lru_cache(maxsize=1)
def warm_up(house: House) -> ASGIApp:
    """The API of a house, imported and built before anybody waits for it."""
    from engine.http.api import make_app

    return make_app(house)


class _Below(Mount):
    """Takes every path below its own: Starlette's leaves out those with a line's end, which then were a page's."""

    def __init__(self, path: str, app: ASGIApp) -> None:
        super().__init__(path, app)
        self.path_regex = re.compile(self.path_regex.pattern, re.DOTALL)


class _Asked(Route):
    """A route for programs, which ask for JSON; a browser's page may have the same path."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """No match for who takes HTML."""
        is_page = scope["type"] == "http" and scope["method"] != "POST" and not _is_program(scope)
        return (Match.NONE, {}) if is_page else super().matches(scope)


def _is_program(scope: Scope) -> bool:
    return Headers(scope=scope).get("accept", "").startswith("application/json")


class _Whole:
    """The API behind a mount, seeing the whole path and not only what follows the mount's."""

    def __init__(self, house: Callable[[], House]) -> None:
        self.house = house
        self.app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Undo the mount's root path."""
        if self.app is None:
            self.app = await run_in_threadpool(lambda: warm_up(self.house()))
        await self.app({**scope, "root_path": scope.get("app_root_path", "")}, receive, send)
