"""Data files of a data set on the Hub: which there are for a split, and their bytes; `formats` reads what they hold."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from engine.catalogue import hub
from engine.errors import InputError, NotFoundError, NotReadyError, TooLargeError, UnsupportedError

if TYPE_CHECKING:
    from huggingface_hub.hf_api import DatasetInfo

T = TypeVar("T")
PARAM = "dataset"
CONVERTED = "refs/convert/parquet"
"""Where the Hub keeps the Parquet form of its data sets."""
ENDINGS = (".parquet", ".jsonl", ".ndjson", ".csv", ".tsv", ".json", ".txt")
NO_DATA = re.compile(r"(readme|licen[sc]e|requirements|dataset_infos?|config)\b.*", re.IGNORECASE)
SPLITS = {"train": ("train", "training"), "validation": ("validation", "valid", "val", "dev"), "test": ("test",)}
"""How files call the usual splits."""
MAX_FILE_SECONDS = 900.0


@dataclass(frozen=True)
class DataFile:
    """A file at `path` of the repository; `name` is its last part."""

    path: str
    size_bytes: int

    @property
    def name(self) -> str:
        return PurePosixPath(self.path).name


@dataclass(frozen=True)
class Found:
    """The files of one split, at one commit."""

    id: str
    commit: str
    licence: str
    files: tuple[DataFile, ...]


def find(dataset_id: str, split: str, timeout_seconds: float, *, is_owners: bool) -> Found:
    """The files of a split; the token of this server's owner goes with the owner's own wishes alone.

    Raises InputError, NotFoundError, ConflictError (gated) or NotReadyError (no network).
    """
    repository, configuration = _parse(dataset_id)
    if not re.fullmatch(r"[\w.-]{1,60}", split):
        raise InputError("split must be a name such as train, validation or test.", param="split")
    return _within(
        timeout_seconds * 2 + 5,
        repository,
        lambda: _find(repository, configuration, split, timeout_seconds, _token(is_owners)),
    )


def _parse(dataset_id: str) -> tuple[str, str]:
    match = re.fullmatch(r"([\w][\w.-]{0,95}(?:/[\w][\w.-]{0,95})?)(?::([\w.-]{1,95}))?", dataset_id.strip())
    if not match or ".." in dataset_id:
        raise InputError(
            "dataset must be an id such as owner/name, or owner/name:configuration. Copy it from its page on the Hub.",
            param=PARAM,
        )
    return match[1], match[2] or ""


def _within(seconds: float, repository: str, work: Callable[[], T]) -> T:
    """The work's result. Looking up a host can hang beyond every timeout of the client; this does not wait for that."""
    kept: dict[str, Any] = {}

    def run() -> None:
        try:
            kept["result"] = work()
        except Exception as error:
            kept["error"] = error

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if "result" in kept:
        result: T = kept["result"]
        return result
    error = kept.get("error") or TimeoutError()
    raise hub.hub_error(error, repository, PARAM) from error


def _token(is_owners: bool) -> Literal[False] | None:
    """What has the Hub's client send the token that it finds, or none."""
    return None if is_owners else False


def _find(
    repository: str, configuration: str, split: str, timeout_seconds: float, token: Literal[False] | None
) -> Found:
    from huggingface_hub import HfApi, errors

    api = HfApi(library_name="parlance", token=token)
    main = api.dataset_info(repository, files_metadata=True, timeout=timeout_seconds)
    try:
        info = api.dataset_info(repository, revision=CONVERTED, files_metadata=True, timeout=timeout_seconds)
        files = _of_conversion(repository, _files(info), configuration, split)
    except errors.RevisionNotFoundError:
        info, files = main, _of_repository(repository, _files(main), configuration, split)
    licence = str((main.card_data.to_dict() if main.card_data else {}).get("license") or "not stated")
    return Found(repository, info.sha or "", licence, tuple(sorted(files, key=lambda file: file.path)))


def _files(info: DatasetInfo) -> list[DataFile]:
    files = [DataFile(sibling.rfilename, sibling.size or 0) for sibling in info.siblings or []]
    return [file for file in files if file.path.lower().endswith(ENDINGS) and not NO_DATA.fullmatch(file.name)]


