"""Weights on disk: which models are there, fetching the others in the background, verifying, deleting.

Everything lives in the cache folder: `models/<name>/` whole and checked, with a `manifest.json` of sizes and times
that makes readiness cheap to tell; `partial/<name>/` what is on its way; `locks/`. A folder comes under its
final name by one rename. `download` moves the bytes. `python -m engine.store` fetches from the command line.
"""

from __future__ import annotations

import argparse
import atexit
import errno
import hashlib
import json
import logging
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from engine.catalogue import HUB_ID, Catalogue, Model, hub_model, read_catalogue
from engine.download import ROOT, Stopped, Transfer, ask_hub, download_wheel, folder_bytes, sha256, unpack
from engine.errors import ConflictError, NotFoundError, NotReadyError, PeopleError
from engine.hub import ERRORS, read_facts
from engine.settings import Settings, current

log = logging.getLogger(__name__)

State = Literal["ready", "absent", "fetching", "failed"]
MANIFEST = "manifest.json"
CONCURRENT_FETCHES = 3
HEARTBEAT_SECONDS = 0.5
FRESH_SECONDS = 5.0
"""A progress file older than this belongs to a process that is gone."""


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
    """The cache folder of one machine, shared by threads and processes."""

    def __init__(self, settings: Settings, catalogue: Catalogue) -> None:
        self.settings, self.catalogue = settings, catalogue
        self.in_use: Callable[[str], bool] = lambda model_id: False
        """Set by the engine: whether a model is in memory, and so not to be deleted."""
        self.free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free
        self._cache = settings.cache_folder.expanduser().absolute()
        self._fetches: dict[str, _Fetch] = {}
        self._lock = threading.Lock()
        self._turns = threading.BoundedSemaphore(CONCURRENT_FETCHES)
        catalogue.describe = self._describe
        for entry in self._manifests():
            if described := self._describe(str(entry.get("id"))):
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
        problem = self._problem(model)
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

        Raises NotReadyError while it is fetched or when that failed, ConflictError when nobody asked for it yet.
        """
        model = self.catalogue.find(model_id)
        now = self.availability(model.id)
        if now.state == "fetching":
            seconds = min(600.0, max(1.0, now.seconds_left or 10.0))
            raise NotReadyError(
                f"{model.title} is being downloaded ({_percent(now)}). Try again in {seconds:.0f} seconds.",
                param="model",
                retry_seconds=seconds,
            )
        if now.state == "failed":
            raise NotReadyError(now.message, param="model", retry_seconds=30.0)
        if now.state == "absent":
            raise ConflictError(f"{now.message} {self._next_step(model)}", param="model")
        if model.source.kind == "local":
            return self._local_folder(model)
        folder = self._folder(model.id)
        with suppress(OSError):
            os.utime(folder / MANIFEST)
        return folder / next(iter(model.source.files or {})) if model.runtime == "llamacpp" else folder

    def fetch(self, model_id: str) -> None:
        """Begin to fetch a model in the background; nothing happens when it is ready or on its way.

        Raises ConflictError where downloads are off, NotFoundError.
        """
        model = self.catalogue.find(model_id)
        if model.source.kind == "local" or self.availability(model.id).state == "ready":
            return
        if self.settings.is_public and not model.is_embedded:
            raise ConflictError("Downloads are off on this public site. Use an embedded model.", param="model")
        self._start([model])

    def prefetch_embedded(self) -> None:
        """Begin to fetch the embedded models one after the other, unless the settings say no."""
        if not self.settings.prefetch:
            return
        embedded = [model for model in self.catalogue.models.values() if model.is_embedded]
        self._start(
            [model for model in embedded if model.source.kind == "package" and self._problem(model) is not None]
        )

    def wait(self, model_id: str, timeout_seconds: float) -> None:
        """Wait for a fetch to end, wherever it runs. Raises as `path` does when the model is not ready then."""
        deadline = time.monotonic() + timeout_seconds
        model = self.catalogue.find(model_id)
        while self.availability(model.id).state == "fetching" and time.monotonic() < deadline:
            fetch = self._fetches.get(model.id)
            if fetch is None or not fetch.is_over.wait(0.1):
                time.sleep(0.05)
        self.path(model.id)

    def entries(self) -> list[Entry]:
        """What the cache holds, last used first, unfinished downloads too."""
        found = {}
        for place in ("partial", "models"):
            for folder in _subfolders(self._cache / place):
                facts = _read_json(folder / (MANIFEST if place == "models" else "progress.json"))
                if "id" in facts:
                    found[folder.name] = str(facts["id"])
        return sorted(map(self._entry, found.values()), key=lambda entry: -entry.last_used)

    def size_bytes(self) -> int:
        """What the cache folder takes on the disk."""
        return folder_bytes(self._cache)

    def delete(self, model_id: str) -> None:
        """Delete a model's files and unfinished downloads.

        Raises ConflictError when in use, being fetched, or deletions are off; NotFoundError when nothing is there.
        """
        model = self.catalogue.find(model_id)
        if self.settings.is_public:
            raise ConflictError("Deletions are off on this public site.", param="model")
        if self.in_use(model.id):
            raise ConflictError(f"{model.title} is in use. Unload it first, then delete it.", param="model")
        if not self._folder(model.id).exists() and not self._partial(model.id).exists():
            raise NotFoundError(f"Nothing of {model.title} is in the cache.", param="model")
        with self._locked(model, lambda: True):
            self._remove(self._folder(model.id))
            self._remove(self._partial(model.id))
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

    # Fetching

    def _start(self, models: Sequence[Model]) -> None:
        with self._lock:
            news = [model for model in models if not self._is_fetching(model.id)]
            fetches = [_Fetch(model) for model in news]
            self._fetches |= {fetch.model.id: fetch for fetch in fetches}
        if fetches:
            threading.Thread(target=self._work, args=(fetches,), name="store-fetch", daemon=True).start()

    def _is_fetching(self, model_id: str) -> bool:
        fetch = self._fetches.get(model_id)
        return fetch is not None and fetch.state == "fetching"

    def _work(self, fetches: Sequence[_Fetch]) -> None:
        """Fetch these one after the other; whatever happens, each ends as ready or failed with a sentence."""
        for fetch in fetches:
            try:
                with self._turns:
                    self._fetch_one(fetch)
                fetch.end()
            except PeopleError as error:
                fetch.end(error)
            except Stopped:
                fetch.end(NotReadyError(f"The download of {fetch.model.title} was stopped. Start it again."))
            except OSError as error:
                log.exception("fetching %s", fetch.model.id)
                fetch.end(NotReadyError(self._explain_disk(fetch.model, error)))
            except Exception:
                log.exception("fetching %s", fetch.model.id)
                fetch.end(NotReadyError(f"Fetching {fetch.model.title} failed unexpectedly; the log says more."))

    def _fetch_one(self, fetch: _Fetch) -> None:
        model, partial = fetch.model, self._partial(fetch.model.id)
        with self._locked(model, fetch.transfer.is_stopped.is_set):
            fetch.is_waiting = False
            if self._problem(model) is None or self._is_still_sound(model, fetch.transfer):
                return
            partial.mkdir(parents=True, exist_ok=True)
            fetch.transfer.on_change = _Heartbeat(partial / "progress.json", fetch).beat
            fetch.transfer.reach(0)
            bring = self._bring_wheels if model.source.kind == "package" else self._bring_hub
            manifest = bring(fetch, partial)
            self._install(fetch.model.id, partial, manifest)

    def _bring_wheels(self, fetch: _Fetch, partial: Path) -> dict[str, Any]:
        model, transfer = fetch.model, fetch.transfer
        wheels = model.source.wheels
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
        return {"files": model.source.files}

    def _bring_hub(self, fetch: _Fetch, partial: Path) -> dict[str, Any]:
        model, transfer = fetch.model, fetch.transfer
        plan = _read_json(partial / "plan.json") or self._plan(fetch, partial)
        facts = read_facts(model.source.repository, plan)
        if HUB_ID.fullmatch(model.id):
            fetch.model = model = _apply(model, facts)
            self.catalogue.add(model)
        transfer.total_bytes = facts["size_bytes"]
        files = partial / "files"
        files.mkdir(exist_ok=True)
        self._check_room(model, facts["size_bytes"] - folder_bytes(files))
        _write_json(partial / "plan.json", plan)
        self._ask(["get", str(partial / "plan.json"), str(files)], files, transfer)
        transfer.step = "checking"
        (files / "output.txt").unlink(missing_ok=True)
        for file in plan["files"]:
            _check_hub_file(files / file["name"], file, transfer)
        digests = {file["name"]: file["sha256"] or "" for file in plan["files"]}
        return {"files": digests, "repository": plan["repository"], "commit": plan["commit"], "facts": facts}

    def _plan(self, fetch: _Fetch, partial: Path) -> dict[str, Any]:
        """Ask the Hub what to fetch: at the commit that the cache knows, else at what the revision means now."""
        source = fetch.model.source
        known = _read_json(self._folder(fetch.model.id) / MANIFEST).get("commit")
        fetch.transfer.step = "asking the Hub"
        plan = self._ask(["plan", source.repository, str(known or source.revision)], partial, Transfer(0))
        fetch.transfer.step = ""
        return plan

    def _ask(self, arguments: Sequence[str], folder: Path, transfer: Transfer) -> dict[str, Any]:
        answer = ask_hub(arguments, folder, transfer, self.settings.network_timeout_seconds)
        if "error" in answer:
            raise ERRORS.get(answer["error"], NotReadyError)(answer["message"], param=answer.get("param"))
        return answer

    def _install(self, model_id: str, partial: Path, manifest: Mapping[str, Any]) -> None:
        """Describe the checked files and give their folder its final name."""
        files, final = partial / "files", self._folder(model_id)
        facts = dict(manifest) | {"id": model_id, "files": _stamp(files, manifest["files"])}
        _write_json(files / MANIFEST, facts)
        final.parent.mkdir(parents=True, exist_ok=True)
        self._remove(final)
        files.rename(final)
        _sync_folder(final.parent)
        shutil.rmtree(partial, ignore_errors=True)

    def _is_still_sound(self, model: Model, transfer: Transfer) -> bool:
        """Whether files whose times changed (a copied cache) have the known sha256; then the manifest is renewed."""
        folder = self._folder(model.id)
        manifest = _read_json(folder / MANIFEST)
        known = manifest.get("files", {})
        if manifest.get("id") != model.id or not all(facts.get("sha256") for facts in known.values()):
            return False
        for name, facts in known.items():
            path = folder / name
            if not path.is_file() or path.stat().st_size != facts["size"] or sha256(path, transfer) != facts["sha256"]:
                return False
        digests = {name: facts["sha256"] for name, facts in known.items()}
        _write_json(folder / MANIFEST, manifest | {"files": _stamp(folder, digests)})
        return True

    def _check_room(self, model: Model, needed_bytes: int) -> None:
        self._cache.mkdir(parents=True, exist_ok=True)
        free = self.free_bytes(self._cache)
        if needed_bytes > free:
            raise NotReadyError(
                f"{model.title} needs {show_bytes(needed_bytes)} on the disk and {show_bytes(free)} are free. "
                "Delete models or other files, then try again."
            )
        limit = self.settings.max_disk_bytes
        if self.size_bytes() + needed_bytes > limit:
            raise NotReadyError(
                f"{model.title} needs {show_bytes(needed_bytes)}; with it the cache would pass its limit of "
                f"{show_bytes(limit)}. Delete models, or raise PARLANCE_MAX_DISK_BYTES."
            )

    def _explain_disk(self, model: Model, error: OSError) -> str:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            free = show_bytes(self.free_bytes(self._cache))
            needed = show_bytes(model.size_bytes)
            return f"The disk filled up: {model.title} needs {needed} and {free} are free. Free some space, try again."
        return (
            f"{model.title} could not be written to the cache folder ({error.strerror}). Check the folder, try again."
        )

    @contextmanager
    def _locked(self, model: Model, gives_up: Callable[[], bool]) -> Iterator[None]:
        """Hold the model's lock file, which the system frees if this process dies."""
        from filelock import FileLock, Timeout

        locks = self._cache / "locks"
        locks.mkdir(parents=True, exist_ok=True)
        lock = FileLock(locks / f"{_key(model.id)}.lock")
        while True:
            try:
                lock.acquire(timeout=0.2)
                break
            except Timeout:
                if gives_up():
                    raise ConflictError(f"{model.title} is being downloaded. Wait until that is over.") from None
        try:
            yield
        finally:
            lock.release()

    # What is there

    def _folder(self, model_id: str) -> Path:
        return self._cache / "models" / _key(model_id)

    def _partial(self, model_id: str) -> Path:
        return self._cache / "partial" / _key(model_id)

    def _problem(self, model: Model) -> str | None:
        """None when the model is whole, "" when it is not there, a sentence when its files are not as installed."""
        folder = self._folder(model.id)
        manifest = _read_json(folder / MANIFEST)
        if manifest.get("id") != model.id:
            return ""
        for name, facts in manifest.get("files", {}).items():
            with suppress(OSError):
                status = (folder / name).stat()
                if status.st_size == facts["size"] and int(status.st_mtime) == facts["modified"]:
                    continue
            return f"{name} of {model.title} is missing or changed on the disk. Download it again."
        return None

    def _elsewhere(self, model: Model) -> Availability | None:
        """The progress of another process that fetches this model."""
        path = self._partial(model.id) / "progress.json"
        with suppress(OSError):
            if time.time() - path.stat().st_mtime < FRESH_SECONDS:
                facts = _read_json(path)
                return _availability(facts.get("done", 0), facts.get("total", 0), facts.get("speed"), facts.get("step"))
        return None

    def _local_folder(self, model: Model) -> Path:
        return ROOT / model.source.folder

    def _local(self, model: Model) -> Availability:
        folder = self._local_folder(model)
        if (folder / "model.safetensors").is_file() and (folder / "config.json").is_file():
            return Availability("ready", model.size_bytes, model.size_bytes)
        return Availability("absent", message=f"{model.title} has no files in {model.source.folder}.")

    def _next_step(self, model: Model) -> str:
        if model.source.kind == "local":
            return "Train it, or restore the folder from the repository."
        if self.settings.is_public and not model.is_embedded:
            return "Downloads are off on this public site; use an embedded model."
        size = f"{show_bytes(_download_bytes(model))}, " if _download_bytes(model) else ""
        return f"Download it first ({size}licence {model.licence})."

    def _describe(self, model_id: str) -> Model | None:
        """A downloaded Hub model as its manifest tells it."""
        if not HUB_ID.fullmatch(model_id):
            return None
        facts = _read_json(self._folder(model_id) / MANIFEST).get("facts")
        return _apply(hub_model(model_id), facts) if facts else None

    def _manifests(self) -> Iterator[dict[str, Any]]:
        for folder in _subfolders(self._cache / "models"):
            yield _read_json(folder / MANIFEST)

    def _entry(self, model_id: str) -> Entry:
        folder, partial = self._folder(model_id), self._partial(model_id)
        used = max((_modified(folder / MANIFEST), _modified(partial)))
        try:
            model = self.catalogue.find(model_id)
            title, is_ready = model.title, self._problem(model) is None
        except NotFoundError:
            title, is_ready = model_id, False
        return Entry(model_id, title, folder_bytes(folder) + folder_bytes(partial), used, is_ready)

    def _remove(self, folder: Path) -> None:
        """Take a folder away in one step, then delete it at leisure."""
        if folder.exists():
            trash = self._cache / "partial" / f"trash-{os.getpid()}-{time.monotonic_ns()}"
            trash.parent.mkdir(parents=True, exist_ok=True)
            folder.rename(trash)
            shutil.rmtree(trash, ignore_errors=True)


