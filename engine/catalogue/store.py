"""Which models are there, fetching the others in the background, deleting them.

What a kind of source does stands in `sources`, how files lie on the disk in `cache`; here are the states, the threads
and the checks of the disk. `python -m engine.catalogue` is the command line.
"""

from __future__ import annotations

import atexit
import errno
import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from engine.catalogue.cache import Cache, key
from engine.catalogue.checkpoints import described
from engine.catalogue.fetches import Fetch, read_progress
from engine.catalogue.installs import Commands, Installs
from engine.catalogue.models import Catalogue, Model, hub_model
from engine.catalogue.sources import Availability, Fetching
from engine.catalogue.sources.hub import HUB_ID
from engine.catalogue.transfer import Stopped
from engine.errors import BusyError, ConflictError, NotFoundError, NotReadyError, PeopleError
from engine.files import folder_bytes
from engine.messages import Text
from engine.settings import Settings
from engine.sizes import size_in_words

log = logging.getLogger(__name__)

CONCURRENT_FETCHES = 3
MAX_FETCHES = 20
"""Running and waiting."""
MAX_REMEMBERED = 200
"""Past fetches of which the outcome is kept."""
DISK_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}


@dataclass(frozen=True)
class Entry:
    """What the cache holds of one model; `last_used` in seconds since 1970."""

    id: str
    title: str
    size_bytes: int
    last_used: float
    is_ready: bool
    copies_bytes: int = 0
    """Of the size: what was made of the weights for runtimes."""


