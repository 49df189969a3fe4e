"""Documents that are asked about: brought to `/api/documents`, searched, looked at and deleted under it.

The body of a file is the file itself, as `curl --data-binary @report.pdf` sends it; its name stands in the address.
Questions over them go to `/api/answer`, with their ids under `documents`.
"""
# Without `from __future__ import annotations`: the endpoints' types are known only when they are made.

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict
from pydantic.dataclasses import dataclass
from starlette.responses import Response

from engine.applications.answer import APPLICATION, MAX_QUESTION_CHARACTERS
from engine.applications.answers import FoundPassage
from engine.applications.over_documents import find, found_of
from engine.applications.suggesting import Suggestions, passages_in, passages_of_text, suggest
from engine.documents import MAX_BYTES
from engine.documents.shelf import Kept
from engine.errors import InputError, NotFoundError
from engine.http.callers import caller_of
from engine.http.files import BYTES
from engine.http.first_fault import FirstFault
from engine.http.language import said
from engine.http.streams import in_thread, results_of
from engine.requests import Event, clean_text
from engine.serving import access
from engine.serving.compose import House
from engine.serving.protocol import Caller

PATH = "/api/documents"
MAX_FOUND = 50


@dataclass(frozen=True)
class KeptDocument:
    """A document as it stands. Times in seconds since 1970; `pages` is 0 where its kind has none. It is searched by
    words at once, and by meaning as far as `indexed` of its `passages`."""

    id: str
    title: str
    name: str
    pages: int
    words: int
    notes: list[str]
    made: float
    ends: float
    state: Literal["waiting", "working", "done", "stopped", "failed"]
    indexed: int
    passages: int
    seconds_left: float | None
    error: str | None


class SearchBody(FirstFault, BaseModel):
    """What is looked for, and in which documents; how many passages are wanted."""

    model_config = ConfigDict(extra="forbid")
    question: str
    documents: list[str]
    count: int = 5


class QuestionsBody(FirstFault, BaseModel):
    """Documents to be asked about, or a text in their place; `model` reads whether a question is answered."""

    model_config = ConfigDict(extra="forbid")
    documents: list[str] = []
    text: str = ""
    model: str | None = None


class FoundPassages(BaseModel):
    """Passages, the best first; `note` says where not all were searched by meaning."""

    passages: list[FoundPassage]
    note: str


def routes(house: House) -> APIRouter:
    """The routes of documents."""
    router, desk = APIRouter(prefix=PATH, tags=["Documents"]), _Desk(house)
    add = router.add_api_route
    add("", desk.bring, methods=["POST"], status_code=201, openapi_extra=BYTES, operation_id="documents_bring")
    add("", desk.listed, methods=["GET"], operation_id="documents")
    add("", desk.forget, methods=["DELETE"], status_code=204, operation_id="documents_delete")
    add("/search", desk.search, methods=["POST"], operation_id="documents_search")
    add("/questions", desk.questions, methods=["POST"], operation_id="documents_questions")
    add("/{id}", desk.state, methods=["GET"], operation_id="document")
    add("/{id}", desk.delete, methods=["DELETE"], status_code=204, operation_id="document_delete")
    add("/{id}/pages/{number}", desk.page, methods=["GET"], operation_id="document_page")
    add("/{id}/{action}", desk.act, methods=["POST"], operation_id="document_index")
    return router