def _of_conversion(repository: str, files: Sequence[DataFile], configuration: str, split: str) -> list[DataFile]:
    """The Hub lays its conversion out as configuration/split/0000.parquet; of large splits as partial-split."""
    parts = [(file, file.path.split("/")) for file in files if file.path.count("/") == 2]
    names = list(dict.fromkeys(path[0] for _, path in parts))
    if configuration not in names:
        if configuration or (len(names) > 1 and "default" not in names):
            raise InputError(
                "{dataset} has the configurations {names}. Write it as {dataset}:{first}.",
                PARAM, dataset=repository, names=_listed(names), first=names[0],
            )  # fmt: skip
        configuration = "default" if "default" in names else next(iter(names), "")
    mine = [(file, path[1].removeprefix("partial-")) for file, path in parts if path[0] == configuration]
    chosen = [file for file, part in mine if part == split]
    if not chosen:
        raise _no_split(repository, split, list(dict.fromkeys(part for _, part in mine)))
    return chosen


def _of_repository(repository: str, files: Sequence[DataFile], configuration: str, split: str) -> list[DataFile]:
    """Files named after the split; the only file there is stands for train."""
    if not files:
        raise UnsupportedError(
            "{dataset} has no file that Parlance reads ({kinds}). Choose another data set.",
            PARAM, dataset=repository, kinds=list(ENDINGS),
        )  # fmt: skip
    if configuration:
        files = [file for file in files if re.search(rf"(^|[/_.-]){re.escape(configuration)}([/_.-]|$)", file.path)]
    names = "|".join(map(re.escape, SPLITS.get(split, (split,))))
    named = [file for file in files if re.search(rf"(^|[/_.-])({names})([/_.-]|\d|$)", file.path, re.IGNORECASE)]
    if not named and len(files) == 1 and split == "train":
        named = list(files)
    if not named:
        raise _no_split(repository, split, [file.path for file in files])
    kind = min((PurePosixPath(file.path).suffix.lower() for file in named), key=ENDINGS.index)
    return [file for file in named if file.path.lower().endswith(kind)]


def _no_split(repository: str, split: str, names: Sequence[str]) -> NotFoundError:
    if not names:
        return NotFoundError("{dataset} has no split {split}, nor any other.", "split", dataset=repository, split=split)
    return NotFoundError(
        "{dataset} has no split {split}. It has {names}.",
        "split", dataset=repository, split=split, names=_listed(names),
    )  # fmt: skip


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:12]) + (" …" if len(names) > 12 else "")


def fetch(found: Found, file: DataFile, max_bytes: int, timeout_seconds: float, *, is_owners: bool) -> bytes:
    """The bytes of a file, with the token as `find`. Raises TooLargeError beyond `max_bytes`, NotReadyError when the
    network fails."""
    if file.size_bytes > max_bytes:
        raise _too_large(file, max_bytes)
    try:
        return _fetch(found, file, max_bytes, timeout_seconds, _token(is_owners))
    except Exception as error:
        raise hub.hub_error(error, found.id, PARAM) from error


def _fetch(found: Found, file: DataFile, max_bytes: int, timeout_seconds: float, token: Literal[False] | None) -> bytes:
    from huggingface_hub import hf_hub_url
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status  # type: ignore[attr-defined]

    url = hf_hub_url(found.id, file.path, repo_type="dataset", revision=found.commit)
    content, end = bytearray(), time.monotonic() + MAX_FILE_SECONDS
    headers = build_hf_headers(token=token)
    with get_session().stream("GET", url, headers=headers, timeout=timeout_seconds) as response:
        hf_raise_for_status(response)
        for chunk in response.iter_bytes(1 << 16):
            content += chunk
            if len(content) > max_bytes:
                raise _too_large(file, max_bytes)
            if time.monotonic() > end:
                raise NotReadyError("{file} came too slowly. Try again, or bring the data as a file.", file=file.name)
    if file.size_bytes and len(content) < file.size_bytes:
        raise NotReadyError("{file} broke off on its way. Try again.", file=file.name)
    return bytes(content)


def _too_large(file: DataFile, max_bytes: int) -> TooLargeError:
    return TooLargeError(
        "{file} is larger than {limit:,.0f} MB. Choose a smaller data set, or bring a part of it.",
        PARAM, file=file.name, limit=max_bytes / 2**20,
    )  # fmt: skip