class _Heartbeat:
    """Keeps the progress file fresh, for other processes to read."""

    def __init__(self, path: Path, fetch: _Fetch) -> None:
        self._path, self._fetch, self._last = path, fetch, 0.0

    def beat(self) -> None:
        if time.monotonic() - self._last < HEARTBEAT_SECONDS:
            return
        self._last = time.monotonic()
        transfer = self._fetch.transfer
        facts = {"id": self._fetch.model.id, "done": transfer.done_bytes, "total": transfer.total_bytes}
        _write_json(self._path, facts | {"speed": transfer.bytes_per_second, "step": transfer.step})


def _progress(fetch: _Fetch) -> Availability:
    transfer = fetch.transfer
    step = "waiting for its turn" if fetch.is_waiting else transfer.step
    return _availability(transfer.done_bytes, transfer.total_bytes, transfer.bytes_per_second, step)


def _availability(done: int, total: int, speed: float | None, step: str | None) -> Availability:
    left = (total - done) / speed if speed and total else None
    return Availability("fetching", done, total, speed, left, step or "downloading")


def _download_bytes(model: Model) -> int:
    return sum(wheel.size_bytes for wheel in model.source.wheels) or model.size_bytes


def _apply(model: Model, facts: Mapping[str, Any]) -> Model:
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in facts.items()}
    return replace(model, **values)


