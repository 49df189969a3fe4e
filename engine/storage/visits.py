"""What visitors did on a page: each visit under a key that nobody can guess, and a list for their visitor alone."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from engine.storage import Storage, StorageError

MAX_LISTED = 30
"""Visits of a page that are kept for one visitor; the oldest makes room."""
MAX_TITLE_CHARACTERS = 80
MAX_KEY_CHARACTERS = 64
OWNED = ("share", "demo", "report", "feedback")
"""Kinds of what a visitor has beside visits."""


@dataclass(frozen=True)
class Visit:
    """One of a list; `at` in seconds since 1970."""

    key: str
    title: str
    at: float


class Visits:
    """Keeps each visit for `seconds`. A visitor is a secret of the browser, which is not kept itself."""

    def __init__(self, storage: Storage, seconds: float) -> None:
        self.storage, self.seconds = storage, seconds
        self._lock = threading.Lock()

    def keep(self, visitor: str, page: str, title: str, content: Mapping[str, Any]) -> str:
        """Keep a visit and return its key, which is all that it takes to read it; "" where it could not be kept."""
        key, value = secrets.token_urlsafe(18), {"page": page, "content": dict(content)}
        if not self.storage.write(_name(key), value, self.seconds, kind="visit", owner=visitor):
            return ""
        try:
            with self._lock:
                visits = [Visit(key, _in_short(title), time.time()), *self.of(visitor, page)]
                self._write(visitor, page, visits[:MAX_LISTED])
            self._delete(visits[MAX_LISTED:])
        except StorageError:
            return ""
        return key

    def add(self, visitor: str, key: str, page: str, more: Mapping[str, Any]) -> bool:
        """Add to what is kept of a visit, and whether it was: only this visitor's own, as long as it is kept."""
        content = self.find(key, page)
        if content is None or not any(visit.key == key for visit in self.of(visitor, page)):
            return False
        value = {"page": page, "content": content | dict(more)}
        return self.storage.write(_name(key), value, self.seconds, kind="visit", owner=visitor)

    def find(self, key: str, page: str) -> dict[str, Any] | None:
        """What was kept under that key on that page; None where there is nothing any more."""
        found = self.storage.read(_name(key)) if len(key) <= MAX_KEY_CHARACTERS else None
        content = found.get("content") if found and found.get("page") == page else None
        return content if isinstance(content, dict) else None

    def of(self, visitor: str, page: str) -> list[Visit]:
        """The visitor's visits of a page, the latest first."""
        found = self.storage.read(_list_name(visitor, page)) or {}
        return [Visit(**entry) for entry in found.get("visits", ())]

    def forget(self, visitor: str, page: str, key: str | None = None) -> None:
        """Delete one of the visitor's visits of a page, or all of them; links to them end too."""
        with self._lock:
            visits = self.of(visitor, page)
            gone = [visit for visit in visits if key in (None, visit.key)]
            self._write(visitor, page, [visit for visit in visits if visit not in gone])
        self._delete(gone)

    def all_of(self, visitor: str, pages: Iterable[str]) -> dict[str, list[Any]]:
        """Everything that is kept of a visitor: visits of those pages, and what was shared, by kind."""
        visits = [(page, visit) for page in pages for visit in self.of(visitor, page)]
        found = [asdict(visit) | {"page": page, "content": self.find(visit.key, page)} for page, visit in visits]
        more = {kind: [entry.value for entry in self.storage.listed(kind, visitor)] for kind in OWNED}
        return {"visits": found} | {kind: values for kind, values in more.items() if values}

    def forget_all(self, visitor: str, pages: Iterable[str]) -> None:
        """Delete everything that is kept of a visitor."""
        for page in pages:
            self.forget(visitor, page)
        self.storage.forget(visitor)

    def _write(self, visitor: str, page: str, visits: list[Visit]) -> None:
        name = _list_name(visitor, page)
        if visits:
            self.storage.write(
                name, {"visits": [asdict(visit) for visit in visits]}, self.seconds, kind="history", owner=visitor
            )
        else:
            self.storage.delete(name)

    def _delete(self, visits: list[Visit]) -> None:
        for visit in visits:
            self.storage.delete(_name(visit.key))


def _name(key: str) -> str:
    return f"visit {key}"


def _list_name(visitor: str, page: str) -> str:
    return f"visits of {visitor} on {page}"


def _in_short(title: str) -> str:
    """Its beginning, and that more followed."""
    return title if len(title) <= MAX_TITLE_CHARACTERS else f"{title[: MAX_TITLE_CHARACTERS - 2].rstrip()} …"
