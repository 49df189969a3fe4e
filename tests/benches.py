"""An engine whose models are all fake, with everything that a test wants to look at afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fakes import FakeBackend, fake_runtime

from engine.backends.protocol import Runtime
from engine.catalogue.models import Catalogue, Model
from engine.catalogue.sources import Availability
from engine.catalogue.sources.folder import Folder
from engine.errors import ConflictError
from engine.messages import Text
from engine.serving.compose import House, wrapped
from engine.serving.local import LocalEngine
from engine.settings import Settings
from engine.storage.database import Database
from engine.storage.hosting import Hosting


def model(name: str, memory_bytes: int = 1000, **changes: Any) -> Model:
    """A catalogue entry that needs no file."""
    values: dict[str, Any] = {
        "id": name, "title": name.title(), "family": "fake", "architecture": "causal", "runtime": "transformers",
        "parameters": 1, "languages": ("en", "fr", "de", "es", "zh"), "licence": "MIT", "size_bytes": 10,
        "memory_bytes": memory_bytes, "applications": ("write",), "source": Folder("."),
        "is_embedded": True,
    }  # fmt: skip
    return Model(**values | changes)


def embedded_models() -> tuple[Model, ...]:
    """Fake models under the ids that the applications use by default."""
    return (
        model("smollm2-135m-instruct", is_chat=True, applications=("write", "summarize")),
        model("verse-smollm2", is_chat=True, languages=("en",), applications=("write",)),
        model("gemma-3-270m", applications=("translate", "write", "summarize"), prompt_style="few-shot"),
        model("sentiment-e5", architecture="classification", languages=("en",), applications=("sentiment",)),
        model("multilingual-e5-small", architecture="embedding", applications=("summarize", "explore")),
        model("answer-e5", architecture="extraction", languages=("en",), applications=("answer",)),
    )


class ReadyStore:
    """A store in which everything is there, unless `absent` names it or `error` is to be raised."""

    in_use: Callable[[str], bool]

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.fetched: list[str] = []
        self.owners: list[str] = []
        """Of those fetched the ones with the owner's token."""

    def availability(self, model_id: str) -> Availability:
        if self.error:
            return Availability("absent", 0, 10, message=Text("{said}", said=self.error))
        return Availability("ready", 10, 10)

    def path(self, model_id: str) -> Path:
        if self.error:
            raise self.error
        return Path(model_id)

    def delete(self, model_id: str) -> None:
        if self.in_use(model_id):
            raise ConflictError("in use")

    def fetch(self, model_id: str, *, is_owners: bool = True) -> None:
        self.fetched.append(model_id)
        self.owners += [model_id] if is_owners else []

    def prefetch_embedded(self) -> None: ...

    def size_bytes(self) -> int:
        return 0

    def disk_bytes(self, model_id: str) -> int:
        return 10

    def close(self) -> None: ...


class Bench:
    """`backends` keeps each fake that was loaded, `plan` says which to make (or what to raise), `loads` the order."""

    def __init__(
        self, *models: Model, budget: int = 10_000, queue_length: int = 4, deadline: float = 30, **settings: Any
    ) -> None:
        self.plan: dict[str, Any] = {}
        self.loads: list[str] = []
        self.backends: dict[str, FakeBackend] = {}
        self.load_seconds = 0.0
        self.store = ReadyStore()
        chosen = Settings(memory_bytes=budget, queue_length=queue_length, deadline_seconds=deadline, **settings)
        catalogue = Catalogue(models or (model("a"),))
        catalogue.is_ready = lambda model_id: self.store.availability(model_id).state == "ready"
        self.runtimes = [fake_runtime()]
        """Fastest first."""
        self.local = LocalEngine(
            chosen, catalogue, lambda id: self.store.path(id), runtimes=lambda *about: self.runtimes, load=self.load
        )
        self.kept = TemporaryDirectory()
        storage = Database("", Path(self.kept.name), 10**7)
        hosting = Hosting(storage)
        self.engine = wrapped(self.local, hosting)
        self.store.in_use = self.engine.is_loaded
        self.house = House(self.store, self.engine, storage, hosting)  # type: ignore[arg-type]

    def load(self, model: Model, path: Path, settings: Settings, runtime: Runtime) -> FakeBackend:
        self.loads.append(model.id)
        time.sleep(self.load_seconds)
        made = self.plan.get(model.id) or FakeBackend(memory_bytes=model.memory_bytes)
        if isinstance(made, Exception):
            raise made
        made.tasks = runtime.tasks(model, path, settings)
        self.backends[model.id] = made
        return made
