"""Who stands behind a request: a key, a browser, or else an address."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection

from engine.errors import ForbiddenError, UnknownKeyError
from engine.http.visitors import HOST_COOKIE, number_of, visitor_of
from engine.serving import access
from engine.serving.compose import House
from engine.serving.protocol import Caller, Role
from engine.serving.roles import has_sign_in, role_of
from engine.storage.hosting import PREFIX, SIGNED_IN_SECONDS

FOUND = "parlance.caller"
"""In a request's scope: its caller, found before, in a thread."""
OPENAI = "openai"
OTHERS = (OPENAI, "explore", "jobs")
"""Scopes of keys besides the applications' ids: all under /v1, /api/explore and /api/jobs."""


def caller_of(house: House, request: HTTPConnection) -> Caller:
    """The caller of a request. Raises UnknownKeyError, ForbiddenError, StorageError where it cannot be looked up."""
    found: Caller | None = request.scope.get(FOUND)
    return found or _identify(house, request)


def is_kept(house: House, request: HTTPConnection) -> bool:
    """Whether who that is stands in the storage, which takes a thread to look into."""
    shown = request.headers.get("authorization") or request.cookies.get(HOST_COOKIE)
    return bool(shown) or has_sign_in(house.settings)


def remember(house: House, request: HTTPConnection) -> Caller:
    """The caller, found once for a request; for a thread where it `is_kept`."""
    caller: Caller = request.scope.setdefault(FOUND, _identify(house, request))
    return caller


def _identify(house: House, request: HTTPConnection) -> Caller:
    settings = house.settings
    kind, _, secret = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer" and secret.startswith(PREFIX):
        return _keys_caller(house, secret, request.url.path)
    address, visitor = request.client.host if request.client else "", visitor_of(request.cookies)
    role = role_in(house, lambda: house.hosting.claims(request), request.cookies)
    caller = access.caller_of(settings, number_of(visitor) if visitor else address, address=address, role=role)
    if settings.api_needs_key and caller.role == "visitor" and _scope_of(request.url.path):
        raise UnknownKeyError(
            "This API needs a key of its host's. Send it as Authorization: Bearer {key}.", key=PREFIX + "…"
        )
    return caller


def role_in(house: House, claims: Callable[[], Mapping[str, Any]], cookies: Mapping[str, str]) -> Role:
    """Of a browser: by its sign-in where the host named who may, else by the one-time address."""
    if has_sign_in(house.settings):
        return role_of(house.settings, claims())
    return "host" if house.hosting.is_host(cookies.get(HOST_COOKIE, "")) else "visitor"


def _keys_caller(house: House, secret: str, path: str) -> Caller:
    key = house.hosting.key(secret)
    if key is None:
        raise UnknownKeyError(
            "This API key is not known here: it was revoked, or mistyped. Ask whoever runs this site."
        )
    scope = _scope_of(path)
    if key.scopes and scope and scope not in key.scopes:
        raise ForbiddenError(
            "This API key is not for {scope}, only for {scopes}.", scope=scope, scopes=list(key.scopes)
        )
    role: Role = "member" if key.role == "member" else "visitor"
    return access.caller_of(house.settings, f"key {number_of(secret)}", role=role)


def _scope_of(path: str) -> str:
    """What a key must be for to ask that; "" for what is everybody's, such as the documentation."""
    first, _, rest = path.strip("/").partition("/")
    name = rest.partition("/")[0]
    if first == "v1":
        return OPENAI
    name = "answer" if name == "documents" else name
    return name if first == "api" and name not in ("", "docs", "openapi.json", "files") else ""


def greet_host(answer: Any, secret: str, is_secure: bool) -> None:
    """Give a browser the cookie of the site's host."""
    kept = f"Max-Age={int(SIGNED_IN_SECONDS)}; Path=/; HttpOnly; SameSite=Strict{'; Secure' if is_secure else ''}"
    MutableHeaders(raw=answer.raw_headers).append("set-cookie", f"{HOST_COOKIE}={secret}; {kept}")