def _check_hub_file(path: Path, file: Mapping[str, Any], transfer: Transfer) -> None:
    """Compare with the Hub's sha256, or for small files with git's own hash of the content. Deletes what differs."""
    if file["sha256"]:
        is_same = sha256(path, transfer) == file["sha256"]
    else:
        content = path.read_bytes()
        is_same = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest() == file["blob"]
    if not is_same:
        path.unlink()
        raise NotReadyError(f"{file['name']} arrived damaged (its hash differs) and was deleted. Try again.")


def _stamp(folder: Path, digests: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    stamps = {}
    for name, digest in digests.items():
        status = (folder / name).stat()
        stamps[name] = {"size": status.st_size, "modified": int(status.st_mtime), "sha256": digest}
    return stamps


def _key(model_id: str) -> str:
    """A model's folder name. Ids hold no "--", so no two share one."""
    return model_id.replace(":", "--").replace("/", "--").replace("@", "--")


def _subfolders(folder: Path) -> list[Path]:
    with suppress(OSError):
        return sorted(path for path in folder.iterdir() if path.is_dir())
    return []


def _modified(path: Path) -> float:
    with suppress(OSError):
        return path.stat().st_mtime
    return 0.0


def _read_json(path: Path) -> dict[str, Any]:
    """The object in a file, or {} when there is none that can be read."""
    with suppress(OSError, ValueError):
        content = json.loads(path.read_text(encoding="utf-8"))
        return content if isinstance(content, dict) else {}
    return {}


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(content, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _sync_folder(folder: Path) -> None:
    """Make a rename last through a power cut, where the system can."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _percent(now: Availability) -> str:
    return f"{100 * now.done_bytes / now.total_bytes:.0f} %" if now.total_bytes else "starting"


def show_bytes(size_bytes: float) -> str:
    """A size for people, in decimal units: 92.9 MB."""
    for unit in ("bytes", "kB", "MB"):
        if size_bytes < 1000:
            return f"{size_bytes:.0f} {unit}" if unit == "bytes" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.1f} GB"


# The command line


def _follow(store: Store, model: Model) -> bool:
    """Fetch one model with its progress on the terminal; says whether it is ready then."""
    store.fetch(model.id)
    is_terminal = sys.stdout.isatty()
    while (now := store.availability(model.id)).state == "fetching":
        speed = f"{show_bytes(now.bytes_per_second)}/s" if now.bytes_per_second else now.message
        left = f", {now.seconds_left:.0f} s left" if now.seconds_left is not None else ""
        line = f"{model.title}: {show_bytes(now.done_bytes)} of {show_bytes(now.total_bytes)}, {speed}{left}"
        print(f"\r{line:<100}" if is_terminal else line, end="" if is_terminal else "\n", flush=True)
        time.sleep(0.5 if is_terminal else 5)
    last = f"{model.title}: {'ready' if now.state == 'ready' else now.message}"
    print(f"\r{last:<100}" if is_terminal else last, flush=True)
    return now.state == "ready"


def main(arguments: Sequence[str] | None = None) -> int:
    """Fetch the models named, or every embedded one; list or delete what the cache holds."""
    parser = argparse.ArgumentParser(prog="python -m engine.store", description=main.__doc__)
    parser.add_argument("ids", nargs="*", help="models to fetch, as in the catalogue or hub:owner/name")
    parser.add_argument("--list", action="store_true", help="list what the cache holds")
    parser.add_argument("--delete", metavar="ID", help="delete a model from the cache")
    given = parser.parse_args(arguments)
    store = Store(current(), read_catalogue())
    try:
        if given.list:
            for entry in store.entries():
                state = "" if entry.is_ready else "  (unfinished)"
                print(f"{entry.id:<32}{show_bytes(entry.size_bytes):>10}  {entry.title}{state}")
            print(f"{show_bytes(store.size_bytes())} in {store.settings.cache_folder}")
            return 0
        if given.delete:
            store.delete(given.delete)
            return 0
        known = store.catalogue.models.values()
        packaged = [model.id for model in known if model.is_embedded and model.source.kind == "package"]
        models = [store.catalogue.find(id) for id in given.ids or packaged]
        return sum(not _follow(store, model) for model in models)
    except PeopleError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        store.close()


if __name__ == "__main__":
    sys.exit(main())
