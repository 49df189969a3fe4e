"""The HTTP API beside the pages: request models and routes, nothing else.

FastAPI takes half a second to import: the first request to the API does that, or `warm_up`, and no page waits for it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from starlette.concurrency import run_in_threadpool
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from engine.http.door import Door, check_listening
from engine.http.sockets import prepare_sockets
from engine.http.stopping import ended_by_signals
from engine.serving.compose import House

__all__ = ["Door", "check_listening", "ended_by_signals", "prepare_sockets", "routes", "warm_up"]


def routes(house: Callable[[], House]) -> list[BaseRoute]:
    """Routes to mount beside Streamlit's own; the house is asked for at the first request."""
    app = _Whole(house)
    # A mount does not take its own bare path, which would then be a page.
    return [Mount("/api", app), Mount("/v1", app), *(Route(path, app) for path in ("/api", "/v1", "/healthz"))]


@lru_cache(maxsize=1)
def warm_up(house: House) -> ASGIApp:
    """The API of a house, imported and built before anybody waits for it."""
    from engine.http.api import make_app

    return make_app(house)


class _Whole:
    """The API behind a mount, seeing the whole path and not only what follows the mount's."""

    def __init__(self, house: Callable[[], House]) -> None:
        self.house = house

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Undo the mount's root path."""
        app = await run_in_threadpool(lambda: warm_up(self.house()))
        await app({**scope, "root_path": scope.get("app_root_path", "")}, receive, send)
