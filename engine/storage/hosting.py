"""What the host decides: API keys, who is signed in as host, and switches. Secrets are kept as hashes alone."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.errors import ConflictError, InputError
from engine.storage import FOR_EVER, Storage, StorageError

PREFIX = "parlance-"
"""Of API keys, by which one of ours is told from what a client sends where none is needed."""
SIGNED_IN_SECONDS = 30 * 86_400.0
RECENT_SECONDS = 5.0
"""How long what was read counts: a key that is revoked works for as long at most."""
MAX_KEYS, MAX_TITLE_CHARACTERS, MAX_RECENT = 200, 80, 1_000


@dataclass(frozen=True)
class Key:
    """An API key, without its secret. `scopes` are what it may ask, empty for all; `made` in seconds since 1970."""

    id: str
    title: str
    role: str
    scopes: tuple[str, ...]
    made: float


class Recent:
    """What a function said lately, so that not each look asks the database."""

    def __init__(self, function: Callable[[str], Any], now: Callable[[], float] = time.monotonic) -> None:
        self.function, self.now = function, now
        self._known: dict[str, tuple[float, Any]] = {}
        self._lock = threading.Lock()

    def __call__(self, name: str) -> Any:
        """As the function, at most RECENT_SECONDS old."""
        with self._lock:
            at, value = self._known.get(name, (-RECENT_SECONDS, None))
        if self.now() - at < RECENT_SECONDS:
            return value
        value = self.function(name)
        with self._lock:
            if len(self._known) >= MAX_RECENT:
                self._known.clear()
            self._known[name] = (self.now(), value)
        return value

    def forget(self) -> None:
        """Ask anew from now on."""
        with self._lock:
            self._known.clear()


class Hosting:
    """Keys, sign-ins and switches. `token` makes one browser the host's, once."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.token = secrets.token_urlsafe(24)
        self.claims: Callable[[Any], Mapping[str, Any]] = lambda request: {}
        """Set by the pages: what a sign-in told of whoever sends a request."""
        self._lock = threading.Lock()
        self._keys = Recent(lambda secret: storage.read(f"key {secret}"))
        self._signed_in = Recent(lambda secret: storage.read(f"sign-in {secret}") is not None)
        self._switches = Recent(lambda name: storage.read(f"switch {name}") is not None)

    def sign_in(self, token: str) -> str | None:
        """The secret for a browser's cookie, for the token of this start; None for any other, and the second time."""
        with self._lock:
            if not self.token or not secrets.compare_digest(token.encode(), self.token.encode()):
                return None
            secret = secrets.token_urlsafe(32)
            if not self.storage.write(f"sign-in {secret}", {"at": time.time()}, SIGNED_IN_SECONDS, kind="sign-in"):
                raise StorageError("This sign-in could not be kept. Try again in a minute.")
            self.token = ""
        return secret

    def sign_out_all(self) -> None:
        """End every sign-in by token."""
        for entry in self.storage.listed("sign-in"):
            self.storage.remove(entry.id)
        self._signed_in.forget()

    def is_host(self, secret: str) -> bool:
        """Whether a browser with that cookie is the host's; nobody is while that cannot be read."""
        try:
            return bool(secret) and bool(self._signed_in(secret))
        except StorageError:
            return False

    def make_key(self, title: str, role: str = "visitor", scopes: Sequence[str] = ()) -> str:
        """A new key's secret, which is shown once. Raises InputError, ConflictError, StorageError."""
        title = " ".join(title.split())[:MAX_TITLE_CHARACTERS]
        if not title:
            raise InputError("The key has no name. Say whom it is for.", param="title")
        if len(self.keys()) >= MAX_KEYS:
            raise ConflictError("There are {most} keys, the most there may be. Revoke one first.", most=MAX_KEYS)
        secret = PREFIX + secrets.token_urlsafe(32)
        value = {"title": title, "role": role, "scopes": list(scopes)}
        if not self.storage.write(f"key {secret}", value, FOR_EVER, kind="key"):
            raise StorageError("The key could not be kept. Try again in a minute.")
        return secret

    def key(self, secret: str) -> Key | None:
        """The key with that secret; None for one that is unknown or revoked."""
        found = self._keys(secret)
        return Key(secret[-6:], found["title"], found["role"], tuple(found["scopes"]), 0.0) if found else None

    def keys(self) -> list[Key]:
        """All keys, the latest first."""
        return [
            Key(entry.id, entry.value["title"], entry.value["role"], tuple(entry.value["scopes"]), entry.made)
            for entry in self.storage.listed("key", most=MAX_KEYS)
        ]

    def revoke(self, id: str) -> None:
        """Have a key that `keys` showed be unknown, here at once, on other servers within seconds."""
        self.storage.remove(id)
        self._keys.forget()

    def is_on(self, name: str) -> bool:
        """Whether that switch is on; off while it cannot be read."""
        try:
            return bool(self._switches(name))
        except StorageError:
            return False

    def switch(self, name: str, is_on: bool) -> None:
        """Turn it, for all servers and until it is turned again. Raises StorageError."""
        if not is_on:
            self.storage.delete(f"switch {name}")
        elif not self.storage.write(f"switch {name}", {"at": time.time()}, FOR_EVER, kind="switch"):
            raise StorageError("This could not be kept. Try again in a minute.")
        self._switches.forget()
