"""Which models are there, fetching the others in the background, deleting them.

`cache` lays files out on the disk, `download` moves the bytes; here are the states, the threads and the sentences.
`python -m engine.catalogue.store` fetches from the command line.
"""

from __future__ import annotations

import argparse
import atexit
import errno
import hashlib
import logging
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from engine.catalogue.cache import PLAN, PROGRESS, Cache
from engine.catalogue.download import Stopped, Transfer, ask_hub, download_wheel, sha256, unpack
from engine.catalogue.hub import ERRORS, read_facts
from engine.catalogue.models import HUB_ID, Catalogue, Model, hub_model, read_catalogue
from engine.errors import BusyError, ConflictError, NotFoundError, NotReadyError, PeopleError
from engine.files import folder_bytes, read_json, write_json
from engine.settings import ROOT, Settings, current
from engine.sizes import size_in_words

log = logging.getLogger(__name__)

State = Literal["ready", "absent", "fetching", "failed"]
CONCURRENT_FETCHES = 3
MAX_FETCHES = 20
"""Running and waiting."""
MAX_REMEMBERED = 200
"""Past fetches of which the outcome is kept."""
HEARTBEAT_SECONDS = 0.5
FRESH_SECONDS = 10.0
"""A progress file older than this belongs to a process that is gone."""
DISK_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}


@dataclass(frozen=True)
class Availability:
    """Whether a model can be used now, and if not, how far it is. Speed and time are None while unknown."""

    state: State
    done_bytes: int = 0
    total_bytes: int = 0
    bytes_per_second: float | None = None
    seconds_left: float | None = None
    message: str = ""


@dataclass(frozen=True)
class Entry:
    """What the cache holds of one model; `last_used` in seconds since 1970."""

    id: str
    title: str
    size_bytes: int
    last_used: float
    is_ready: bool


