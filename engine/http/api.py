"""One FastAPI app with all routes, its documentation served from this machine."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import Any

from fastapi import FastAPI, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles

from engine import __version__
from engine.http import BARE_PATHS, allowance, applications, clients, documents, feedback, figures, files, jobs, openai
from engine.http.errors import ErrorAnswer, handle_errors
from engine.http.stopping import is_stopping
from engine.http.streams import in_thread
from engine.serving.compose import House


def make_app(house: House) -> FastAPI:
    """The whole API of a house."""
    app = FastAPI(
        title="Parlance", version=__version__, docs_url=None, redoc_url=None, openapi_url="/api/openapi.json",
        description="Language models at work: applications, and OpenAI-compatible completions.",
        responses={"default": {"model": ErrorAnswer, "description": "What went wrong, and what to do next"}},
        redirect_slashes=False,
    )  # fmt: skip
    app.include_router(jobs.routes(house))
    app.include_router(applications.routes(house))
    app.include_router(openai.routes(house))
    app.include_router(files.routes(house))
    app.include_router(documents.routes(house))
    app.include_router(feedback.routes(house))
    handle_errors(app, applications.body_bytes(house), files.body_bytes(house) | documents.body_bytes(house))
    clients.welcome(app, house.settings, BARE_PATHS)
    _serve_docs(app)
    _serve_health(app, house)
    app.add_middleware(allowance.Told, house=house)
    figures.measure(app, house)
    return app


def _serve_health(app: FastAPI, house: House) -> None:
    async def health() -> dict[str, Any]:
        """Alive, where models run, and how far the embedded ones are; touches no model."""
        return await in_thread(_state, house)

    async def readiness(response: Response) -> dict[str, Any]:
        """Whether to send people here: 503 while embedded models come in, none is here, or the server ends."""
        state = await in_thread(_state, house)
        if reason := _obstacle(state["models"]):
            response.status_code = 503
        return state | {"status": reason or "ready"}

    for path, answer in (("/healthz", health), ("/readyz", readiness)):
        app.add_api_route(path, answer, methods=["GET"], tags=["Health"])
        app.add_api_route(path, answer, methods=["HEAD"], include_in_schema=False)


def _obstacle(models: Mapping[str, str]) -> str:
    """Why nobody should be sent here now. A model that could not be had is its page's to tell, not a reason."""
    if is_stopping.is_set():
        return "stopping"
    if "fetching" in models.values():
        return "fetching"
    return "" if "ready" in models.values() else "no model"


def _state(house: House) -> dict[str, Any]:
    embedded = [model.id for model in house.catalogue.models.values() if model.is_embedded]
    models = {model_id: house.store.availability(model_id).state for model_id in embedded}
    return {"status": "ok", "device": house.engine.status().device, "models": models}


def _serve_docs(app: FastAPI) -> None:
    """Swagger UI from a package, not from a CDN; its addresses are relative, so that it works behind any prefix."""
    folder = str(resources.files("fastapi_offline") / "static")
    app.mount("/api/docs/static", StaticFiles(directory=folder))

    @app.get("/api/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="openapi.json",
            title="Parlance API",
            swagger_js_url="docs/static/swagger-ui-bundle.js",
            swagger_css_url="docs/static/swagger-ui.css",
            swagger_favicon_url="docs/static/favicon.png",
            swagger_ui_parameters={"validatorUrl": None},
        )
