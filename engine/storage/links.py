"""Links that a visitor gives away, to a result or to a demo of a model; and what others report about them."""

from __future__ import annotations

import hashlib
import math
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from engine.errors import BusyError, ConflictError, NotFoundError
from engine.storage import FOR_EVER, Entry, Storage, StorageError

Kind = Literal["share", "demo"]
LINK_KINDS: tuple[Kind, ...] = ("share", "demo")
MAX_KEY_CHARACTERS, MAX_TITLE_CHARACTERS, MAX_REASON_CHARACTERS = 64, 120, 500
MAX_OF_ONE = 50
"""Links that one visitor may have at a time."""
REPORT_SECONDS, REPORTS_A_DAY, DAY_SECONDS = 90 * 86_400.0, 500, 86_400.0
"""How long a report is kept, and how many are taken: they do not make way for anything."""


@dataclass(frozen=True)
class Link:
    """What stands behind a key; times in seconds since 1970. `content` is what it shows."""

    key: str
    kind: Kind
    title: str
    page: str
    content: dict[str, Any]
    maker: str
    made: float
    ends: float

    @property
    def is_pinned(self) -> bool:
        return math.isinf(self.ends)

    @property
    def path(self) -> str:
        """Its address on this server."""
        return f"/{'shared' if self.kind == 'share' else 'demo'}/{self.key}"

    def is_by(self, visitor: str) -> bool:
        """Whether that visitor made it."""
        return bool(visitor) and self.maker == _hash(visitor)


class Links:
    """Keeps each link for `seconds`, unless it is pinned. A visitor is a secret of the browser, kept as a hash."""

    def __init__(self, storage: Storage, seconds: float) -> None:
        self.storage, self.seconds = storage, seconds

    def make(self, visitor: str, kind: Kind, title: str, page: str, content: Mapping[str, Any]) -> Link:
        """Keep it under a key that nobody can guess. Raises ConflictError for one too many, StorageError."""
        if len(self.of(visitor)) >= MAX_OF_ONE:
            raise ConflictError("You have {most} links, the most there are for one. Delete one first.", most=MAX_OF_ONE)
        key = secrets.token_urlsafe(18)
        value = {"key": key, "title": title[:MAX_TITLE_CHARACTERS], "page": page, "content": dict(content)}
        seconds = FOR_EVER if kind == "demo" else self.seconds
        if not self.storage.write(_name(key), {**value, "maker": _hash(visitor)}, seconds, kind=kind, owner=visitor):
            raise StorageError("This could not be kept, so it has no link: it is too long, or there is no room.")
        return self._find(key)

    def find(self, key: str) -> Link | None:
        """What is behind a key; None where there is nothing any more."""
        entry = self.storage.entry(_name(key)) if len(key) <= MAX_KEY_CHARACTERS else None
        return _link(entry) if entry else None

    def of(self, visitor: str | None) -> list[Link]:
        """A visitor's own, the latest first; everybody's for None, which is the host's to see."""
        links = [_link(entry) for kind in LINK_KINDS for entry in self.storage.listed(kind, visitor)]
        return sorted(links, key=lambda link: link.made, reverse=True)

    def pin(self, key: str, is_pinned: bool) -> None:
        """Have it stay until it is deleted, or end as long from now as a new one does."""
        self.storage.extend(_name(key), FOR_EVER if is_pinned else self.seconds)

    def delete(self, key: str) -> None:
        """Let go of it, and of what was reported about it."""
        self.storage.delete(_name(key))
        for id, report in self.reports().items():
            if report["key"] == key:
                self.storage.remove(id)

    def report(self, key: str, visitor: str, reason: str) -> None:
        """Tell the host about it; a visitor's second report takes the place of the first. Raises BusyError."""
        link = self._find(key)
        if self.storage.count("reports", 1, DAY_SECONDS)[0] > REPORTS_A_DAY:
            raise BusyError("There were too many reports today. Report it tomorrow, or write to whoever runs this.")
        value = {"key": key, "title": link.title, "reason": reason.strip()[:MAX_REASON_CHARACTERS], "at": time.time()}
        self.storage.write(f"report {key} {visitor}", value, REPORT_SECONDS, kind="report", owner=visitor)

    def reports(self) -> dict[str, dict[str, Any]]:
        """What was reported, by the id under which it is dismissed."""
        return {entry.id: entry.value for entry in self.storage.listed("report", most=500)}

    def _find(self, key: str) -> Link:
        link = self.find(key)
        if link is None:
            raise NotFoundError("This link has ended, or was deleted.")
        return link


def _name(key: str) -> str:
    return f"link {key}"


def _link(entry: Entry) -> Link:
    return Link(**entry.value, kind=entry.kind, made=entry.made, ends=entry.ends)  # type: ignore[arg-type]


def _hash(visitor: str) -> str:
    return hashlib.sha256(f"maker {visitor}".encode()).hexdigest()