class _Fetch:
    """One model on its way: written by its thread, read by anybody."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.transfer = Transfer(_download_bytes(model))
        self.state: State = "fetching"
        self.error: PeopleError | None = None
        self.is_waiting = True
        """For its turn here, or for another process that fetches the same model."""
        self.is_over = threading.Event()

    def end(self, error: PeopleError | None = None) -> None:
        self.error = error
        self.state = "failed" if error else "ready"
        self.is_over.set()


class Store:
    """The weights of one machine. Any number of stores, in threads and processes, may share a cache folder."""

    def __init__(self, settings: Settings, catalogue: Catalogue) -> None:
        self.settings, self.catalogue = settings, catalogue
        self.in_use: Callable[[str], bool] = lambda model_id: False
        """Set by the engine: whether a model is in memory, and so not to be deleted."""
        self.free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free
        self._cache = Cache(settings.cache_folder)
        self._fetches: dict[str, _Fetch] = {}
        self._lock = threading.Lock()
        self._turns = threading.BoundedSemaphore(CONCURRENT_FETCHES)
        catalogue.describe = self._describe
        for described in filter(None, map(self._describe, self._cache.model_ids())):
            catalogue.add(described)
        atexit.register(self.close)

    def availability(self, model_id: str) -> Availability:
        """The model's state; reads a few small files at most. Raises NotFoundError."""
        model = self.catalogue.find(model_id)
        if model.source.kind == "local":
            return self._local(model)
        fetch = self._fetches.get(model.id)
        if fetch and fetch.state == "fetching":
            return (self._elsewhere(model) if fetch.is_waiting else None) or _progress(fetch)
        problem = self._cache.problem(model)
        if problem is None:
            return Availability("ready", model.size_bytes, model.size_bytes)
        if other := self._elsewhere(model):
            return other
        total = _download_bytes(model)
        if fetch and fetch.error:
            return Availability("failed", fetch.transfer.done_bytes, total, message=str(fetch.error))
        if problem:
            return Availability("failed", 0, total, message=problem)
        return Availability("absent", 0, total, message=f"{model.title} is not downloaded yet.")

    def path(self, model_id: str) -> Path:
        """The GGUF file or the folder of a ready model, noted as used now.

        Raises NotReadyError while it is fetched, the fetch's error when that failed (NotReadyError mostly),
        ConflictError when nobody asked for it yet.
        """
        model = self.catalogue.find(model_id)
        now = self.availability(model.id)
        if now.state != "ready":
            raise self._not_ready(model, now)
        if model.source.kind == "local":
            return ROOT / model.source.folder
        self._cache.touch(model.id)
        folder = self._cache.whole(model.id)
        return folder / next(iter(model.source.files or {})) if model.runtime == "llamacpp" else folder

    def fetch(self, model_id: str) -> None:
        """Begin to fetch a model in the background; nothing happens when it is ready or on its way.

        Raises ConflictError where downloads are off, BusyError when too many wait already, NotFoundError.
        """
        model = self.catalogue.find(model_id)
        if model.source.kind == "local" or self.availability(model.id).state == "ready":
            return
        if self.settings.is_public and not model.is_embedded:
            raise ConflictError("Downloads are off on this public site. Use an embedded model.", param="model")
        self._start([model])

    def prefetch_embedded(self) -> None:
        """Begin to fetch the embedded models one after the other, unless the settings say no."""
        if self.settings.prefetch:
            known = self.catalogue.models.values()
            packaged = [model for model in known if model.is_embedded and model.source.kind == "package"]
            self._start([model for model in packaged if self._cache.problem(model) is not None])

    def ready_embedded(self) -> Iterator[Model]:
        """The embedded models whose weights are there, to make ready what their first answers would wait for; none
        where the settings say to do nothing ahead. Each is looked up when its turn comes."""
        if self.settings.prefetch:
            for model in list(self.catalogue.models.values()):
                if model.is_embedded and self.availability(model.id).state == "ready":
                    yield model

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

    def delete(self, model_id: str) -> None:
        """Delete a model's files and unfinished downloads.

        Raises ConflictError when in use, being fetched, or deletions are off; NotFoundError when nothing is there.
        """
        model = self.catalogue.find(model_id)
        folders = [self._cache.whole(model.id), self._cache.partial(model.id)]
        if self.settings.is_public:
            raise ConflictError("Deletions are off on this public site.", param="model")
        if self.in_use(model.id):
            raise ConflictError(f"{model.title} is in use. Unload it first, then delete it.", param="model")
        if not any(folder.exists() for folder in folders):
            raise NotFoundError(f"Nothing of {model.title} is in the cache.", param="model")
        with self._cache.locked(model.id, gives_up=lambda: True):
            for folder in folders:
                self._cache.remove(folder)
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

    def _not_ready(self, model: Model, now: Availability) -> PeopleError:
        if now.state == "fetching":
            seconds = min(600.0, max(1.0, now.seconds_left or 10.0))
            percent = f"{100 * now.done_bytes / now.total_bytes:.0f} %" if now.total_bytes else "starting"
            return NotReadyError(
                f"{model.title} is being downloaded ({percent}). Try again in {seconds:.0f} seconds.",
                param="model",
                retry_seconds=seconds,
            )
        if now.state == "absent":
            return ConflictError(f"{now.message} {self._next_step(model)}", param="model")
        fetch = self._fetches.get(model.id)
        kind = type(fetch.error) if fetch and fetch.error else NotReadyError
        return kind(now.message, param="model", retry_seconds=30.0 if kind is NotReadyError else None)

    def _next_step(self, model: Model) -> str:
        if model.source.kind == "local":
            return "Train the model again, or restore that folder from where it came."
        if self.settings.is_public and not model.is_embedded:
            return "Downloads are off on this public site; use an embedded model."
        size = f"{size_in_words(_download_bytes(model))}, " if _download_bytes(model) else ""
        return f"Download it first ({size}licence {model.licence})."

    def _local(self, model: Model) -> Availability:
        path = ROOT / model.source.folder
        if path.is_file() or ((path / "config.json").is_file() and any(path.glob("*.safetensors"))):
            return Availability("ready", model.size_bytes, model.size_bytes)
        place = "the folder of its run" if Path(model.source.folder).is_absolute() else model.source.folder
        return Availability("absent", message=f"{model.title} has no weights in {place}.")

    def _elsewhere(self, model: Model) -> Availability | None:
        """The progress of another process that fetches this model."""
        path = self._cache.partial(model.id) / PROGRESS
        with suppress(OSError):
            if time.time() - path.stat().st_mtime < FRESH_SECONDS:
                note = read_json(path)
                if note.get("is_going"):
                    return _availability(note["done"], note["total"], note["speed"], note["step"])
        return None

    def _entry(self, model_id: str) -> Entry:
        title, is_ready = model_id, False
        with suppress(NotFoundError):
            model = self.catalogue.find(model_id)
            title, is_ready = model.title, self._cache.problem(model) is None
        return Entry(model_id, title, self._cache.model_bytes(model_id), self._cache.last_used(model_id), is_ready)

    def _describe(self, model_id: str) -> Model | None:
        """A downloaded Hub model as its own files tell it."""
        if not HUB_ID.fullmatch(model_id):
            return None
        facts = self._cache.manifest(model_id).get("facts")
        return _apply(hub_model(model_id), facts) if facts else None

    def _start(self, models: Sequence[Model]) -> None:
        with self._lock:
            fetches = [_Fetch(model) for model in models if not self._is_fetching(model.id)]
            going = {id: fetch for id, fetch in self._fetches.items() if fetch.state == "fetching"}
            if fetches and len(going) + len(fetches) > MAX_FETCHES:
                raise BusyError(f"{len(going)} downloads are under way. Wait for one to end.", retry_seconds=60.0)
            if len(self._fetches) > MAX_REMEMBERED:
                self._fetches = going
            self._fetches |= {fetch.model.id: fetch for fetch in fetches}
        if fetches:
            threading.Thread(target=self._work, args=(fetches,), name="store-fetch", daemon=True).start()

    def _is_fetching(self, model_id: str) -> bool:
        fetch = self._fetches.get(model_id)
        return fetch is not None and fetch.state == "fetching"

    def _work(self, fetches: Sequence[_Fetch]) -> None:
        """Fetch these one after the other; whatever happens, each ends as ready or failed with a sentence."""
        for fetch in fetches:
            title = fetch.model.title
            try:
                with self._turns:
                    self._fetch(fetch)
                fetch.end()
            except PeopleError as error:
                fetch.end(error)
            except Stopped:
                fetch.end(NotReadyError(f"The download of {title} was stopped. Start it again."))
            except OSError as error:
                log.exception("fetching %s", fetch.model.id)
                fetch.end(NotReadyError(self._explain_disk(fetch.model, error)))
            except Exception:
                log.exception("fetching %s", fetch.model.id)
                fetch.end(
                    NotReadyError(f"Fetching {title} failed for a reason that Parlance does not know; see its log.")
                )

    def _fetch(self, fetch: _Fetch) -> None:
        model, partial = fetch.model, self._cache.partial(fetch.model.id)
        with self._cache.locked(model.id, gives_up=fetch.transfer.is_stopped.is_set):
            fetch.is_waiting = False
            fetch.transfer.beat()
            if self._cache.problem(model) is None or self._cache.renew(model, fetch.transfer):
                return
            partial.mkdir(parents=True, exist_ok=True)
            heartbeat = _Heartbeat(partial / PROGRESS, fetch)
            fetch.transfer.on_change = heartbeat.beat
            try:
                bring = self._bring_wheels if model.source.kind == "package" else self._bring_hub
                digests, notes = bring(fetch, partial)
                self._cache.install(model.id, partial / "files", digests, notes)
            finally:
                heartbeat.end()
                self._cache.drop_empty(model.id)

    def _bring_wheels(self, fetch: _Fetch, partial: Path) -> tuple[Mapping[str, str], dict[str, Any]]:
        """Fetch and unpack the wheels into `partial/files`; returns the files' sha256."""
        model, transfer, wheels = fetch.model, fetch.transfer, fetch.model.source.wheels
        missing = [wheel.size_bytes for wheel in wheels if not (partial / f"{wheel.sha256}.whl").exists()]
        self._check_room(model, sum(missing) + max(missing, default=0) + model.size_bytes)
        timeout = self.settings.network_timeout_seconds
        paths = [(wheel, download_wheel(wheel, partial, transfer, timeout)) for wheel in wheels]
        transfer.step = "unpacking"
        shutil.rmtree(partial / "files", ignore_errors=True)
        try:
            unpack(paths, model.source, partial / "files", model.size_bytes, transfer)
        except NotReadyError:
            for _, path in paths:
                path.unlink(missing_ok=True)
            raise
        return model.source.files or {}, {}

    def _bring_hub(self, fetch: _Fetch, partial: Path) -> tuple[Mapping[str, str], dict[str, Any]]:
        """Fetch a repository's files into `partial/files`; returns their sha256 and what is known of the model."""
        model, transfer, files = fetch.model, fetch.transfer, partial / "files"
        plan = read_json(partial / PLAN)
        if plan.get("revision") != model.source.revision:
            shutil.rmtree(files, ignore_errors=True)
            plan = self._plan(fetch, partial)
        facts = read_facts(model.source.repository, plan)
        if HUB_ID.fullmatch(model.id):
            fetch.model = model = _apply(model, facts)
        transfer.total_bytes = facts["size_bytes"]
        files.mkdir(exist_ok=True)
        self._check_room(model, facts["size_bytes"] - folder_bytes(files))
        write_json(partial / PLAN, plan)
        self._ask(["get", str(partial / PLAN), str(files)], files, transfer)
        transfer.step = "checking"
        (files / "output.txt").unlink(missing_ok=True)
        digests = {file["name"]: _checked(files / file["name"], file, transfer) for file in plan["files"]}
        if HUB_ID.fullmatch(model.id):
            self.catalogue.add(model)
        notes = {name: plan[name] for name in ("repository", "revision", "commit")}
        return digests, notes | {"facts": facts}

    def _plan(self, fetch: _Fetch, partial: Path) -> dict[str, Any]:
        """Ask the Hub what to fetch: at the commit that the cache knows, else at what the revision means now."""
        source, known = fetch.model.source, self._cache.manifest(fetch.model.id)
        commit = known["commit"] if known.get("revision") == source.revision else source.revision
        fetch.transfer.step = "asking the Hub"
        plan = self._ask(["plan", source.repository, commit], partial, Transfer(0, fetch.transfer.beat))
        fetch.transfer.step = ""
        return plan | {"revision": source.revision}

    def _ask(self, arguments: Sequence[str], folder: Path, transfer: Transfer) -> dict[str, Any]:
        answer = ask_hub(arguments, folder, transfer, self.settings.network_timeout_seconds)
        if "error" in answer:
            raise ERRORS.get(answer["error"], NotReadyError)(answer["message"], param=answer.get("param"))
        return answer

    def _check_room(self, model: Model, needed_bytes: int) -> None:
        free, limit = self.free_bytes(self._cache.folder), self.settings.max_disk_bytes
        if needed_bytes > free:
            raise NotReadyError(
                f"{model.title} needs {size_in_words(needed_bytes)} on the disk and {size_in_words(free)} are free. "
                "Delete models or other files, then try again."
            )
        if self.size_bytes() + needed_bytes > limit:
            raise NotReadyError(
                f"{model.title} needs {size_in_words(needed_bytes)}; with it the cache would pass its limit of "
                f"{size_in_words(limit)}. Delete models, or raise PARLANCE_MAX_DISK_BYTES."
            )

    def _explain_disk(self, model: Model, error: OSError) -> str:
        if error.errno in DISK_FULL:
            needed, free = size_in_words(model.size_bytes), size_in_words(self.free_bytes(self._cache.folder))
            return f"The disk filled up: {model.title} needs {needed} and {free} are free. Free some space, try again."
        return (
            f"{model.title} could not be written to the cache folder ({error.strerror}). Check the folder, try again."
        )


