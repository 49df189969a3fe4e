"""Files on their way into the server's memory: whether they may come, and how much of them it keeps."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from engine.errors import PeopleError
from engine.http.callers import caller_of
from engine.http.door import refused
from engine.messages import Text
from engine.serving import access
from engine.serving.compose import House
from engine.serving.protocol import Caller
from engine.settings import available_memory_bytes
from engine.sizes import size_in_words

PLACE = re.compile(r"/_stcore/upload_file/([^/]+)/")
FILES = 3
"""Of the largest size that one session may have here at a time: to learn from, held out, and one that replaces them."""
SHARE = 8
"""All sessions together may have this part of the machine's memory."""
TOO_MANY = Text("This visit has files of {kept} here, and {most} is the limit. Remove one, then bring the next.")
FULL = Text("Other visitors' files fill the memory for files. Try again later.")
NO_LENGTH = Text("The size of the file is not told. Send it with Content-Length.")


class Uploads:
    """Around the pages. `kept` tells the bytes of files of each session, `most_bytes` is the limit of one file."""

    def __init__(
        self, app: ASGIApp, most_bytes: int, kept: Callable[[], Mapping[str, int]],
        house: Callable[[], House],
    ) -> None:  # fmt: skip
        self.app, self.kept, self.house = app, kept, house
        self.most_bytes = FILES * most_bytes
        self.most_together = max(self.most_bytes, available_memory_bytes() // SHARE)
        self.coming: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a file in, or say why not before any of it is read."""
        place = PLACE.search(scope["path"]) if scope["type"] == "http" and scope["method"] == "PUT" else None
        if place is None:
            return await self.app(scope, receive, send)
        session, told = place[1], Headers(scope=scope).get("content-length", "")
        size = int(told) if told.isdecimal() and len(told) < 20 else None
        try:
            caller = await run_in_threadpool(self._caller, HTTPConnection(scope))
            if refusal := self._refusal(scope, session, size, caller):
                return await refusal(scope, receive, send)
            with self._expected(session, size or 0):
                await run_in_threadpool(self.house().allowances.take, caller, "uploads")
                await self.app(scope, receive, send)
        except PeopleError as error:
            await refused(scope, error.status, error.kind, error.text)(scope, receive, send)

    def _caller(self, request: HTTPConnection) -> Caller:
        return caller_of(self.house(), request)

    def _refusal(self, scope: Scope, session: str, size: int | None, caller: Caller) -> Response | None:
        if not access.may(caller, "upload"):
            return refused(scope, 403, "forbidden", access.REFUSALS["upload"])
        if size is None:
            return refused(scope, 411, "invalid_request", NO_LENGTH)
        kept = self.coming + Counter(self.kept())
        if kept[session] + size > self.most_bytes:
            have, most = size_in_words(kept[session]), size_in_words(self.most_bytes)
            return refused(scope, 413, "too_large", TOO_MANY, kept=have, most=most)
        if kept.total() + size > self.most_together:
            return refused(scope, 503, "not_ready", FULL)
        return None

    @contextmanager
    def _expected(self, session: str, size: int) -> Iterator[None]:
        """Count a file from its announcement on: many at once would each see that there is room."""
        self.coming[session] += size
        try:
            yield
        finally:
            self.coming[session] -= size
            if not self.coming[session]:
                del self.coming[session]
