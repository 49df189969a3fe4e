"""JSON files that are read whatever is in them and replaced in one step, folders that appear whole, and their size."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


def read_json(path: Path) -> dict[str, Any]:
    """The object in a file, or {} when there is none that can be read."""
    with suppress(OSError, ValueError, RecursionError):
        content = json.loads(path.read_text(encoding="utf-8"))
        return content if isinstance(content, dict) else {}
    return {}


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Replace a file in one step."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(content, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def sync(path: Path, is_deep: bool = True) -> None:
    """Have a file, or a folder's names and all files in it, outlive a power cut, where the system can."""
    for each in (path, *(path.rglob("*") if is_deep and path.is_dir() else ())):
        with suppress(OSError):
            handle = os.open(each, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def sha256(path: Path) -> str:
    """Of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def settle(folder: Path) -> None:
    """Clear up in a folder what a process that was killed left halfway: what had a name before gets it back where
    nothing has taken its place, and what is half-written goes."""
    for before in folder.glob(f"*{BEFORE}"):
        final = before.with_name(before.name.removesuffix(BEFORE))
        if final.exists():
            remove(before)
        else:
            before.rename(final)
    for part in folder.glob(f"*{PART}"):
        remove(part)
    sweep(folder)


def sweep(folder: Path) -> None:
    """Delete what bears the number of a process that was killed while it wrote it."""
    for end in ("part", "old", "new"):
        for path in folder.glob(f"*.{end}"):
            number = path.name.split(".")[-2]
            if number.isdigit() and not is_writers(int(number), path):
                remove(path)


def is_writers(number: int, path: Path) -> bool:
    """Whether the process of that number may be the one that writes there: it is there, and began before."""
    import psutil  # type: ignore[import-untyped]

    with suppress(psutil.NoSuchProcess, OSError):
        return bool(psutil.Process(number).create_time() <= path.stat().st_mtime + 1)
    return False


def remove(path: Path) -> None:
    """A file or a folder with all that is in it."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


DELETED, PART, BEFORE = ".deleted-", ".part", ".before"
"""Of names: what is to be deleted begins so, what is being written ends so, and what that takes the place of."""


def set_aside(folder: Path) -> Path:
    """Rename a folder that is to be deleted, in one step: nobody opens half of it, and a process that still writes by
    the old name makes no new one."""
    gone = folder.with_name(f"{DELETED}{folder.name}-{time.monotonic_ns()}")
    folder.rename(gone)
    return gone


def finish_deletions(parent: Path) -> None:
    """Delete what was set aside and, by an interruption, is there still."""
    for path in parent.glob(f"{DELETED}*"):
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def placed(final: Path) -> Iterator[Path]:
    """A new folder to fill, which gets its name when it is whole and on the disk; what had the name goes afterwards."""
    temporary, before = (final.with_name(f"{final.name}{end}") for end in (PART, BEFORE))
    if before.exists() and not final.exists():  # a kill came between the two renames below
        before.rename(final)
    for path in (temporary, before):
        remove(path)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        sync(temporary)
        if final.exists():
            final.rename(before)
        temporary.rename(final)
        sync(final.parent, is_deep=False)
    finally:
        for path in (temporary, before):
            remove(path)


def folder_bytes(folder: Path) -> int:
    """Size of all files below; those that vanish meanwhile count nothing."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += os.lstat(os.path.join(parent, name)).st_size
    return total