class _Heartbeat:
    """Keeps the progress file fresh, for other processes to read."""

    def __init__(self, path: Path, fetch: _Fetch) -> None:
        self._path, self._fetch, self._last = path, fetch, 0.0

    def beat(self) -> None:
        if time.monotonic() - self._last >= HEARTBEAT_SECONDS:
            self._last = time.monotonic()
            self._write(is_going=True)

    def end(self) -> None:
        """Say that nobody works on it any more, where the file is still there."""
        if self._path.parent.exists():
            with suppress(OSError):
                self._write(is_going=False)

    def _write(self, is_going: bool) -> None:
        transfer = self._fetch.transfer
        note = {"id": self._fetch.model.id, "is_going": is_going, "done": transfer.done_bytes}
        more = {"total": transfer.total_bytes, "speed": transfer.bytes_per_second, "step": transfer.step}
        write_json(self._path, note | more)


def _progress(fetch: _Fetch) -> Availability:
    transfer = fetch.transfer
    step = "waiting for its turn" if fetch.is_waiting else transfer.step
    return _availability(transfer.done_bytes, transfer.total_bytes, transfer.bytes_per_second, step)


def _availability(done: int, total: int, speed: float | None, step: str) -> Availability:
    left = (total - done) / speed if speed and total else None
    return Availability("fetching", done, total, speed, left, step or "downloading")


