"""The cache folder's layout: `models/<name>/` whole and checked, `partial/<name>/` on its way, `locks/<name>.lock`.

A model comes under its final name by one rename, with a manifest of sizes and times that makes wholeness cheap to tell.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.catalogue.transfer import Transfer, sha256
from engine.errors import ConflictError
from engine.files import folder_bytes, read_json, sweep, sync, write_json
from engine.files import sha256 as digest_of
from engine.messages import Text

if TYPE_CHECKING:
    from engine.catalogue.models import Model

MANIFEST = "manifest.json"
PROGRESS = "progress.json"
PLAN = "plan.json"


class Cache:
    """One folder on the disk, shared by threads and processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.expanduser().absolute()
        self._checked: set[str] = set()
        self._manifests: dict[str, tuple[tuple[int, int, int], dict[str, Any]]] = {}
        """By model, with the inode, size and time of the file that was read."""

    def whole(self, model_id: str) -> Path:
        """Where the model's files are once they are whole."""
        return _place(self.folder, "models", model_id)

    def partial(self, model_id: str) -> Path:
        """Where they are while they come in."""
        return _place(self.folder, "partial", model_id)

    def progress(self, model_id: str) -> Path:
        """The file in which whoever fetches the model says how far it is."""
        return _place(self.folder, "partial", model_id, PROGRESS)

    def names(self) -> set[str]:
        """The folders of models that are whole, as `key` names them."""
        with suppress(OSError):
            return set(os.listdir(self.folder / "models"))
        return set()

    def manifest(self, model_id: str) -> dict[str, Any]:
        """What was noted at the installation, which nobody may change; {} when the model is not there. A page asks for
        dozens: what has not been written since is not read again."""
        path = _place(self.folder, "models", model_id, MANIFEST)
        try:
            status = path.stat()
        except OSError:
            return {}
        mark = status.st_ino, status.st_size, status.st_mtime_ns
        if (known := self._manifests.get(model_id)) and known[0] == mark:
            return known[1]
        manifest = read_json(path)
        manifest = manifest if manifest.get("id") == model_id and _is_sound(manifest) else {}
        self._manifests[model_id] = mark, manifest
        return manifest

    def problem(self, model: Model) -> Text | None:
        """None when the model is whole, an empty Text when it is not there, a sentence when a file is not as noted."""
        manifest = self.manifest(model.id)
        if not manifest.get("files") or not model.source.is_of(manifest):
            return Text("")
        for name, facts in manifest["files"].items():
            with suppress(OSError):
                status = _place(self.folder, "models", model.id, name).stat()
                if status.st_size == facts["size"] and int(status.st_mtime) == facts["modified"]:
                    continue
            return Text(
                "{file} of {title} is missing or changed on the disk. Download it again.", file=name, title=model.title
            )
        return None

    def renew(self, model: Model, transfer: Transfer) -> bool:
        """Whether files whose times changed (a copied cache) have the noted sha256; then their times are noted anew."""
        manifest, folder = self.manifest(model.id), self.whole(model.id)
        files = manifest.get("files", {})
        if not files or not model.source.is_of(manifest):
            return False
        for name, facts in files.items():
            path = folder / name
            if not path.is_file() or path.stat().st_size != facts["size"] or sha256(path, transfer) != facts["sha256"]:
                return False
        digests = {name: facts["sha256"] for name, facts in files.items()}
        write_json(folder / MANIFEST, manifest | {"files": _stamp(folder, digests)})
        return True

    def check(self, model: Model) -> Text | None:
        """As `problem`, by the sha256 of each file, once in a process; what differs is noted, to be fetched anew."""
        manifest, folder = self.manifest(model.id), self.whole(model.id)
        if (problem := self.problem(model)) or model.id in self._checked:
            return problem
        for name, facts in manifest["files"].items():
            if digest_of(folder / name) != facts["sha256"]:
                with suppress(OSError):
                    changed = manifest["files"] | {name: facts | {"modified": -1}}
                    write_json(folder / MANIFEST, manifest | {"files": changed})
                return Text(
                    "{file} of {title} is damaged on the disk. Download it again.", file=name, title=model.title
                )
        self._checked.add(model.id)
        return None

    def sweep(self) -> None:
        """Delete what processes that were killed left half-written or half-deleted."""
        for folder in (*self.folder.glob("models/*"), *self.folder.glob("copies/*"), *self.folder.glob("partial/*")):
            if folder.name.startswith("trash-"):
                shutil.rmtree(folder, ignore_errors=True)
            else:
                sweep(folder)

    def install(self, model_id: str, files: Path, digests: Mapping[str, str], notes: Mapping[str, Any]) -> None:
        """Give a folder of checked files its final name, in place of what was there."""
        self._checked.discard(model_id)
        write_json(files / MANIFEST, dict(notes) | {"id": model_id, "files": _stamp(files, digests)})
        final = self.whole(model_id)
        final.parent.mkdir(parents=True, exist_ok=True)
        sync(files)
        self.remove(final)
        files.rename(final)
        sync(final.parent, is_deep=False)
        shutil.rmtree(self.partial(model_id), ignore_errors=True)

    def drop_empty(self, model_id: str) -> None:
        """Delete what a failed download left when there is nothing in it to go on from."""
        partial = self.partial(model_id)
        if not (partial / PLAN).exists() and not list(partial.glob("*.whl")):
            shutil.rmtree(partial, ignore_errors=True)

    def delete(self, model_id: str) -> bool:
        """Delete all that is there of a model; was there anything? Raises ConflictError where it is open elsewhere."""
        found = [folder for folder in (self.whole(model_id), self.partial(model_id)) if folder.exists()]
        for folder in found:
            self.remove(folder)
        return bool(found)

    def remove(self, folder: Path) -> None:
        """Take a folder away in one step, then delete it. Raises ConflictError where the system says it is open."""
        trash = self.folder / "partial" / f"trash-{os.getpid()}-{time.monotonic_ns()}"
        trash.parent.mkdir(parents=True, exist_ok=True)
        if folder.exists():
            try:
                folder.rename(trash)
            except PermissionError:
                if os.name != "nt":  # elsewhere it is the folder that may not be written
                    raise
                raise ConflictError(
                    "A file of the model is open elsewhere. Unload the model, then try again."
                ) from None
        for left in trash.parent.glob("trash-*"):
            shutil.rmtree(left, ignore_errors=True)

    @contextmanager
    def locked(self, model_id: str, gives_up: Callable[[], bool]) -> Iterator[None]:
        """Hold the model's lock file, which the system frees if this process dies. Asks `gives_up` while it waits.

        Raises ConflictError when that says yes.
        """
        from filelock import FileLock, Timeout

        path = self.folder / "locks" / f"{key(model_id)}.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        while not lock.is_locked:
            try:
                lock.acquire(timeout=0.2)
            except Timeout:
                if gives_up():
                    raise ConflictError("The model is being downloaded. Wait until that is over.") from None
        try:
            yield
        finally:
            lock.release()

    def model_ids(self) -> list[str]:
        """The models of which something is there, whole or not."""
        places = (f"models/*/{MANIFEST}", f"partial/*/{PROGRESS}")
        notes = (read_json(path) for place in places for path in sorted(self.folder.glob(place)))
        return list(dict.fromkeys(str(note["id"]) for note in notes if "id" in note))

    def model_bytes(self, model_id: str) -> int:
        """What a model takes, unfinished files too."""
        return folder_bytes(self.whole(model_id)) + folder_bytes(self.partial(model_id))

    def copies_bytes(self, model_id: str) -> int:
        """What was made of a whole model's files and lies beside them."""
        known = [MANIFEST, *self.manifest(model_id).get("files", {})]
        sizes = [path.stat().st_size for name in known if (path := self.whole(model_id) / name).is_file()]
        return max(0, folder_bytes(self.whole(model_id)) - sum(sizes))

    def last_used(self, model_id: str) -> float:
        """In seconds since 1970; 0 when nothing is there."""
        paths = (self.whole(model_id) / MANIFEST, self.progress(model_id))
        return max(_modified(path) for path in paths)

    def touch(self, model_id: str) -> None:
        """Note that the model is used now."""
        with suppress(OSError):
            os.utime(self.whole(model_id) / MANIFEST)


