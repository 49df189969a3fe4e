"""`POST /v1/embeddings` in OpenAI's form: vectors of texts, which models of the kind "embedding" make."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any, Literal

import numpy as np
from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from engine.errors import InputError
from engine.http.callers import caller_of
from engine.http.errors import Json
from engine.http.first_fault import FirstFault
from engine.http.streams import results_of
from engine.requests import Embed, Embedding, Event, clean_texts
from engine.serving.compose import House
from engine.serving.protocol import Caller

Form = Literal["float", "base64"]


class EmbeddingBody(FirstFault, BaseModel):
    """A text, or a list of them; null means the default. `input_type` is ours: what a text is to be compared as."""

    model_config = ConfigDict(extra="allow")

    model: str
    input: str | list[Any]
    encoding_format: Form | None = "float"
    dimensions: int | None = None
    input_type: Literal["query", "passage"] | None = "query"


def add_routes(router: APIRouter, house: House) -> None:
    """The route, among the others for OpenAI's clients."""

    @router.post("/embeddings")
    async def embed(body: EmbeddingBody, request: Request) -> Response:
        """Vectors of unit length, in the order of the texts; their scalar product is how alike two are."""
        (answer,) = await results_of(request, _worked_on(house, body, caller_of(house, request)))
        return Json(answer)


def _worked_on(house: House, body: EmbeddingBody, caller: Caller) -> Iterator[Event]:
    """What happens on the way to the answer, and that."""
    model, asked = house.catalogue.find(body.model), _asked(body, house)
    found = []
    with closing(house.engine.stream_all(model.id, asked, caller)) as items:  # type: ignore[type-var]
        for _, event in items:
            if event.kind == "done":
                found.append(event.result)
            else:
                yield event
    yield Event("done", result=_answer(house, model.id, body, asked, found))


def _asked(body: EmbeddingBody, house: House) -> list[Embed]:
    """Raises InputError, TooLargeError."""
    given = [body.input] if isinstance(body.input, str) else body.input
    if not all(isinstance(text, str) for text in given):
        raise InputError("input must be text or a list of texts; token numbers are not offered.", param="input")
    limits = house.settings
    texts = clean_texts(body.input, "input", limits.max_text_characters, limits.max_rows)
    return [Embed(text, body.input_type or "query") for text in texts]


def _answer(
    house: House, model_id: str, body: EmbeddingBody, asked: Sequence[Embed], found: Sequence[Embedding]
) -> dict[str, Any]:
    width = len(found[0].vector)
    if body.dimensions not in (None, width):
        raise InputError(
            "dimensions is {asked}; the vectors of this model have {width}. Leave it out.",
            param="dimensions", asked=body.dimensions, width=width,
        )  # fmt: skip
    tokens = sum(one.tokens for one in found)
    data = [
        {"object": "embedding", "index": index, "embedding": _written(one.vector, body.encoding_format)}
        for index, one in enumerate(found)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": model_id, "usage": usage}


def _written(vector: Sequence[float], form: Form | None) -> list[float] | str:
    """As numbers, or as OpenAI's own client asks for them: float32, little endian, in base64."""
    numbers = np.asarray(vector, dtype="<f4")
    return base64.b64encode(numbers.tobytes()).decode() if form == "base64" else numbers.tolist()