def _download_bytes(model: Model) -> int:
    return sum(wheel.size_bytes for wheel in model.source.wheels) or model.size_bytes


def _apply(model: Model, facts: Mapping[str, Any]) -> Model:
    """The model with what its files tell; facts of another version of Parlance are left out."""
    known = {f.name for f in fields(Model)}
    told: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in facts.items() if name in known
    }
    return replace(model, **told)


def _checked(path: Path, file: Mapping[str, Any], transfer: Transfer) -> str:
    """The file's sha256, once it agrees with the Hub's (for small files: git's hash). Deletes a file that differs."""
    digest = sha256(path, transfer)
    is_same = digest == file["sha256"]
    if not file["sha256"]:
        content = path.read_bytes()
        is_same = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest() == file["blob"]
    if not is_same:
        path.unlink()
        raise NotReadyError(f"{file['name']} arrived damaged (its hash differs) and was deleted. Try again.")
    return digest


def _follow(store: Store, model: Model) -> bool:
    """Fetch one model with its progress on the terminal; says whether it is ready then."""
    store.fetch(model.id)
    is_terminal, printed = sys.stdout.isatty(), time.monotonic()
    while (now := store.availability(model.id)).state == "fetching":
        if is_terminal or time.monotonic() - printed > 5:
            printed = time.monotonic()
            speed = f"{size_in_words(now.bytes_per_second)}/s" if now.bytes_per_second else now.message
            left = f", {now.seconds_left:.0f} s left" if now.seconds_left is not None else ""
            line = f"{model.title}: {size_in_words(now.done_bytes)} of {size_in_words(now.total_bytes)}, {speed}{left}"
            print(f"\r{line:<100}" if is_terminal else line, end="" if is_terminal else "\n", flush=True)
        time.sleep(0.2)
    last = f"{model.title}: {'ready' if now.state == 'ready' else now.message}"
    print(f"\r{last:<100}" if is_terminal else last, flush=True)
    return now.state == "ready"


