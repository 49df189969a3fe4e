"""The cookie by which a browser is known again: chance alone, for its visitor's own history and nothing else."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.types import Scope

COOKIE, HOST_COOKIE = "parlance_visitor", "parlance_host"
YEAR_SECONDS = 365 * 86_400
_NUMBER = re.compile(r"[A-Za-z0-9_-]{32}")


def visitor_of(cookies: Mapping[str, str]) -> str:
    """The visitor that a browser says it is; "" where it says nothing that was given out here."""
    number = str(cookies.get(COOKIE, ""))
    return number if _NUMBER.fullmatch(number) else ""


def number_of(visitor: str) -> str:
    """What a visitor is called in queues, limits and jobs: a hash, since whoever knows the number has the history."""
    return hashlib.sha256(f"caller {visitor}".encode()).hexdigest()[:24]


def greet(scope: Scope, answer: MutableHeaders) -> None:
    """Give a browser that opens a page a number, unless it has one; scripts cannot read it, other sites not send it."""
    is_page = answer.get("content-type", "").startswith("text/html")
    if not is_page or visitor_of(cookie_parser(Headers(scope=scope).get("cookie", ""))):
        return
    secure = "; Secure" if scope.get("scheme") == "https" else ""
    kept = f"Max-Age={YEAR_SECONDS}; Path=/; HttpOnly; SameSite=Lax{secure}"
    answer.append("set-cookie", f"{COOKIE}={secrets.token_urlsafe(24)}; {kept}")
