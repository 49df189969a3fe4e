"""What a file is by its first bytes, where that is nothing to read text or rows from."""

from __future__ import annotations

from engine.errors import InputError
from engine.messages import Text

SIGNATURES: dict[bytes, Text] = {
    b"%PDF": Text("a PDF"),
    b"\xd0\xcf\x11\xe0": Text("an old Office document (.xls, .doc)"),
    b"BZh": Text("packed with bzip2"),
    b"\x1f\x8b": Text("packed with gzip"),
    b"\xfd7zXZ\x00": Text("packed with xz"),
    b"(\xb5/\xfd": Text("packed with zstandard"),
    b"PK\x03\x04": Text("a zip archive or an Office document of another kind"),
    b"7z\xbc\xaf\x27\x1c": Text("a 7-Zip archive"),
    b"Rar!": Text("a RAR archive"),
    b"{\\rtf": Text("a document in RTF"),
    b"\x89PNG": Text("a picture"),
    b"\xff\xd8\xff": Text("a picture"),
    b"GIF8": Text("a picture"),
    b"SQLite format 3": Text("an SQLite database"),
    b"ARROW1": Text("an Arrow file"),
    b"\x89HDF": Text("an HDF5 file"),
    b"\x93NUMPY": Text("a NumPy file"),
    b"\x7fELF": Text("a program"),
    b"MZ\x90": Text("a program"),
    b"version https://git-lfs": Text("a Git LFS pointer, which stands in for the data"),
}


def kind_of(content: bytes) -> Text | None:
    """The name of a kind that is no text; None for text and what is not known."""
    if content[257:262] == b"ustar":
        return Text("a tar archive")
    return next((kind for magic, kind in SIGNATURES.items() if content.startswith(magic)), None)


def check_word(content: bytes, ending: str) -> None:
    """Raise InputError without a subject for what is named docx and is an old or a locked document."""
    if ending == ".docx" and content.startswith(b"\xd0\xcf\x11\xe0"):
        raise InputError("is a Word document with a password, or an old one. Save it as docx without a password.")
