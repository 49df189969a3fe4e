"""What a file is by its first bytes: packed ones are unpacked within limits, ones that hold no rows get their name."""

from __future__ import annotations

import gzip
import io
import re
import struct
import zipfile
import zlib
from collections.abc import Collection, Sequence
from pathlib import PurePosixPath
from typing import IO

from engine.documents.kinds import SIGNATURES, kind_of
from engine.errors import InputError, TooLargeError, UnsupportedError
from engine.jobs.apart import MAX_BYTES, shown
from engine.messages import Text
from engine.training.findings import Finding
from engine.training.formats._base import unpacks_to_too_much

PAGES = (b"<!doctype html", b"<html", b"<?xml")
BEFORE = b"\xef\xbb\xbf \t\r\n"
"""What may stand before the first bytes that tell."""
LISTED_BYTES = 64 * 1024
"""Of a zip archive's list of files, which is looked at before anything in it."""
ASIDE = re.compile(r"(readme|licen[sc]e|changelog|notice)\b.*", re.IGNORECASE)
SAVE_AS = "is {kind}. Save or export the rows as CSV (UTF-8), and bring that."


def unpacked(content: bytes, name: str, endings: Collection[str]) -> tuple[bytes, str, list[Finding]]:
    """The file inside of gzip or of a zip archive, and its name; other files as they are.

    Raises InputError, TooLargeError or UnsupportedError.
    """
    if content.startswith(b"\x1f\x8b"):
        inner = re.sub(r"\.gz(ip)?$", "", name, flags=re.IGNORECASE)
        if "." not in inner:
            raise UnsupportedError(
                "is packed with gzip, and its name does not tell what is in it. Name it like {name}.csv.gz.",
                name=shown(inner),
            )
        try:
            return _bounded(gzip.GzipFile(fileobj=io.BytesIO(content))), inner, []
        except (OSError, EOFError, zlib.error):
            raise InputError("is packed with gzip, and damaged or cut off. Bring it whole, or unpacked.") from None
    if content.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        try:
            return _from_zip(content, endings)
        except (zipfile.BadZipFile, NotImplementedError, EOFError, zlib.error, struct.error, LookupError, ValueError):
            raise InputError(
                "is a zip archive that is damaged or cut off. Bring it whole, or the file inside."
            ) from None
    return content, name, []


def refuse(content: bytes, is_text: bool) -> None:
    """Raise UnsupportedError for what is no table, whatever its ending says; a text may begin as a web page does."""
    kind = kind_of(content)
    if content[:200].lstrip(BEFORE).startswith(b"%PDF-"):
        kind = SIGNATURES[b"%PDF"]
    if content.startswith((b"\x1f\x8b", b"PK\x03\x04")):
        raise UnsupportedError("is packed twice. Unpack it once, and bring that.")
    if not is_text and content[:200].lstrip(BEFORE).lower().startswith(PAGES):
        kind = Text("a web page or XML, perhaps in place of a download")
    if kind:
        raise UnsupportedError(SAVE_AS, kind=kind)


def _from_zip(content: bytes, endings: Collection[str]) -> tuple[bytes, str, list[Finding]]:
    _check_list(content)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
        names = [member.filename for member in members]
        if "[Content_Types].xml" in names or "mimetype" in names or any(name.endswith(".iwa") for name in names):
            raise UnsupportedError(SAVE_AS, kind=Text("an Office document, such as a workbook"))
        chosen = _only(members, endings)
        if chosen.flag_bits & 1:
            raise UnsupportedError("is a zip archive with a password. Unpack it, and bring the file inside.")
        if chosen.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise UnsupportedError("is a zip archive of a rare kind. Unpack it, and bring the file inside.")
        if chosen.file_size > MAX_BYTES:
            raise unpacks_to_too_much()
        with archive.open(chosen) as file:
            note = Text("Of the archive, the file {name} is read.", name=shown(chosen.filename))
            return _bounded(file), chosen.filename, [Finding("note", "file", note)]


def _check_list(content: bytes) -> None:
    """Refuse an archive of very many files by the size of its list, which stands at its end."""
    end = content.rfind(b"PK\x05\x06", -65_557)
    size = struct.unpack_from("<L", content, end + 12)[0] if 0 <= end <= len(content) - 22 else 0
    if size > LISTED_BYTES or content[max(0, end - 20) : end].startswith(b"PK\x06\x07"):
        raise TooLargeError("is a zip archive of very many files. Bring the one that holds the rows.")


def _only(members: Sequence[zipfile.ZipInfo], endings: Collection[str]) -> zipfile.ZipInfo:
    """The one member that holds rows. Raises UnsupportedError."""
    paths = {member.filename: PurePosixPath(member.filename) for member in members}
    fit = [
        member for member in members
        if (path := paths[member.filename]).suffix.lower() in endings and not path.name.startswith(".")
        and path.parts[0] != "__MACOSX"
    ]  # fmt: skip
    fit = [member for member in fit if not ASIDE.fullmatch(paths[member.filename].name)] or fit
    if len(fit) == 1:
        return fit[0]
    names = [shown(member.filename) for member in (fit or members)][:8]
    if not fit:
        raise UnsupportedError(
            "is a zip archive without a file that can be read ({names}). Bring one of {kinds}.",
            names=names, kinds=sorted(endings),
        )  # fmt: skip
    raise UnsupportedError(
        "is a zip archive of {count} files ({names}). Unpack it, and bring the one to learn from.",
        count=len(fit), names=names,
    )  # fmt: skip


def _bounded(file: gzip.GzipFile | IO[bytes]) -> bytes:
    content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise unpacks_to_too_much()
    return content