class Store:
    """The weights of one machine. Any number of stores, in threads and processes, may share a cache folder."""

    def __init__(self, settings: Settings, catalogue: Catalogue, commands: Commands = lambda *_: ()) -> None:
        self.settings, self.catalogue = settings, catalogue
        self.in_use: Callable[[str], bool] = lambda model_id: False
        """Set by the engine: whether a model is in memory, and so not to be deleted."""
        self.obstacle: Callable[[Model], Text | None] = lambda model: None
        """Set by the house: what keeps those who come here from fetching a model."""
        self.free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free
        self._cache = Cache(settings.cache_folder)
        self._fetches: dict[str, Fetch] = {}
        self.installs = Installs(commands, settings)
        """Copies for runtimes, made when weights have come and when somebody opens them."""
        self._lock = threading.Lock()
        self._turns = threading.BoundedSemaphore(CONCURRENT_FETCHES)
        with suppress(OSError):
            self._cache.sweep()
        catalogue.describe = self._describe
        catalogue.is_ready = lambda model_id: self.availability(model_id).state == "ready"
        catalogue.at_hand = self._at_hand
        for model in filter(None, map(self._describe, self._cache.model_ids())):
            catalogue.add(model)
        atexit.register(self.close)

    def availability(self, model_id: str) -> Availability:
        """The model's state; reads a few small files at most. Raises NotFoundError."""
        model = self.catalogue.find(model_id)
        if model.source.carrier and (of_base := self.availability(model.source.carrier)).state != "ready":
            return of_base
        fetch = self._fetches.get(model.id)
        if fetch and fetch.state == "fetching":
            return (self._elsewhere(model) if fetch.is_waiting else None) or fetch.progress
        now = model.source.availability(model, self._cache)
        if now.state == "ready":
            return now
        if other := self._elsewhere(model):
            return other
        if fetch and fetch.error:
            return Availability("failed", fetch.transfer.done_bytes, now.total_bytes, message=fetch.error.text)
        return now

    def path(self, model_id: str) -> Path:
        """The GGUF file or the folder of a ready model, noted as used now.

        Raises NotReadyError while it is fetched, the fetch's error when that failed (NotReadyError mostly),
        ConflictError when nobody asked for it yet.
        """
        model = self.catalogue.find(model_id)
        now = self.availability(model.id)
        if now.state != "ready":
            raise self._not_ready(self.catalogue.find(model.source.carrier or model.id), now)
        return model.source.path(model, self._cache)

    def open(self, model_id: str) -> Path:
        """`path` for somebody who loads the weights; copies that would serve the model faster are made meanwhile."""
        path = self.path(model_id)
        self.installs.begin(self.catalogue.find(model_id), path)
        return path

    def check(self, model_id: str) -> None:
        """Raise NotReadyError where a file of a fetched model is not what arrived; hashed once in a process."""
        model = self.catalogue.find(model_id)
        if model.source.carrier:
            self.check(model.source.carrier)
        if model.source.is_fetched and (problem := self._cache.check(model)):
            raise NotReadyError(problem, param="model")

    def fetch(self, model_id: str, *, is_owners: bool = True) -> None:
        """Begin to fetch a model in the background; nothing happens when it is ready or on its way.

        The owner's token of the Hub goes with the owner's own downloads alone. Raises BusyError when too many wait
        already, NotFoundError.
        """
        model = self.catalogue.find(model_id)
        model = self.catalogue.find(model.source.carrier) if model.source.carrier else model
        if not model.source.is_fetched or self.availability(model.id).state == "ready":
            return
        self._start([model], is_owners)

    def prefetch_embedded(self) -> None:
        """Begin to fetch the embedded models one after the other, unless the settings say no."""
        if self.settings.prefetch:
            self._start([model for model in self.embedded() if self.availability(model.id).state != "ready"])

    def embedded(self) -> list[Model]:
        """The embedded models that have to be fetched once."""
        return [model for model in self.catalogue.models.values() if model.is_embedded and model.source.is_fetched]

    def install_embedded(self) -> None:
        """Begin to make the copies that the first answers of embedded models would do without, unless the settings say
        to do nothing ahead."""
        for model in list(self.catalogue.models.values()) if self.settings.prefetch else ():
            if model.is_embedded and self.availability(model.id).state == "ready":
                self.open(model.id)

    def wait(self, model_id: str, timeout_seconds: float) -> None:
        """Wait for a fetch to end, wherever it runs. Raises as `path` does when the model is not ready then."""
        deadline = time.monotonic() + timeout_seconds
        while self.availability(model_id).state == "fetching" and time.monotonic() < deadline:
            time.sleep(0.05)
        self.path(model_id)

    def entries(self) -> list[Entry]:
        """What the cache holds, last used first, unfinished downloads too."""
        return sorted(map(self._entry, self._cache.model_ids()), key=lambda entry: -entry.last_used)

    def size_bytes(self) -> int:
        """What the cache folder takes on the disk."""
        return folder_bytes(self._cache.folder)

    def disk_bytes(self, model_id: str) -> int:
        """What a ready model takes on the disk, with the copies made for runtimes."""
        model = self.catalogue.find(model_id)
        if model.source.is_fetched:
            return self._cache.model_bytes(model.id)
        path = model.source.path(model, self._cache)
        return path.stat().st_size if path.is_file() else folder_bytes(path)

    def delete(self, model_id: str) -> None:
        """Delete a model's files and unfinished downloads.

        Raises ConflictError when in use, being fetched, or kept by others; NotFoundError when nothing is there.
        """
        model = self.catalogue.find(model_id)
        if self.in_use(model.id):
            raise ConflictError("{title} is in use. Unload it first, then delete it.", param="model", title=model.title)
        try:
            with self._cache.locked(model.id, gives_up=lambda: True):
                model.source.delete(model, self._cache)
        except OSError as error:
            raise NotReadyError(
                "{title} cannot be deleted: the cache folder cannot be written ({reason}). Check the folder and its "
                "permissions, then try again.",
                param="model", title=model.title, reason=error.strerror or type(error).__name__,
            ) from error  # fmt: skip
        with self._lock:
            if not self._is_fetching(model.id):
                self._fetches.pop(model.id, None)
        if HUB_ID.fullmatch(model.id):
            self.catalogue.remove(model.id)

    def close(self) -> None:
        """Stop every fetch and wait for its thread to let go. What arrived whole stays for the next time."""
        atexit.unregister(self.close)
        fetches = list(self._fetches.values())
        for fetch in fetches:
            fetch.transfer.is_stopped.set()
        for fetch in fetches:
            fetch.is_over.wait(5)
        self.installs.close()

    def _not_ready(self, model: Model, now: Availability) -> PeopleError:
        if now.state == "fetching":
            seconds = min(600.0, max(1.0, now.seconds_left or 10.0))
            percent = f"{100 * now.done_bytes / now.total_bytes:.0f} %" if now.total_bytes else Text("starting")
            return NotReadyError(
                "{title} is being downloaded ({percent}). Try again in {seconds} seconds.",
                param="model", retry_seconds=seconds, title=model.title, percent=percent, seconds=round(seconds),
            )  # fmt: skip
        if now.state == "absent":
            return ConflictError("{state} {step}", param="model", state=now.message, step=self._next_step(model))
        fetch = self._fetches.get(model.id)
        kind = type(fetch.error) if fetch and fetch.error else NotReadyError
        return kind(now.message, param="model", retry_seconds=30.0 if kind is NotReadyError else None)

    def _next_step(self, model: Model) -> Text:
        return (self.obstacle(model) if model.source.is_fetched else None) or model.source.next_step(model)

    def _elsewhere(self, model: Model) -> Availability | None:
        """The progress of another process that fetches this model."""
        return read_progress(self._cache.progress(model.id))

    def _at_hand(self, models: Iterable[Model]) -> list[Model]:
        names = self._cache.names()
        return [model for model in models if not model.source.is_fetched or key(model.id) in names]

    def _entry(self, model_id: str) -> Entry:
        title, is_ready = model_id, False
        with suppress(NotFoundError):
            model = self.catalogue.find(model_id)
            title, is_ready = model.title, self._cache.problem(model) is None
        size, copies = self._cache.model_bytes(model_id), self._cache.copies_bytes(model_id)
        return Entry(model_id, title, size, self._cache.last_used(model_id), is_ready, copies)

    def _describe(self, model_id: str) -> Model | None:
        """A downloaded Hub model as its own files tell it."""
        facts = self._cache.manifest(model_id).get("facts") if HUB_ID.fullmatch(model_id) else None
        return described(hub_model(model_id), facts) if facts else None

    def _start(self, models: Sequence[Model], is_owners: bool = True) -> None:
        with self._lock:
            fetches = [Fetch(model, is_owners) for model in models if not self._is_fetching(model.id)]
            going = {id: fetch for id, fetch in self._fetches.items() if fetch.state == "fetching"}
            if fetches and len(going) + len(fetches) > MAX_FETCHES:
                raise BusyError(
                    "{count} downloads are under way. Wait for one to end.", retry_seconds=60.0, count=len(going)
                )
            if len(self._fetches) > MAX_REMEMBERED:
                self._fetches = going
            self._fetches |= {fetch.model.id: fetch for fetch in fetches}
        if fetches:
            threading.Thread(target=self._work, args=(fetches,), name="store-fetch", daemon=True).start()

    def _is_fetching(self, model_id: str) -> bool:
        fetch = self._fetches.get(model_id)
        return fetch is not None and fetch.state == "fetching"

    def _work(self, fetches: Sequence[Fetch]) -> None:
        """Fetch these one after the other; whatever happens, each ends as ready or failed with a sentence."""
        for number, fetch in enumerate(fetches, start=1):
            title = fetch.model.title
            try:
                with self._turns:
                    self._fetch(fetch, fetches[number:])
                fetch.end()
                self.open(fetch.model.id)
            except PeopleError as error:
                fetch.end(error)
            except Stopped:
                fetch.end(NotReadyError("The download of {title} was stopped. Start it again.", title=title))
            except OSError as error:
                log.exception("fetching %s", fetch.model.id)
                fetch.end(self._explain_disk(fetch.model, error))
            except Exception:
                log.exception("fetching %s", fetch.model.id)
                fetch.end(NotReadyError("Fetching {title} failed for a reason unknown; see the log.", title=title))

    def _fetch(self, fetch: Fetch, later: Sequence[Fetch]) -> None:
        model, folder = fetch.model, self._cache.partial(fetch.model.id)
        with self._cache.locked(model.id, gives_up=fetch.transfer.is_stopped.is_set):
            fetch.is_waiting = False
            fetch.transfer.beat()
            if self._cache.problem(model) is None or self._cache.renew(model, fetch.transfer):
                return
            folder.mkdir(parents=True, exist_ok=True)
            fetch.transfer.on_change = lambda: fetch.note(self._cache.progress(model.id))
            try:
                fetched = model.source.fetch(self._fetching(fetch))
                for other in later:
                    model.source.hand_on(folder, other.model.source, self._cache.partial(other.model.id))
                self._cache.install(model.id, folder / "files", fetched.digests, fetched.notes)
                if told := self._describe(model.id):
                    self.catalogue.add(told)
            finally:
                with suppress(OSError):  # the folder is gone where all went well
                    fetch.note(self._cache.progress(model.id), is_going=False)
                self._cache.drop_empty(model.id)

    def _fetching(self, fetch: Fetch) -> Fetching:
        model, seconds = fetch.model, self.settings.network_timeout_seconds
        folder, known = self._cache.partial(model.id), self._cache.manifest(model.id)
        registry = self.settings.translators_url
        room = partial(self._check_room, model)
        return Fetching(model, folder, known, fetch.transfer, seconds, registry, room, fetch.is_owners)

    def _check_room(self, model: Model, needed_bytes: int) -> None:
        free, limit = self.free_bytes(self._cache.folder), self.settings.max_disk_bytes
        title, needed = model.title, size_in_words(needed_bytes)
        if needed_bytes > free:
            raise NotReadyError(
                "{title} needs {needed} on the disk and {free} are free. Delete models or other files, then try again.",
                title=title, needed=needed, free=size_in_words(free),
            )  # fmt: skip
        if self.size_bytes() + needed_bytes > limit:
            raise NotReadyError(
                "{title} needs {needed}; with it the cache would pass its limit of {limit}. Delete models, or raise "
                "PARLANCE_MAX_DISK_BYTES.",
                title=title, needed=needed, limit=size_in_words(limit),
            )  # fmt: skip

    def _explain_disk(self, model: Model, error: OSError) -> NotReadyError:
        if error.errno in DISK_FULL:
            return NotReadyError(
                "The disk filled up: {title} needs {needed} and {free} are free. Free some space, try again.",
                title=model.title, needed=size_in_words(model.size_bytes),
                free=size_in_words(self.free_bytes(self._cache.folder)),
            )  # fmt: skip
        return NotReadyError(
            "{title} could not be written to the cache folder ({reason}). Check the folder, try again.",
            title=model.title, reason=error.strerror,
        )  # fmt: skip
