"""Documents that visitors brought, kept in the storage under names that nobody can guess, and for their owner alone."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

import numpy as np

from engine.documents import Document, document_of
from engine.documents.passages import Passage, passages_of
from engine.documents.search import Index, Vectors
from engine.errors import ConflictError, NotFoundError, TooLargeError
from engine.messages import Text, read
from engine.storage import Entry, Storage, StorageError

KIND, PART, VECTORS = "document", "document part", "document vectors"
PART_CHARACTERS = 400_000
"""Of one value in the storage: 1.6 MB at four bytes each."""
MAX_AT_HAND = 32
"""Documents and indexes that are held in memory; the others are read when they are asked for."""
T = TypeVar("T")


@dataclass(frozen=True)
class Kept:
    """What is known of a kept document; times in seconds since 1970."""

    id: str
    title: str
    name: str
    pages: int
    """0 where its kind has none."""
    words: int
    notes: tuple[Text, ...]
    made: float = 0.0
    ends: float = 0.0
    is_again: bool = False
    """Whether its file was here when it was brought; the first of the notes says so."""


class Shelf:
    """Keeps each document for `seconds`; each owner has `most` of them at most, of `most_words` together."""

    def __init__(self, storage: Storage, seconds: float, most: int, most_words: int) -> None:
        self.storage, self.seconds, self.most, self.most_words = storage, seconds, most, most_words
        self._passages: OrderedDict[str, list[Passage]] = OrderedDict()
        self._vectors: OrderedDict[str, Vectors] = OrderedDict()
        self._indexes: OrderedDict[tuple[str, ...], Index] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, owner: str, document: Document, name: str, digest: str = "") -> Kept:
        """Keep a document; `digest` is its file's. Raises ConflictError or TooLargeError where it is one too many, and
        StorageError."""
        self._check_room(owner, document.words)
        id = secrets.token_urlsafe(18)
        pages = document.as_json()["pages"]
        parts = _parts(json.dumps(pages, ensure_ascii=False, separators=(",", ":")))
        kept = Kept(id, document.title, name, _pages(document), document.words, document.notes)
        value = asdict(kept) | {"parts": len(parts), "owner": _hash(owner), "has_pages": document.has_pages}
        value |= {"digest": digest, "notes": [note.as_json() for note in document.notes]}
        is_kept = self._write_parts(owner, id, PART, parts) and self._write(owner, _name(id), value, KIND)
        if not is_kept:
            self._delete(id, len(parts))
            raise StorageError("This document could not be kept: there is no room for it on this server.")
        return self._of(owner, id)

    def again(self, owner: str, digest: str, name: str) -> Kept | None:
        """An owner's document of the same file, brought again as `name`: it is kept as long as a new one."""
        found = (one.value for one in self.storage.listed(KIND, owner, self.most))
        same = next((value for value in found if value.get("digest") == digest), None)
        if same is None:
            return None
        try:
            self.read(owner, same["id"])
        except NotFoundError:  # a part of it had to make room
            return None
        for one in self._names(same["id"], same["parts"]):
            self.storage.extend(one, self.seconds)
        kept = self._of(owner, same["id"])
        told = Text("{file} is here already, as {title}: it stands once.", file=name, title=kept.title)
        return replace(kept, notes=(told, *kept.notes), is_again=True)

    def of(self, owner: str) -> list[Kept]:
        """An owner's documents, the latest first."""
        return [_kept(entry) for entry in self.storage.listed(KIND, owner, self.most)]

    def find(self, owner: str, id: str) -> Kept:
        """What is known of an owner's document. Raises NotFoundError."""
        return self._of(owner, id)

    def read(self, owner: str, id: str) -> Document:
        """An owner's document. Raises NotFoundError, also where a part of it had to make room."""
        value = self._value(owner, id)
        found = [self.storage.read(_name(id, PART, number)) for number in range(value["parts"])]
        if None in found:
            self.delete(owner, id)
            raise _gone()
        pages = json.loads("".join(one["text"] for one in found if one))
        return document_of({**value, "pages": pages})

    def delete(self, owner: str, id: str) -> None:
        """Let go of an owner's document, and of all that was made of it. Raises NotFoundError."""
        value = self._value(owner, id)
        self._delete(id, value["parts"])

    def forget(self, owner: str) -> int:
        """Let go of all documents of an owner; how many they were."""
        documents = self.of(owner)
        for one in documents:
            self.delete(owner, one.id)
        return len(documents)

    def passages(self, owner: str, id: str) -> list[Passage]:
        """An owner's document cut into passages. Raises NotFoundError."""
        self._value(owner, id)
        return self._at_hand(self._passages, id, lambda: passages_of(self.read(owner, id), id))

    def index(self, owner: str, ids: Sequence[str]) -> Index:
        """The passages of some documents, to be searched by words. Raises NotFoundError."""
        passages = [one for id in ids for one in self.passages(owner, id)]
        return self._at_hand(self._indexes, tuple(ids), lambda: Index(passages))

    def vectors(self, owner: str, id: str) -> Vectors | None:
        """A vector for each passage of a document; None where there are none yet. Raises NotFoundError."""
        self._value(owner, id)
        if id in self._vectors:
            return self._vectors[id]
        facts = self.storage.read(_name(id, VECTORS))
        found = [self.storage.read(_name(id, VECTORS, number)) for number in range(facts["parts"])] if facts else [None]
        if facts is None or None in found:
            return None
        content = base64.b64decode("".join(one["text"] for one in found if one))
        made = np.frombuffer(content, dtype=np.float16).reshape(facts["shape"])
        is_whole = len(made) == len(self.passages(owner, id))
        return self._at_hand(self._vectors, id, lambda: made) if is_whole else None

    def keep_vectors(self, owner: str, id: str, vectors: Vectors) -> None:
        """Keep the vectors of a document's passages as long as the document. Raises NotFoundError."""
        self._value(owner, id)
        parts = _parts(base64.b64encode(np.ascontiguousarray(vectors, dtype=np.float16).tobytes()).decode())
        if self._write_parts(owner, id, VECTORS, parts):
            facts = {"parts": len(parts), "shape": list(vectors.shape)}
            self._write(owner, _name(id, VECTORS), facts, VECTORS)
        self._at_hand(self._vectors, id, lambda: vectors)

    def _check_room(self, owner: str, words: int) -> None:
        documents = self.of(owner)
        if len(documents) >= self.most:
            raise ConflictError(
                "You have {most} documents here, the most there are for one. Delete one first.", "file", most=self.most
            )
        have = sum(one.words for one in documents)
        if have + words > self.most_words:
            raise TooLargeError(
                "The document has {words:,} words, and yours have {have:,} already; {most:,} is the limit of all "
                "together. Delete one, or bring a part of it.",
                "file", words=words, have=have, most=self.most_words,
            )  # fmt: skip

    def _value(self, owner: str, id: str) -> dict[str, Any]:
        value = self.storage.read(_name(id)) if owner and 0 < len(id) <= 64 else None
        if value is None:
            self._let_go(id)
        if value is None or value["owner"] != _hash(owner):
            raise _gone()
        return value

    def _of(self, owner: str, id: str) -> Kept:
        self._value(owner, id)
        entry = self.storage.entry(_name(id))
        if entry is None:
            raise _gone()
        return _kept(entry)

    def _write(self, owner: str, name: str, value: dict[str, Any], kind: str) -> bool:
        return self.storage.write(name, value, self.seconds, kind=kind, owner=owner)

    def _write_parts(self, owner: str, id: str, kind: str, parts: Sequence[str]) -> bool:
        return all(
            self._write(owner, _name(id, kind, number), {"text": part}, kind) for number, part in enumerate(parts)
        )

    def _delete(self, id: str, parts: int) -> None:
        for name in self._names(id, parts):
            self.storage.delete(name)
        self._let_go(id)

    def _names(self, id: str, parts: int) -> list[str]:
        """Of all that is kept of a document."""
        facts = self.storage.read(_name(id, VECTORS)) or {"parts": 0}
        names = [_name(id, PART, number) for number in range(parts)]
        names += [_name(id, VECTORS, number) for number in range(facts["parts"])]
        return [_name(id), _name(id, VECTORS), *names]

    def _let_go(self, id: str) -> None:
        """Hold nothing of a document in memory any more."""
        with self._lock:
            self._passages.pop(id, None)
            self._vectors.pop(id, None)
            for ids in [ids for ids in self._indexes if id in ids]:
                del self._indexes[ids]

    def _at_hand(self, held: OrderedDict[Any, T], key: Any, make: Callable[[], T]) -> T:
        with self._lock:
            if key in held:
                held.move_to_end(key)
                return held[key]
        made = make()
        with self._lock:
            held[key] = made
            if len(held) > MAX_AT_HAND:
                held.popitem(last=False)
        return made


def _gone() -> NotFoundError:
    return NotFoundError(
        "This document is not here any more: its time ended, or it was deleted. Bring it again.", "documents"
    )


def _hash(owner: str) -> str:
    return hashlib.sha256(f"owner {owner}".encode()).hexdigest()


def _name(id: str, kind: str = KIND, number: int | None = None) -> str:
    return f"{kind} {id}" if number is None else f"{kind} {id} {number}"


def _parts(text: str) -> list[str]:
    return [text[at : at + PART_CHARACTERS] for at in range(0, len(text), PART_CHARACTERS)]


def _pages(document: Document) -> int:
    return document.pages[-1].number if document.has_pages else 0


def _kept(entry: Entry) -> Kept:
    value = {name: entry.value[name] for name in ("id", "title", "name", "pages", "words")}
    return Kept(**value, notes=tuple(map(read, entry.value["notes"])), made=entry.made, ends=entry.ends)
