"""Who comes in at all, to pages and API: names that the server goes by, origins, the pace of a body; and the headers.

A page of another site can have its name point at this machine (DNS rebinding) and then ask as if it were this one: what
it cannot change is the name that the browser sends. An address in numbers is nobody's to point anywhere.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine.errors import InputError
from engine.http.language import listen, said
from engine.http.pace import Paced
from engine.http.visitors import greet
from engine.messages import Text
from engine.serving import access
from engine.serving.allowances import network_of
from engine.settings import Settings

API = ("/api", "/v1", "/healthz", "/readyz", "/metrics")
CLOSED = "/_stcore/metrics"
"""Streamlit's figures of the process, which are the host's alone."""
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
LOCAL_NAMES = ("localhost", "*.localhost")
FIRST_SECONDS = 30.0
BYTES_A_SECOND = 10_000
"""A body has FIRST_SECONDS, and more while it comes at this pace."""
MAX_PAGES = 500
"""Open at a time at one network address: a quarter of all connections, so that nobody can hold them all."""
MAX_SHOWN_CHARACTERS = 100
_PLAIN_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]]+)(:\d+)?")
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # an address holds what a visitor typed
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
API_POLICY = "default-src 'none'"
DOCS_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:"
)
UNKNOWN_HOST = Text("This server does not go by the name {name}. Whoever runs it can add it to PARLANCE_ALLOWED_HOSTS.")
NOT_MEANT = Text(
    "Everybody on the network could use this server as its host. Set PARLANCE_IS_PUBLIC=1 to serve strangers, "
    "PARLANCE_IS_NETWORK_TRUSTED=1 to trust them all, or have it listen on localhost alone."
)
UNKNOWN_ORIGIN = Text("Pages of {name} may not ask this server.")
NOT_THERE = Text("There is no {path}. /api/docs lists what there is.")
NOT_SO = Text("{path} cannot be asked for like that. /api/docs lists what there is.")
TOO_SLOW = Text("The request came too slowly. Send it again.")


def check_listening(address: str | None, settings: Settings) -> bool:
    """Whether the server listens on the network; raises InputError where that is neither public nor meant."""
    if address and is_loopback(address):
        return False
    if not _is_network_meant(settings):
        raise InputError(NOT_MEANT)
    return True


def _is_network_meant(settings: Settings) -> bool:
    return access.caller_of(settings).role != "host" or settings.is_network_trusted


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches that address."""
    try:
        return ipaddress.ip_address(address.strip("[]")).is_loopback
    except ValueError:
        return address == "localhost"


