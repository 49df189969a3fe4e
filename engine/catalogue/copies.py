"""Copies of weights in a runtime's own form: where one lies, whether it is of these very weights, how it appears.

A runtime declares a `Copy`; the store has it made by `python -m engine.catalogue.copies MODULE PATH` (see `installs`).
"""

from __future__ import annotations

import hashlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from engine.files import read_json, remove, sha256, sweep, sync, write_json
from engine.settings import current

STAMP = "made_from.json"
"""In a copy that is a folder: what it was made from."""
DIGESTS = "sha256.json"
"""In a copy that is a folder, after the name of one that is a file: the sha256 of each of its files."""
FOLDER = "copies"
"""The cache's folder of the copies of weights that lie where nothing can be written."""
_one_copy = threading.Lock()
_whole: set[Path] = set()
"""Copies that were compared with their hashes by this process."""
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Copy:
    """One kind of copies, beside the weights; in the cache where their own folder cannot be written."""

    name: str
    """Of a folder inside the weights' own; for weights in one file what follows its stem, which tells the version."""
    write: Callable[[Path, Path], None]
    """Writes the copy of the weights (first) into a folder or file (second). Raises OSError, ValueError."""
    facts: Callable[[Path], Mapping[str, Any]] = lambda weights: {}
    """What a copy in a folder depends on: its weights and who wrote it."""

    def find(self, weights: Path) -> Path | None:
        """The weights' copy, if there is one of these very weights by this version."""
        for home in (_folder(weights), _home(weights)):
            copy = home / self._named(weights)
            if not _digests(copy).is_file():  # of an earlier version, or cut off
                continue
            if copy.is_file():
                return copy
            if (made_from := read_json(copy / STAMP)) and made_from == self.facts(weights):
                return copy
        return None

    def checked(self, weights: Path) -> Path | None:
        """As `find`, for whoever reads it: once in a process its files are compared with their hashes.

        One that differs is given up, so that it is made again.
        """
        copy = self.find(weights)
        if copy is None or copy in _whole or _is_whole(copy):
            return copy
        log.warning("the copy %s is damaged and is made again", copy)
        self.give_up(weights)
        return None

    def made(self, weights: Path) -> Path:
        """The copy, made now if it is not there. It appears by renaming, also when two processes make it at once.

        Raises OSError where neither its folder nor the cache can be written and for a full disk, ValueError for
        weights that cannot be copied.
        """
        with _one_copy:
            if found := self.checked(weights):
                return found
            home, name = _home(weights), self._named(weights)
            sweep(home)
            part, old = (home / f".{name}.{os.getpid()}.{end}" for end in ("part", "old"))
            try:
                self._write(weights, part)
                hashed, is_file = _hashed(part), part.is_file()
                if not is_file:
                    write_json(_digests(part), hashed)
                sync(part)
                if found := self.checked(weights):  # another process was quicker, and somebody may read its copy
                    return found
                with suppress(FileNotFoundError):
                    os.rename(home / name, old)
                if is_file:
                    write_json(_digests(home / name), hashed)
                os.rename(part, home / name)
                sync(home, is_deep=False)
                _whole.add(home / name)
            except OSError:
                if not self.find(weights):  # else another process was quicker
                    raise
            finally:
                remove(part)
                remove(old)
            return home / name

    def give_up(self, weights: Path) -> None:
        """Forget a copy that is damaged, so that it is made again."""
        if found := self.find(weights):
            _whole.discard(found)
            with suppress(OSError):
                _digests(found).unlink()

    def _named(self, weights: Path) -> str:
        return f"{weights.stem}{self.name}" if weights.is_file() else self.name

    def _write(self, weights: Path, part: Path) -> None:
        (part.parent if weights.is_file() else part).mkdir(parents=True, exist_ok=True)
        facts = self.facts(weights)
        self.write(weights, part)
        if part.is_dir():
            write_json(part / STAMP, facts)


def command(module: str, weights: Path) -> list[str]:
    """What has the copy made that the module's COPY declares: the arguments of `python -m`."""
    return [__name__, module, str(weights.absolute())]


def _folder(weights: Path) -> Path:
    return weights.parent if weights.is_file() else weights


def _home(weights: Path) -> Path:
    """Where the copy of these weights is made."""
    folder = _folder(weights)
    if os.access(folder, os.W_OK):
        return folder
    place = hashlib.sha256(str(folder.absolute()).encode()).hexdigest()[:16]
    return current().cache_folder.expanduser() / FOLDER / place


def _digests(copy: Path) -> Path:
    return copy / DIGESTS if copy.is_dir() else copy.with_name(f"{copy.name}.{DIGESTS}")


def _hashed(copy: Path) -> dict[str, str]:
    """The sha256 of each file of a copy, by its name in the copy's folder; "" is the copy itself."""
    if copy.is_file():
        return {"": sha256(copy)}
    files = sorted(path for path in copy.rglob("*") if path.is_file() and path.name != DIGESTS)
    return {path.relative_to(copy).as_posix(): sha256(path) for path in files}


def _is_whole(copy: Path) -> bool:
    """Whether a copy's files have the hashes that were noted when it was made."""
    with suppress(OSError):
        if read_json(_digests(copy)) == _hashed(copy):
            _whole.add(copy)
            return True
    return False


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the copy that a module declares of the weights at a path."""
    module, path = sys.argv[1:] if arguments is None else arguments
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        import_module(module).COPY.made(Path(path))
    except Exception as error:  # whatever its reading leads to, the weights serve as they are
        print(f"No copy of {Path(path).name} was made; it serves as it is. {error!r}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