class _Desk:
    """What is asked of documents, by their owner."""

    def __init__(self, house: House) -> None:
        self.house = house

    async def bring(self, request: Request, response: Response, name: str) -> KeptDocument:
        """Bring a document. The body is the file, `name` its name with its ending: .txt .md .pdf .docx .html.

        Where the same file is here already it stands once: the status is 200, and the first note says so.
        """
        content, caller = await request.body(), caller_of(self.house, request)

        def bring() -> KeptDocument:
            access.check(caller, "upload")
            self.house.allowances.take(caller, "uploads")
            kept = self.house.bring(content, name, caller)
            response.status_code = 200 if kept.is_again else 201
            return self.told(access.owner_of(self.house.settings, caller), kept)

        return await in_thread(bring)

    async def listed(self, request: Request) -> list[KeptDocument]:
        """Your own documents, the latest first."""
        return await in_thread(
            lambda: [self.told(owner, one) for owner in [self.owner(request)] for one in self.house.documents.of(owner)]
        )

    async def state(self, id: str, request: Request) -> KeptDocument:
        """A document, and how far its index is."""
        owner = self.owner(request)
        return await in_thread(lambda: self.told(owner, self.house.documents.find(owner, id)))

    async def page(self, id: str, number: int, request: Request) -> dict[str, Any]:
        """The text of a page, by its number in the file; 1 is all of a document without pages."""
        owner = self.owner(request)
        document = await in_thread(self.house.documents.read, owner, id)
        found = next((page for page in document.pages if page.number == number), None)
        if found is None:
            raise NotFoundError("The document has no text on page {number}.", "number", number=number)
        return {"number": number, "text": found.text, "paragraphs": [asdict(one) for one in found.paragraphs]}

    async def act(self, id: str, action: Literal["index", "stop"], request: Request) -> KeptDocument:
        """Have a document's index made ("index"), or stop that ("stop")."""
        owner, caller = self.owner(request), caller_of(self.house, request)

        def act() -> KeptDocument:
            kept = self.house.documents.find(owner, id)
            if action == "stop":
                self.house.indexing.stop(id)
            else:
                self.house.indexing.begin(owner, id, caller)
            return self.told(owner, kept)

        return await in_thread(act)

    async def delete(self, id: str, request: Request) -> Response:
        """Delete a document, and all that was made of it."""
        owner = self.owner(request)
        self.house.indexing.stop(id)
        await in_thread(self.house.documents.delete, owner, id)
        return Response(status_code=204)

    async def forget(self, request: Request) -> Response:
        """Delete all of your documents."""
        await in_thread(self.house.documents.forget, self.owner(request))
        return Response(status_code=204)

    async def search(self, body: SearchBody, request: Request) -> FoundPassages:
        """The passages that fit a question best, by words and by meaning."""
        if not 1 <= body.count <= MAX_FOUND:
            raise InputError("count takes a number from {low} to {high}.", "count", low=1, high=MAX_FOUND)
        question = clean_text(body.question, "question", MAX_QUESTION_CHARACTERS)
        events = self._found(question, body.documents, body.count, caller_of(self.house, request))
        (found,) = await results_of(request, events)
        return FoundPassages(**said(found))

    def _found(self, question: str, ids: Sequence[str], count: int, caller: Any) -> Any:
        hits, note = yield from find(self.house, self.house.engine, question, ids, count, caller)
        yield Event("done", result={"passages": [asdict(found_of(hit)) for hit in hits], "note": note})

    async def questions(self, body: QuestionsBody, request: Request) -> Suggestions:
        """Questions that the documents or the text answer, made by a model and checked by the reader."""
        (found,) = await results_of(request, self._suggested(body, caller_of(self.house, request)))
        return Suggestions(found.questions, found.writer)

    def _suggested(self, body: QuestionsBody, caller: Caller) -> Iterator[Event]:
        if body.text and body.documents:
            raise InputError("Send documents or a text, not both.", "text")
        engine = self.house.engine
        is_text = bool(body.text)
        passages = passages_of_text(engine, body.text) if is_text else passages_in(self.house, body.documents, caller)
        yield from suggest(engine, passages, APPLICATION.choose(engine.catalogue, body.model).id, caller)

    def owner(self, request: Request) -> str:
        """Raises ForbiddenError."""
        return access.owner_of(self.house.settings, caller_of(self.house, request))

    def told(self, owner: str, one: Kept) -> KeptDocument:
        """A document with how far its index is."""
        progress = self.house.indexing.progress(owner, one.id)
        return KeptDocument(
            one.id, one.title, one.name, one.pages, one.words, [said(note) for note in one.notes], one.made, one.ends,
            progress.state, progress.done, progress.total, progress.seconds_left,
            None if progress.error is None else said(progress.error.text),
        )  # fmt: skip


def body_bytes(house: House) -> dict[str, int]:
    """The largest body of a document."""
    return {PATH: min(MAX_BYTES, house.engine.settings.file_bytes)}