def _print_entries(store: Store) -> None:
    for entry in store.entries():
        state = "" if entry.is_ready else "  (unfinished or damaged)"
        print(f"{entry.id:<32}{size_in_words(entry.size_bytes):>10}  {entry.title}{state}")
    print(f"{size_in_words(store.size_bytes())} in {store.settings.cache_folder}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Fetch the models named, or every embedded one; list or delete what the cache holds."""
    parser = argparse.ArgumentParser(prog="python -m engine.catalogue.store", description=main.__doc__)
    parser.add_argument("ids", nargs="*", help="models to fetch, as in the catalogue or hub:owner/name")
    parser.add_argument("--list", action="store_true", help="list what the cache holds")
    parser.add_argument("--delete", metavar="ID", help="delete a model from the cache")
    given = parser.parse_args(arguments)
    store = Store(current(), read_catalogue())
    try:
        if given.delete:
            store.delete(given.delete)
        if given.list or given.delete:
            _print_entries(store)
            return 0
        known = store.catalogue.models.values()
        packaged = [model.id for model in known if model.is_embedded and model.source.kind == "package"]
        models = [store.catalogue.find(id) for id in given.ids or packaged]
        return int(not all([_follow(store, model) for model in models]))  # noqa: C419  a failure does not end the rest
    except PeopleError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. What arrived whole is kept for the next time.", file=sys.stderr)
        return 130
    finally:
        store.close()


if __name__ == "__main__":
    sys.exit(main())
