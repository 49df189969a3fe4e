"""Which rewriter a file has: by its ending."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import PurePosixPath

from engine.documents import check_bytes
from engine.documents.kinds import check_word, kind_of
from engine.documents.rewriting import Options, Rewriter
from engine.documents.rewriting.delimited import Delimited
from engine.documents.rewriting.markdown import Markdown
from engine.documents.rewriting.pages import Pages
from engine.documents.rewriting.plain import PlainText
from engine.documents.rewriting.subtitles import Styled, Subtitles
from engine.documents.rewriting.word import Word
from engine.errors import InputError, UnsupportedError

READERS: dict[str, Callable[[bytes, Options], Rewriter]] = {
    ".txt": PlainText,
    ".md": Markdown,
    ".csv": Delimited,
    ".tsv": partial(Delimited, name=".tsv"),
    ".srt": Subtitles,
    ".vtt": Subtitles,
    ".ass": partial(Styled, ending=".ass"),
    ".ssa": partial(Styled, ending=".ssa"),
    ".docx": Word,
    ".pdf": Pages,
}
PACKED = {".docx": b"PK", ".pdf": b"%PDF"}


def read_content(content: bytes, name: str, options: Options) -> Rewriter:
    """The file, read here. Raises InputError, UnsupportedError or TooLargeError without a subject."""
    check_bytes(len(content))
    ending = PurePosixPath(name).suffix.lower()
    if ending not in READERS:
        raise UnsupportedError("is of no known kind. Bring one of {kinds}.", kinds=list(READERS))
    if not content.strip(b" \t\r\n\0\xef\xbb\xbf"):
        raise InputError("is empty.")
    check_word(content, ending)
    kind, magic = kind_of(content), PACKED.get(ending)
    if magic is None and kind:
        raise UnsupportedError("is {kind}, whatever its name says. Give it the ending that it should have.", kind=kind)
    if magic and magic not in content[:1024]:
        raise InputError("is no {kind} file, though its name says so. Save or download it anew.", kind=ending[1:])
    found = READERS[ending](content, options)
    if not found.units:
        raise InputError("holds no text to work on.")
    return found
