"""The registry of Firefox Translations' models, read over HTTP, its files fetched; and a copy of it made for a host."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx2 as httpx

from engine.catalogue.transfer import Transfer, sha256
from engine.errors import NotFoundError, NotReadyError
from engine.files import write_json

ROLES = ("model", "lexicalShortlist", "vocab", "srcVocab", "trgVocab")
REACH_SECONDS = 2.0
"""A server that takes longer to say hello counts as out of reach."""
LIST_BYTES, FILE_BYTES = 16 * 2**20, 512 * 2**20
"""Most that the list and that a file may hold, unpacked."""
CHUNK_BYTES = 1 << 16
TRIES = 3
"""Of one file, as long as each brings something new."""
HEADERS = {"User-Agent": "parlance", "Accept-Encoding": "identity"}


@dataclass(frozen=True)
class Listed:
    """A list that was read, and its own address."""

    url: str
    document: Mapping[str, Any]

    def directions(self) -> Iterator[tuple[str, str]]:
        """Each pair of languages with each network that there is for it."""
        for direction, entries in sorted(self.document["models"].items()):
            yield from ((direction, str(entry["architecture"])) for entry in entries)

    def plan(self, direction: str, network: str) -> dict[str, Any]:
        """What to fetch for a direction. Raises NotFoundError where the list has nothing of the kind."""
        for entry in self.document["models"].get(direction, ()):
            if entry.get("architecture") == network:
                base = urljoin(self.url, f"{self.document.get('baseUrl') or '.'}".rstrip("/") + "/")
                files = [_file(base, entry["files"][role]) for role in ROLES if role in entry["files"]]
                return {"direction": direction, "network": network, "registry": self.url, "files": files}
        raise NotFoundError(
            "The list of translators at {host} has no {direction} ({network}) any more. Choose another model.",
            param="model", host=urlsplit(self.url).hostname or self.url, direction=direction, network=network,
        )  # fmt: skip


def _file(base: str, listed: Mapping[str, Any]) -> dict[str, Any]:
    path = str(listed["path"])
    name = PurePosixPath(path).name
    return {
        "url": base + path.lstrip("/"),
        "name": name.removesuffix(".gz"),
        "is_packed": name.endswith(".gz"),
        "sha256": listed.get("uncompressedHash"),
        "size": listed.get("uncompressedSize"),
    }


def read(url: str, timeout_seconds: float, beat: Callable[[], None] = lambda: None) -> Listed:
    """The list at that address. Raises NotReadyError where it cannot be reached or is none."""
    with _answers(url, timeout_seconds) as client, client.stream("GET", url) as response:
        response.raise_for_status()
        content = b""
        for chunk in response.iter_bytes(CHUNK_BYTES):
            beat()
            content += chunk
            if len(content) > LIST_BYTES:
                break
    try:
        document = json.loads(content)
        for entries in document["models"].values():
            for entry in entries:
                (entry["architecture"], entry["files"]["model"]["path"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise NotReadyError(
            "{url} is not a list of translators. Check PARLANCE_TRANSLATORS_URL, then try again.", url=url
        ) from None
    return Listed(url, document)


def get_files(
    files: Sequence[Mapping[str, Any]], folder: Path, timeout_seconds: float, transfer: Transfer
) -> dict[str, str]:
    """Fetch and unpack a plan's files; returns the sha256 of each name. What was there goes on where it stopped.

    Raises NotReadyError, also for a file that is not what the list says; NotFoundError, Stopped.
    """
    transfer.skip_to(sum((part.stat().st_size for part in folder.glob("*.part")), 0))
    digests = {}
    for file in files:
        there = folder / Path(file["name"]).name
        if there.is_file():
            digests[there.name] = sha256(there, transfer)
        else:
            digests[there.name] = _unpack(file, _get(file, folder, timeout_seconds, transfer), there, transfer)
    return digests


def _get(file: Mapping[str, Any], folder: Path, timeout_seconds: float, transfer: Transfer) -> Path:
    """The file as it is served, beside its final name."""
    part = folder / (Path(file["name"]).name + ".part")
    whole = part.with_suffix(".whole")
    tries = 0
    while not whole.exists():
        had = part.stat().st_size if part.exists() else 0
        try:
            _go_on(file["url"], part, timeout_seconds, transfer)
            part.rename(whole)
        except NotReadyError:
            tries += 1
            if tries >= TRIES or not part.exists() or part.stat().st_size <= had:
                raise
    return whole


def _go_on(url: str, part: Path, timeout_seconds: float, transfer: Transfer) -> None:
    """Fetch what is missing of a file, from the beginning where the server cannot go on in the middle."""
    had = part.stat().st_size if part.exists() else 0
    before = transfer.done_bytes - had
    with _answers(url, timeout_seconds) as client:
        headers = {"Range": f"bytes={had}-"} if had else {}
        with client.stream("GET", url, headers=headers) as response:
            if response.status_code == 416:  # all of it is there
                return
            response.raise_for_status()
            had = had if response.status_code == 206 else 0
            with part.open("ab" if had else "wb") as out:
                for chunk in response.iter_raw():  # as it comes: of a broken line nothing is lost
                    had += out.write(chunk)
                    out.flush()
                    if had > FILE_BYTES:
                        raise NotReadyError(
                            "A file of the model is larger than any translator's. Nothing of it was used."
                        )
                    transfer.reach(before + had)


def _unpack(file: Mapping[str, Any], whole: Path, target: Path, transfer: Transfer) -> str:
    """Write the file under its own name once it is what the list says; returns its sha256."""
    digest, size, new = hashlib.sha256(), 0, whole.with_suffix(".new")
    try:
        with whole.open("rb") as packed, new.open("wb") as out:
            for chunk in _pieces(packed, is_packed=file["is_packed"]):
                digest.update(chunk)
                size += out.write(chunk)
                transfer.beat()
                if size > FILE_BYTES:
                    raise zlib.error("too large")
            out.flush()
            os.fsync(out.fileno())
    except (zlib.error, EOFError):
        size = -1
    whole.unlink()
    if size < 0 or file["sha256"] not in (None, digest.hexdigest()) or file["size"] not in (None, size):
        new.unlink()
        raise NotReadyError(
            "{file} arrived damaged (it is not what the list of translators says) and was deleted. Try again.",
            file=file["name"],
        )
    new.rename(target)
    return digest.hexdigest()


def _pieces(packed: Any, *, is_packed: bool) -> Iterator[bytes]:
    """The content piece by piece; of a small file that unpacks to a huge one no more than is asked for."""
    unpacker = zlib.decompressobj(wbits=31)
    while chunk := packed.read(CHUNK_BYTES):
        if not is_packed:
            yield chunk
            continue
        while chunk and not unpacker.eof:
            yield unpacker.decompress(chunk, CHUNK_BYTES)
            chunk = unpacker.unconsumed_tail
    if is_packed and not unpacker.eof:
        raise EOFError("cut")


@contextmanager
def _answers(url: str, timeout_seconds: float) -> Iterator[httpx.Client]:
    """A client for that address; what goes wrong on the way is a sentence."""
    host = urlsplit(url).hostname or ""
    started = time.monotonic()
    if not _is_known(url):
        raise _out_of_reach(host)
    left = max(0.2, REACH_SECONDS - (time.monotonic() - started))
    try:
        with httpx.Client(
            timeout=httpx.Timeout(timeout_seconds, connect=left), follow_redirects=True, headers=HEADERS
        ) as client:
            yield client
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.InvalidURL, httpx.UnsupportedProtocol):
        raise _out_of_reach(host) from None
    except httpx.HTTPStatusError as error:
        if error.response.status_code in (404, 410):
            raise NotFoundError(
                "{host} has no {path}. Try again later.", host=host, path=error.request.url.path
            ) from None
        raise NotReadyError(
            "{host} answered with error {status}. Try again in a few minutes; what arrived is kept.",
            host=host, status=error.response.status_code,
        ) from None  # fmt: skip
    except httpx.TimeoutException:
        raise NotReadyError(
            "{host} has sent nothing for {seconds} seconds. Check the network, then try again; what arrived is kept.",
            host=host, seconds=round(timeout_seconds),
        ) from None  # fmt: skip
    except httpx.HTTPError:
        raise NotReadyError("The download from {host} broke off. Try again; what arrived is kept.", host=host) from None


def _out_of_reach(host: str) -> NotReadyError:
    return NotReadyError(
        "{host} cannot be reached. Check the network, or set PARLANCE_TRANSLATORS_URL to a copy of the list; the "
        "models on this machine go on.",
        host=host,
    )


def _is_known(url: str) -> bool:
    """Whether the name of the host, or of the proxy on the way to it, is found in time (asking has no time limit)."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    proxy = getproxies().get(parts.scheme)
    if proxy and not proxy_bypass(host):
        host, port = urlsplit(proxy).hostname or "", urlsplit(proxy).port
    found: list[Any] = []

    def look() -> None:
        try:
            found.extend(socket.getaddrinfo(host, port or 443))
        except (OSError, UnicodeError):
            return

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    thread.join(REACH_SECONDS)
    return bool(found)


