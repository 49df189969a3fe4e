"""Where the house is put together: catalogue, store, engine and what is wrapped around it."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from engine.backends import loader
from engine.backends.apart.parent import Apart
from engine.backends.ggml.memory import fitted
from engine.backends.protocol import Backend, Runtime
from engine.catalogue import tuned
from engine.catalogue.models import Catalogue, Model, read_catalogue
from engine.catalogue.store import Store
from engine.documents import read_document
from engine.documents.shelf import Kept, Shelf
from engine.errors import ConflictError
from engine.jobs.apart import shown
from engine.serving.access import Action, check, members_may, obstacle, owner_of
from engine.serving.allowances import Allowances
from engine.serving.indexing import Indexing
from engine.serving.limited import Limited
from engine.serving.local import LocalEngine
from engine.serving.protocol import Caller, Engine
from engine.serving.repeats import Repeats
from engine.settings import Settings
from engine.storage import Storage, open_storage
from engine.storage.feedback import Feedback
from engine.storage.hosting import Hosting
from engine.storage.links import Links
from engine.storage.visits import Visits


@dataclass(frozen=True, eq=False)
class House:
    """What pages and the HTTP API are given: the engine, the store of weights beside it, and what is kept of visits."""

    store: Store
    engine: Engine
    storage: Storage
    hosting: Hosting
    apart: Apart | None = None
    """The process of the models that do not work in this one."""
    ending: threading.Event = field(default_factory=threading.Event)
    """Set when it closes: what works in its threads leaves off, to be taken up later."""

    @property
    def settings(self) -> Settings:
        return self.engine.settings

    @property
    def catalogue(self) -> Catalogue:
        return self.engine.catalogue

    @cached_property
    def visits(self) -> Visits:
        return Visits(self.storage, self.settings.keep_days * 86_400)

    @cached_property
    def allowances(self) -> Allowances:
        return Allowances(self.storage, self.engine)

    @cached_property
    def feedback(self) -> Feedback:
        return Feedback(self.storage)

    @cached_property
    def documents(self) -> Shelf:
        own = self.settings
        words = own.public_document_words if own.is_public else own.document_words
        return Shelf(self.storage, own.document_days * 86_400, own.max_documents, words)

    @cached_property
    def indexing(self) -> Indexing:
        return Indexing(self.engine, self.documents)

    @cached_property
    def links(self) -> Links:
        return Links(self.storage, self.settings.share_days * 86_400)

    def fetch(self, model_id: str, caller: Caller) -> None:
        """Begin to fetch a model's weights. Raises ConflictError for who may not, and as `Store.fetch`."""
        check(caller, _to_fetch(self.catalogue.find(model_id)))
        self.store.fetch(model_id, is_owners=caller.role == "host")

    def bring(self, content: bytes, name: str, caller: Caller) -> Kept:
        """Read a document that a caller brings, keep it, and have its index made; one that is here already stands once.

        Raises ConflictError for who may not, and as `read_document` and `Shelf.add`.
        """
        check(caller, "upload")
        owner = owner_of(self.settings, caller)
        if not self.settings.storage_bytes:
            raise ConflictError("This server keeps nothing, so no documents. Paste the passage instead.", "file")
        digest = hashlib.sha256(content).hexdigest()
        kept = self.documents.again(owner, digest, shown(name))
        if kept is None:
            kept = self.documents.add(owner, read_document(content, name), shown(name), digest)
        self.indexing.begin(owner, kept.id, caller)
        return kept

    def delete(self, model_id: str, caller: Caller) -> None:
        """Unload an idle model and delete its files. Raises ConflictError for who may not or while it is at work."""
        check(caller, "delete")
        self.engine.unload(model_id, caller)
        self.store.delete(model_id)

    def warm_up(self) -> None:
        """Import what the embedded models need before anybody waits for it, each where it works."""
        loader.warm_up(is_apart=False if self.apart else None)
        if self.apart:
            self.apart.prepare()

    def close(self) -> None:
        """Stop fetching, cancel everything, free all models."""
        self.ending.set()
        self.indexing.close()
        self.store.close()
        self.engine.close()
        if self.apart:
            self.apart.close()
        self.storage.close()


def open_house(settings: Settings, *, more: Iterable[Model] = ()) -> House:
    """The house with these settings; it knows the catalogue, the runs in use, and `more` models."""
    members_may(settings)  # a setting that names nothing is told at the start
    catalogue = read_catalogue()
    for model in (*tuned.models(settings.runs_folder), *more):
        catalogue.add(model)
    sizes = {model.id: model.size_bytes for model in catalogue.models.values()}
    catalogue.models |= {
        id: fitted(model, settings, sizes.get(model.source.carrier, 0)) for id, model in catalogue.models.items()
    }
    store = Store(settings, catalogue, loader.install_commands)
    apart = Apart() if settings.is_torch_apart else None

    def read(model: Model, path: Path, settings: Settings, runtime: Runtime) -> Backend:
        store.check(model.id)
        return loader.load(model, path, settings, runtime, apart)

    local = LocalEngine(settings, catalogue, store.open, load=read)
    store.in_use = local.is_loaded
    store.obstacle = lambda model: obstacle(settings, _to_fetch(model))
    storage = open_storage(settings)
    hosting = Hosting(storage)
    return House(store, wrapped(local, hosting), storage, hosting, apart)


def _to_fetch(model: Model) -> Action:
    return "fetch embedded" if model.is_embedded else "fetch"


def wrapped(engine: Engine, hosting: Hosting) -> Engine:
    """The engine with what concerns all requests around it, the innermost first; a host's switch acts at once."""
    if engine.settings.result_cache_bytes:
        engine = Repeats(engine, engine.settings.result_cache_bytes)
    return Limited(engine, hosting)
