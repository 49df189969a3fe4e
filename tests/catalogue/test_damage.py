"""Damage on the disk: each kind is noticed, told in a sentence or mended, and hides nothing else."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine import files
from engine.catalogue import copies
from engine.catalogue.cache import MANIFEST, Cache
from engine.catalogue.copies import Copy
from engine.catalogue.installs import Installs
from engine.catalogue.models import Catalogue
from engine.catalogue.sources.hub import Hub
from engine.catalogue.store import Store
from engine.errors import NotReadyError
from engine.settings import Settings
from tests.catalogue.test_store import make_model

MODEL = make_model("tiny", Hub("owner/tiny"), 5, "transformers", is_embedded=False)


def open_store(folder: Path) -> Store:
    return Store(Settings(cache_folder=folder), Catalogue([MODEL]))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A fetched model's weights in the cache of a store."""
    cache, files = Cache(tmp_path), tmp_path / "files"
    files.mkdir()
    (files / "model.safetensors").write_bytes(b"right")
    cache.install(
        "tiny", files, {"model.safetensors": copies.sha256(files / "model.safetensors")}, {"revision": "main"}
    )
    return cache.whole("tiny") / "model.safetensors"


def flip(path: Path) -> None:
    """Change bytes and neither size nor time."""
    facts = path.stat()
    path.write_bytes(path.read_bytes()[::-1])
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def test_flipped_bytes_of_weights_are_noticed_when_they_are_loaded(tmp_path: Path, weights: Path) -> None:
    store = open_store(tmp_path)
    store.check("tiny")
    flip(weights)
    store.check("tiny")  # once in a process
    store = open_store(tmp_path)
    assert store.availability("tiny").state == "ready", "neither size nor time tells it"
    with pytest.raises(NotReadyError, match=r"model\.safetensors of Tiny is damaged on the disk\. Download it again"):
        store.check("tiny")
    for again in (store, open_store(tmp_path)):
        assert again.availability("tiny").state == "failed", "so that the page offers the download"


# Copies.

FILE, FOLDER = "file", "folder"


@pytest.fixture(params=[FILE, FOLDER])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Copy, Path, Callable[[], Path]]:
    """A kind of copies, weights, and the copy's own file."""
    copies._whole.clear()
    if request.param == FILE:
        weights = tmp_path / "a.gguf"
        weights.write_bytes(b"weights")
        copy = Copy("-fast.gguf", lambda source, target: target.write_bytes(b"copy of " + source.read_bytes()) and None)
        return copy, weights, lambda: tmp_path / "a-fast.gguf"

    def write(source: Path, target: Path) -> None:
        (target / "model.bin").write_bytes(b"a copy")

    return Copy("fast", write, lambda weights: {"version": 1}), tmp_path, lambda: tmp_path / "fast" / "model.bin"


def test_a_copy_whose_bytes_flipped_is_made_again(made: tuple[Copy, Path, Callable[[], Path]]) -> None:
    copy, weights, file = made
    copy.made(weights)
    right = file().read_bytes()
    flip(file())
    assert copy.checked(weights) is not None, "once in a process"
    copies._whole.clear()
    assert copy.find(weights) is not None and copy.checked(weights) is None and copy.find(weights) is None
    copy.made(weights)
    assert file().read_bytes() == right and copy.checked(weights) == copy.find(weights) is not None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"": 1}'])
def test_a_copy_without_sound_hashes_is_made_again(made: tuple[Copy, Path, Callable[[], Path]], content: bytes) -> None:
    copy, weights, _ = made
    copy.made(weights)
    copies._digests(copy.find(weights)).write_bytes(content)  # type: ignore[arg-type]
    copies._whole.clear()
    assert copy.checked(weights) is None
    copy.made(weights)
    assert copy.checked(weights) is not None


