"""`POST /api/<application>/feedback`: what users of a program say of an answer, without any text of it."""
# Without `from __future__ import annotations`: the endpoints' types are known only when they are made.

from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from engine.applications import APPLICATIONS
from engine.errors import InputError, TooLargeError
from engine.http.bodies import BodyRoute
from engine.http.callers import caller_of
from engine.http.first_fault import FirstFault
from engine.http.streams import in_thread
from engine.serving.compose import House
from engine.storage.feedback import MAX_REASON_CHARACTERS, VERDICTS

MAX_NAME_CHARACTERS = 100
WRONG = "wrong"


class Verdict(FirstFault, BaseModel):
    """What is said of an answer: right, or wrong and why. Over documents what was wrong is the answer or its passage.

    `model` is the one that answered; of the same `answer`, by whatever name, a second verdict takes the first's place.
    """

    model_config = ConfigDict(extra="forbid")
    verdict: Literal["right", "wrong", "wrong answer", "wrong passage"]
    model: str
    answer: str
    reason: str = ""


def routes(house: House) -> APIRouter:
    """A route for each application."""
    router = APIRouter(prefix="/api", route_class=BodyRoute, tags=["Feedback"])
    for application in APPLICATIONS:
        _add(router, house, application)
    return router


def _add(router: APIRouter, house: House, application: str) -> None:
    async def take(body: Verdict, request: Request) -> Response:
        _check(application, body)
        caller = caller_of(house, request)

        def kept() -> None:
            model = house.catalogue.find(body.model).id
            house.allowances.take(caller, "requests")
            said = body.verdict if body.verdict in VERDICTS and application == "answer" else ""
            reason = ": ".join(filter(None, (said, body.reason.strip())))
            house.feedback.take(
                f"api {caller.id}", application, model, body.answer, is_good=body.verdict == VERDICTS[0], reason=reason
            )

        await in_thread(kept)
        return Response(status_code=204)

    router.add_api_route(
        f"/{application}/feedback", take, methods=["POST"], status_code=204, operation_id=f"{application}_feedback",
        summary=f"{APPLICATIONS[application].title}: was it right?",
        description="Kept for 90 days for whoever runs this site, without what was asked or answered.",
    )  # fmt: skip


def _check(application: str, body: Verdict) -> None:
    """Raise InputError or TooLargeError naming the field."""
    if application != "answer" and body.verdict not in (VERDICTS[0], WRONG):
        raise InputError("Of this only {right} or {wrong} can be said.", "verdict", right=VERDICTS[0], wrong=WRONG)
    for name, most in (("model", MAX_NAME_CHARACTERS), ("answer", MAX_NAME_CHARACTERS),
                       ("reason", MAX_REASON_CHARACTERS)):  # fmt: skip
        if len(getattr(body, name)) > most:
            raise TooLargeError("{field} takes at most {most} characters.", name, field=name, most=most)