class Door:
    """Around pages and API. `page_policy` is the content policy that the pages bear, without frame-ancestors."""

    def __init__(self, app: ASGIApp, settings: Settings, page_policy: str, origins: Sequence[str] = ()) -> None:
        self.app = app
        self.hosts = (*LOCAL_NAMES, *_listed(settings.allowed_hosts.lower()))
        self.is_network_meant = _is_network_meant(settings)
        self.pages: Counter[str] = Counter()
        """Open ones by their visitors' network address."""
        self.frames = _listed(settings.frame_ancestors)
        self.page_policy = page_policy
        self.is_keeping = settings.storage_bytes > 0
        self.origins = frozenset(
            origin.strip().rstrip("/") for origin in (*origins, *_listed(settings.allowed_origins))
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let it in, or say why not."""
        if scope["type"] not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        listen(scope)
        refusal = self._refusal(scope)
        if scope["type"] == "websocket":
            if refusal is not None:
                return await send({"type": "websocket.close", "code": 1008})  # before it is accepted: status 403
            return await self._page(scope, Paced(receive), send)
        body = _Body(receive)
        answer = _Response(scope, send, self.headers(scope["path"]), body, self.is_keeping)
        try:
            await (self.app if refusal is None else refusal)(scope, body.receive, answer.send)
        except ClientDisconnect:
            if not body.is_too_slow:
                raise
        if body.is_too_slow and not answer.is_begun:
            await answer.replace(refused(scope, 408, "too_slow", TOO_SLOW))

    async def _page(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The line of an open page, which lasts as long as its visitor likes: one address has so many at a time."""
        network = network_of(str((scope.get("client") or [""])[0]))
        if self.pages[network] >= MAX_PAGES:
            return await send({"type": "websocket.close", "code": 1013})
        self.pages[network] += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self.pages[network] -= 1
            if not self.pages[network]:
                del self.pages[network]

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        host, origin = headers.get("host", ""), headers.get("origin")
        if not self.is_network_meant and _came_by_network(scope):
            return refused(scope, 403, "forbidden", NOT_MEANT)
        if not self.is_known(host):
            return refused(scope, 403, "forbidden", UNKNOWN_HOST, name=host)
        is_asking = scope["type"] == "websocket" or scope["method"] not in SAFE_METHODS
        if is_asking and origin is not None and not self.is_own(origin, host):
            return refused(scope, 403, "forbidden", UNKNOWN_ORIGIN, name=origin)
        path = scope["path"].rstrip("/")
        if path.endswith(CLOSED):
            return refused(scope, 404, "not_found", NOT_THERE, path=path)
        return None

    def is_known(self, host: str) -> bool:
        """Whether the server goes by that name (with or without a port): on the list, or an address in numbers."""
        try:
            parts = urlsplit(f"//{host}")
            name, _ = (parts.hostname or "").rstrip("."), parts.port
        except ValueError:
            return False
        if not name or parts.netloc != host or parts.username is not None or not _PLAIN_HOST.fullmatch(host):
            return False
        return _is_number(name) or any(_fits(name, pattern) for pattern in self.hosts)

    def is_own(self, origin: str, host: str) -> bool:
        """Whether a page of that origin may ask: it is this server's own, or the host allowed it."""
        return not self.origins.isdisjoint((origin, "*")) or origin.partition("://")[2].lower() == host.lower()

    def headers(self, path: str) -> dict[str, str]:
        """The headers of every answer at that path."""
        frames = "frame-ancestors " + (" ".join(self.frames) or "'none'")
        own = self.page_policy
        if _is_api(path):
            own = DOCS_POLICY if path.startswith("/api/docs") else API_POLICY
        policy = {"Content-Security-Policy": f"{own}; {frames}"}
        return HEADERS | policy | ({} if self.frames else {"X-Frame-Options": "DENY"})


class _Response:
    """A response on its way out: it gets the headers, and the API's plain refusals become JSON."""

    def __init__(self, scope: Scope, send: Send, headers: Mapping[str, str], body: _Body, greets: bool) -> None:
        self.scope, self.out, self.headers, self.body, self.greets = scope, send, headers, body, greets
        self.is_begun = self.is_replaced = False

    async def send(self, message: Message) -> None:
        """Pass a message on. To a request that came too slowly the app, which took it for gone, has nothing to say."""
        if self.is_replaced or (self.body.is_too_slow and not self.is_begun):
            return
        if message["type"] == "http.response.start":
            self.is_begun = True
            headers = MutableHeaders(scope=message)
            is_json = headers.get("content-type", "").startswith("application/json")
            if _is_api(self.scope["path"]) and 400 <= message["status"] < 499 and not is_json:
                path, status = self.scope["path"], message["status"]
                return await self.replace(refused(self.scope, status, "invalid_request", NOT_SO, path=path))
            for name, value in self.headers.items():
                headers.setdefault(name, value)
            if self.greets and not _is_api(self.scope["path"]):
                greet(self.scope, headers)
        await self.out(message)

    async def replace(self, refusal: Response) -> None:
        """Say that instead."""
        self.is_begun = self.is_replaced = True
        headers = MutableHeaders(raw=list(refusal.raw_headers))
        headers.update(self.headers)
        await self.out({"type": "http.response.start", "status": refusal.status_code, "headers": headers.raw})
        await self.out({"type": "http.response.body", "body": refusal.body})


class _Body:
    """A body on its way in: where it comes too slowly, the app hears that the client went away."""

    def __init__(self, receive: Receive) -> None:
        self.take = receive
        self.end = 0.0
        self.is_whole = self.is_too_slow = False

    async def receive(self) -> Message:
        """The next piece. After the last one only the client's going away is left to hear of, which takes its time."""
        if self.is_whole:
            return await self.take()
        self.end = self.end or asyncio.get_running_loop().time() + FIRST_SECONDS
        try:
            async with asyncio.timeout_at(self.end):
                message = await self.take()
        except TimeoutError:
            self.is_whole = self.is_too_slow = True
            return {"type": "http.disconnect"}
        self.end += len(message.get("body", b"")) / BYTES_A_SECOND
        self.is_whole = not message.get("more_body", False)
        return message


def refused(scope: Scope, status: int, kind: str, sentence: Text, **facts: str) -> Response:
    """A refusal, in JSON for the API. Of a body that came too slowly the rest is not waited for."""
    short = {name: fact[:MAX_SHOWN_CHARACTERS] for name, fact in facts.items()}
    words, headers = said(Text(sentence.template, **short)), {"Connection": "close"} if status == 408 else None
    if not _is_api(scope["path"]):
        return PlainTextResponse(words, status, headers)
    return JSONResponse({"error": {"type": kind, "message": words, "param": None}}, status, headers)


def _is_api(path: str) -> bool:
    return any(path == place or path.startswith(f"{place}/") for place in API)


def _came_by_network(scope: Scope) -> bool:
    """Whether the connection came to an address that others reach, however the server was begun."""
    address = str((scope.get("server") or [""])[0]).removeprefix("::ffff:")
    return _is_number(address) and not is_loopback(address)


def _is_number(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _fits(name: str, pattern: str) -> bool:
    """`*.example.org` is every name under it, `*` every name."""
    return pattern == "*" or name == pattern or (pattern.startswith("*.") and name.endswith(pattern[1:]))


def _listed(words: str) -> list[str]:
    return words.replace(",", " ").split()
