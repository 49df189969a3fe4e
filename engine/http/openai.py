"""The part of OpenAI's API that text generation and search need: models, completions, chat completions, embeddings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from engine.applications.completing import complete
from engine.catalogue.models import Model
from engine.http import embeddings
from engine.http.bodies import BodyRoute
from engine.http.callers import caller_of
from engine.http.errors import Json
from engine.http.openai_answers import ChatCompletion, Completion, TextCompletion
from engine.http.openai_requests import ChatBody, CompletionBody
from engine.http.streams import event_stream, in_thread, results_of
from engine.requests import Event
from engine.serving.compose import House

ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/json": {}, "text/event-stream": {}}, "description": "As OpenAI's, and `parlance`"}
}


def routes(house: House) -> APIRouter:
    """The routes for OpenAI's clients."""
    router = APIRouter(prefix="/v1", tags=["OpenAI-compatible"], route_class=BodyRoute)

    @router.get("/models")
    async def list_models() -> dict[str, Any]:
        """The models that write text and are on this machine."""
        return {"object": "list", "data": [_described(model) for model in await in_thread(_ready_models, house)]}

    @router.get("/models/{model_id:path}")
    async def get_model(model_id: str) -> dict[str, Any]:
        """One model of the catalogue, whatever it does."""
        return _described(await in_thread(house.catalogue.find, model_id))

    @router.post("/completions", responses=ANSWERS)
    async def continued(body: CompletionBody, request: Request) -> Response:
        """Continue a prompt, or up to 16 at once."""
        return await _respond(house, request, body, TextCompletion)

    @router.post("/chat/completions", responses=ANSWERS)
    async def chat(body: ChatBody, request: Request) -> Response:
        """Answer the last message; a last message by the assistant is carried on."""
        return await _respond(house, request, body, ChatCompletion)

    embeddings.add_routes(router, house)
    return router


async def _respond(
    house: House, request: Request, body: CompletionBody | ChatBody, answer_type: type[Completion]
) -> Response:
    asked = body.asked()
    model = await in_thread(house.catalogue.find, body.model)
    prompts = 1 if isinstance(asked.prompt, str) else max(1, len(asked.prompt))
    answer = answer_type(
        model.id,
        body.likeliest,
        prompts * asked.count,
        body.has_usage,
        each=asked.count,
        tokens_asked=body.tokens_asked,
    )
    items = complete(house.engine, asked, caller_of(house, request))
    if body.stream:
        return await event_stream(items, answer.lines, lambda item: item[1].kind == "loading")
    return Json(answer.whole(await results_of(request, _events(items))))


def _events(items: Iterator[tuple[int, Event]]) -> Iterator[Event]:
    """The events alone. Closing it closes the items, at once and not when a traceback lets go of them."""
    with closing(items):  # type: ignore[type-var]
        for _, event in items:
            yield event


def _ready_models(house: House) -> list[Model]:
    writers = [model for model in house.catalogue.models.values() if model.is_language_model]
    return house.catalogue.ready(writers)


def _described(model: Model) -> dict[str, Any]:
    return {"id": model.id, "object": "model", "created": 0, "owned_by": model.family, "title": model.title}