def test_a_copy_is_on_the_disk_before_it_has_its_name(
    made: tuple[Copy, Path, Callable[[], Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    copy, weights, file = made
    steps: list[str] = []
    sync, rename = copies.sync, os.rename
    monkeypatch.setattr(copies, "sync", lambda path, **how: (steps.append(f"sync {path.suffix}"), sync(path, **how)))

    def renamed(old: Path, new: Path) -> None:
        rename(old, new)
        steps.append("rename")

    monkeypatch.setattr(os, "rename", renamed)
    copy.made(weights)
    assert steps == ["sync .part", "rename", "sync "] and file().is_file()


def test_a_download_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    monkeypatch.setattr("engine.catalogue.cache.sync", lambda path, **_: steps.append(f"sync {path.name}"))
    rename = Path.rename
    monkeypatch.setattr(Path, "rename", lambda old, new: steps.append(f"rename {old.name}") or rename(old, new))
    (tmp_path / "files").mkdir()
    Cache(tmp_path).install("tiny", tmp_path / "files", {}, {})
    assert steps == ["sync files", "rename files", "sync models"]


def test_a_folder_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    monkeypatch.setattr(files, "sync", lambda path, **_: steps.append(f"sync {path.name}"))
    rename = Path.rename
    monkeypatch.setattr(Path, "rename", lambda old, new: steps.append(f"rename {old.name}") or rename(old, new))
    with files.placed(tmp_path / "result"):
        pass
    assert steps == ["sync result.part", "rename result.part", f"sync {tmp_path.name}"]


@pytest.mark.parametrize("limit", ["engine.catalogue.installs.MAX_SECONDS", "engine.jobs.process.HUNG_SECONDS"])
def test_a_copy_that_hangs_does_not_hold_the_others_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(limit, 0.5)
    monkeypatch.setattr("engine.jobs.process.LOOK_SECONDS", 0.05)
    installs = Installs(lambda *_: [["timeit", "-n1", "-s", "import time", "time.sleep(60)"]], Settings())
    installs.begin(MODEL, tmp_path)
    installs._threads[0].join(20)
    assert not installs.is_busy


# What was left.


def test_what_was_left_half_written_is_swept_at_the_start(tmp_path: Path, weights: Path) -> None:
    gone, folder = 2**22 + 1, weights.parent
    left = [folder / f".fast.{gone}.part", folder / f".fast.{gone}.old", tmp_path / "copies" / "x" / f".b.{gone}.part"]
    left += [tmp_path / "partial" / f"trash-{gone}-1", folder / f"{MANIFEST}.{gone}.new"]
    reused = folder / f".fast.{os.getpid()}.part"
    kept = [folder / f".slow.{os.getpid()}.part", folder / "model.part"]
    for path in (*left, reused, *kept):
        path.mkdir(parents=True)
        (path / "piece").write_bytes(b"x")
    os.utime(reused, (1, 1))  # older than the process that has its number now
    open_store(tmp_path)
    assert not [path for path in (*left, reused) if path.exists()] and all(path.exists() for path in kept)


# Manifests.

SOUND: dict[str, Any] = {"size": 5, "modified": 1, "sha256": "0"}


@pytest.mark.parametrize(
    "manifest",
    [
        "[" * 100_000, "\x00", "7", "[]", {"files": []}, {"files": ["a"]}, {"files": {"a": None}}, {"files": 7},
        {"files": {"a": SOUND | {"size": "5"}}}, {"files": {"a": {"size": 5}}}, {"files": {"a": SOUND}, "facts": []},
        {"files": {"a": SOUND}, "facts": {"languages": 7}}, {"files": {"a": SOUND}, "facts": {"size_bytes": "large"}},
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
@pytest.mark.parametrize("model_id", ["tiny", "hub:me/other"])
def test_a_malformed_manifest_hides_one_model_and_breaks_nothing(tmp_path: Path, model_id: str, manifest: Any) -> None:
    folder = Cache(tmp_path).whole(model_id)
    folder.mkdir(parents=True)
    text = manifest if isinstance(manifest, str) else json.dumps({"id": model_id, "revision": "main"} | manifest)
    (folder / MANIFEST).write_text(text)
    store = open_store(tmp_path)
    assert store.availability(model_id).state in ("absent", "failed")
    for entry in store.entries():
        assert not entry.is_ready
    if store.entries():
        store.delete(model_id)
        assert not folder.exists()


@pytest.mark.parametrize("note", [{}, {"done": "x"}, {"done": 1, "total": 2, "speed": "fast", "step": 7}])
def test_a_malformed_note_of_progress_is_no_progress(tmp_path: Path, note: dict[str, Any]) -> None:
    partial = Cache(tmp_path).partial("tiny")
    partial.mkdir(parents=True)
    (partial / "progress.json").write_text(json.dumps({"id": "tiny", "is_going": True} | note))
    assert open_store(tmp_path).availability("tiny").state == "absent"


@pytest.mark.parametrize(
    "error", [PermissionError(errno.EACCES, "Permission denied"), OSError(errno.EROFS, "Read-only")]
)
def test_deleting_from_a_cache_that_cannot_be_written_is_told(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    store = open_store(tmp_path)

    def refuse(*_: Any) -> None:
        raise error

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(NotReadyError, match=f"Tiny cannot be deleted: .*{error.strerror}.*permissions, then try again"):
        store.delete("tiny")
    assert weights.is_file()