@lru_cache(maxsize=8192)
def _place(folder: Path, part: str, model_id: str, *names: str) -> Path:
    """A path in the cache folder. A page asks for hundreds, and to put one together takes longer than to look there."""
    return folder.joinpath(part, key(model_id), *names)


def noted_digests(folder: Path) -> dict[str, str]:
    """The sha256 of each file, as noted when the model was installed in that folder; {} where none was."""
    return {name: facts["sha256"] for name, facts in read_json(folder / MANIFEST).get("files", {}).items()}


def key(model_id: str) -> str:
    """A model's folder name. Ids hold no "--", so no two share one."""
    return model_id.replace(":", "--").replace("/", "--").replace("@", "--")


def _is_sound(manifest: Mapping[str, Any]) -> bool:
    """Whether a manifest has the form that `install` gives it, whoever wrote into it since."""
    files, told = manifest.get("files", {}), manifest.get("facts", {})
    kinds = {"size": int, "modified": int, "sha256": str}
    if not isinstance(files, dict) or not all(_has(facts, kinds) for facts in files.values()):
        return False
    about = {"size_bytes": int, "memory_bytes": int, "parameters": int, "languages": list, "licence": str}
    return isinstance(told, dict) and _has(told, {name: kind for name, kind in about.items() if name in told})


def _has(facts: Any, kinds: Mapping[str, type]) -> bool:
    return isinstance(facts, dict) and all(isinstance(facts.get(name), kind) for name, kind in kinds.items())


def _stamp(folder: Path, digests: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    stamps = {}
    for name, digest in digests.items():
        status = (folder / name).stat()
        stamps[name] = {"size": status.st_size, "modified": int(status.st_mtime), "sha256": digest}
    return stamps


def _modified(path: Path) -> float:
    with suppress(OSError):
        return path.stat().st_mtime
    return 0.0
