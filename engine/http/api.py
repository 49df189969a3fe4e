"""One FastAPI app with all routes, its documentation served from this machine, and how Streamlit mounts it."""

from __future__ import annotations

from functools import cache
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from engine.core import get_engine
from engine.http import applications, openai
from engine.http.errors import LimitedBody, handle_errors


@cache
def make_app() -> FastAPI:
    """The whole API."""
    app = FastAPI(
        title="Parlance", version="0.1.0", docs_url=None, redoc_url=None, openapi_url="/api/openapi.json",
        description="Language models at work: applications, and OpenAI-compatible completions.",
    )  # fmt: skip
    app.include_router(applications.router)
    app.include_router(openai.router)
    app.add_middleware(LimitedBody)
    handle_errors(app)
    _serve_docs(app)

    @app.get("/healthz", tags=["Health"])
    def health() -> dict[str, Any]:
        """Alive, where models run, and which embedded ones are ready; touches no model."""
        engine = get_engine()
        embedded = [model.id for model in engine.catalogue.models.values() if model.is_embedded]
        states = {model_id: engine.store.availability(model_id).state for model_id in embedded}
        return {"status": "ok", "device": engine.status().device, "models": states}

    return app


def _serve_docs(app: FastAPI) -> None:
    """Swagger UI from its package, not from a CDN."""
    from swagger_ui_bundle import swagger_ui_path

    app.mount("/api/docs/static", StaticFiles(directory=swagger_ui_path))

    @app.get("/api/docs", include_in_schema=False)
    def docs() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="/api/openapi.json",
            title="Parlance API",
            swagger_js_url="/api/docs/static/swagger-ui-bundle.js",
            swagger_css_url="/api/docs/static/swagger-ui.css",
            swagger_favicon_url="/api/docs/static/favicon-32x32.png",
        )


class _Whole:
    """The app behind a mount, seeing the whole path and not only what follows the mount's."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Undo the mount's root path."""
        await self.app({**scope, "root_path": scope.get("app_root_path", "")}, receive, send)


def routes() -> list[BaseRoute]:
    """Routes to mount beside Streamlit's own."""
    app = _Whole(make_app())
    return [Mount("/api", app), Mount("/v1", app), Route("/healthz", app)]
