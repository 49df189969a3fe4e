"""`/sign-in/TOKEN`: makes a browser the host's, once, where a public site has no other sign-in."""

from __future__ import annotations

import secrets

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from engine.errors import PeopleError
from engine.http.callers import greet_host
from engine.http.shared import HEADERS, page
from engine.messages import Text
from engine.serving.compose import House
from engine.serving.roles import has_sign_in

QUESTION = Text("Is this browser the host's?")
ABOUT = Text("The host of this site sees loads, links and reports, and gives out keys. The address works once.")
YES = Text("Yes, sign in as host")
USED = Text("This address was used, or is of an earlier start. The server prints a new one when it is started again.")


async def answer(house: House, request: Request) -> Response:
    """The question, and with the button pressed the cookie: a program that looks at addresses uses none up."""
    return await run_in_threadpool(_answered, house, request)


def _answered(house: House, request: Request) -> Response:
    token = request.path_params["token"]
    is_open = house.settings.is_public and not has_sign_in(house.settings) and bool(house.hosting.token)
    if not is_open or not secrets.compare_digest(token.encode(), house.hosting.token.encode()):
        return page(404, title=USED, description=USED)
    if request.method != "POST":
        return page(200, title=QUESTION, description=ABOUT, notes=[ABOUT], buttons=[("sign-in", YES)])
    try:
        secret = house.hosting.sign_in(token)
    except PeopleError as error:
        return page(error.status, title=error.text, description=error.text)
    if secret is None:
        return page(404, title=USED, description=USED)
    signed_in = RedirectResponse("/host", 303, HEADERS)
    greet_host(signed_in, secret, request.url.scheme == "https")
    return signed_in
