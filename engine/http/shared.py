"""Pages without a script, for people and whoever previews a link: a shared result, and the way to a model's demo."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from engine.applications import APPLICATIONS, sharing
from engine.errors import NotFoundError, PeopleError
from engine.http.callers import caller_of
from engine.http.language import said, spoken
from engine.http.visitors import visitor_of
from engine.messages import NOTHING, Text
from engine.serving import access
from engine.serving.compose import House
from engine.storage.links import Link

HEADERS = {"X-Robots-Tag": "noindex, nofollow", "Cache-Control": "no-store"}
MAX_BODY_BYTES = 8_192
ENDED = Text("What this link led to is not here any more: it has ended, or was deleted.")
WORDS = {
    "how": Text("How it was made"), "open": Text("Open the page"), "report": Text("Report this"),
    "reason": Text("What is wrong with it? Whoever runs this server reads it."), "send": Text("Send"),
}  # fmt: skip
SEALED = Text("A model wrote this. It can be wrong.")
PINNED, ENDS = Text("Kept until it is deleted."), Text("Kept until {day}, then deleted.")
REPORTED = Text("Thank you. Whoever runs this server sees your report.")


async def answer(house: House, request: Request) -> Response:
    """What `/shared/KEY` or `/demo/KEY` says, and what the buttons there do."""
    body = await _body(request) if request.method == "POST" else {}
    return await run_in_threadpool(_answered, house, request, body)


async def _body(request: Request) -> dict[str, str]:
    """The fields of a small form; what is over the limit is left unread."""
    content = b""
    async for piece in request.stream():
        content += piece
        if len(content) > MAX_BODY_BYTES:
            break
    fields = parse_qs(content[:MAX_BODY_BYTES].decode("utf-8", "replace"), max_num_fields=8)
    return {name: values[0] for name, values in fields.items()}


def _answered(house: House, request: Request, body: dict[str, str]) -> Response:
    try:
        link = house.links.find(request.path_params["key"])
        if link is None or not request.url.path.startswith(link.path):
            return page(404, title=ENDED, description=ENDED)
        notes = _act(house, request, link, body) if body else []
        if notes is None:
            return RedirectResponse(link.path, 303, HEADERS)
        return _shown(house, request, link, notes) if link.kind == "share" else _demo(house, link)
    except PeopleError as error:
        return page(error.status, title=error.text, description=error.text)


def _act(house: House, request: Request, link: Link, body: dict[str, str]) -> list[Text] | None:
    """Do what a button of the page says; None where the page is to be read again."""
    visitor, action = visitor_of(request.cookies), body.get("do")
    if action == "report":
        house.links.report(link.key, visitor, body.get("reason", ""))
        return [REPORTED]
    if action not in _may_do(house, request, link):
        raise NotFoundError("Only whoever made this link can change it, from the same browser.")
    if action == "delete":
        house.links.delete(link.key)
    else:
        house.links.pin(link.key, action == "pin")
    return None


def _may_do(house: House, request: Request, link: Link) -> dict[str, Text]:
    """Buttons of the page by what they do."""
    caller = caller_of(house, request)
    found: dict[str, Text] = {}
    if link.is_by(visitor_of(request.cookies)) or caller.role == "host":
        found["delete"] = Text("Delete")
        if access.may(caller, "pin"):
            found["unpin" if link.is_pinned else "pin"] = Text("Unpin") if link.is_pinned else Text("Pin")
    return found


def _shown(house: House, request: Request, link: Link, notes: list[Text]) -> Response:
    view = sharing.shown(house, link)
    day = datetime.fromtimestamp(link.ends, UTC).strftime("%Y-%m-%d") if not link.is_pinned else ""
    return page(
        200, title=Text("{title}", title=link.title), description=view.description, application=view.application,
        notes=[*notes, *([view.note] if view.note else [])], asked=view.asked, came=view.came,
        facts=[(Text("Model"), view.model), *view.settings], open=sharing.target(link),
        buttons=list(_may_do(house, request, link).items()), can_report=True,
        kept=[SEALED, Text(ENDS.template, day=day) if day else PINNED],
    )  # fmt: skip


def _demo(house: House, link: Link) -> Response:
    """On to the page with the model chosen, unless the model is gone."""
    if sharing.is_gone(house, link):
        gone = Text("The model {model} is not on this server any more.", model=link.title)
        return page(404, title=gone, description=gone)
    application = APPLICATIONS[link.page]
    return page(
        200, title=Text("{title}", title=link.title), description=application.summary, application=application.title,
        forward=sharing.target(link),
    )  # fmt: skip


def page(status: int, **values: Any) -> Response:
    """A page of the template; what is not given is not on it."""
    empty: dict[str, Any] = {name: [] for name in ("notes", "asked", "came", "facts", "buttons", "kept")}
    empty |= {"application": NOTHING, "forward": "", "open": "", "can_report": False}
    words = _template().render(**said({**empty, "words": WORDS, **values}), language=spoken())
    return HTMLResponse(words, status, HEADERS)


@cache
def _template() -> Any:
    from jinja2 import Environment

    place = Path(__file__).with_name("shared.html")
    return Environment(autoescape=True).from_string(place.read_text(encoding="utf-8"))