def mirror(
    url: str, folder: Path, directions: Sequence[str], timeout_seconds: float, tell: Callable[[str], None]
) -> None:
    """Copy the registry's files into a folder that any web server can serve, with a list of its own, `models.json`.

    `directions` are pairs such as en-fr, all without. Files that are there already stay; in the list each has its hash.
    """
    listed = read(url, timeout_seconds)
    models: dict[str, list[Any]] = {}
    if unknown := sorted(set(directions) - set(listed.document["models"])):
        raise NotFoundError("The list at {url} has no {direction}.", url=url, direction=unknown[0])
    for direction, network in listed.directions():
        if directions and direction not in directions:
            continue
        place = folder / direction / network
        place.mkdir(parents=True, exist_ok=True)
        plan = listed.plan(direction, network)
        tell(f"{direction} {network}")
        if not all((place / file["name"]).is_file() for file in plan["files"]):
            get_files(plan["files"], place, timeout_seconds, Transfer(0))
        entry = next(each for each in listed.document["models"][direction] if each["architecture"] == network)
        roles = [role for role in ROLES if role in entry["files"]]
        files = {role: _listed(folder, place / file["name"]) for role, file in zip(roles, plan["files"], strict=True)}
        models.setdefault(direction, []).append({**entry, "files": files})
        write_json(folder / "models.json", {"baseUrl": "", "source": url, "models": models})


def _listed(folder: Path, path: Path) -> dict[str, Any]:
    digest = sha256(path, Transfer(0))
    name = path.relative_to(folder).as_posix()
    return {"path": name, "uncompressedSize": path.stat().st_size, "uncompressedHash": digest}
