"""Text files: paragraphs, and what stands between them; their encoding and line ends stay."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from engine.documents.encoding import MARKS, OLD, decoded
from engine.documents.rewriting import MAX_UNIT_CHARACTERS, Made, Options, Unit
from engine.messages import Text

LETTER = re.compile(r"[^\W\d_]")
_GAP = re.compile(r"(\n[^\S\n]*(?:\n[^\S\n]*)+|\f)")
_STOP = re.compile(r"(?<=[.!?…。！？])\s+|(?<=[。！？])")


class Letters:
    """The text of a file, and the way back to its bytes."""

    def __init__(self, content: bytes) -> None:
        text, note = decoded(content)
        self.codec = _codec(content, text)
        self.notes = [note] if note else []
        text = text.removeprefix("\ufeff")
        self.newline = "\r\n" if text.count("\r\n") * 2 > text.count("\n") else "\n"
        self.text = text.replace("\r\n", "\n").replace("\r", "\n")

    def encoded(self, text: str) -> bytes:
        """In the file's own encoding; as UTF-8 where that lacks a letter."""
        text = text.replace("\n", self.newline)
        try:
            return text.encode(self.codec)
        except UnicodeEncodeError:
            self.notes.append(Text("The file is written as UTF-8: its own encoding lacks letters of this language."))
            return text.encode("utf-8-sig")


def _codec(content: bytes, text: str) -> str:
    """By which the bytes are that text."""
    marked = next((name for mark, name in MARKS.items() if content.startswith(mark)), "")
    for name in filter(None, (marked, "utf-8", "utf-16-le", "utf-16-be", *OLD)):
        try:
            if content.decode(name) == text:
                return name
        except UnicodeDecodeError:
            continue
    return "utf-8"


class PlainText:
    """A text file."""

    ending = ".txt"

    def __init__(self, content: bytes, options: Options) -> None:
        self.letters = Letters(content)
        self.notes = self.letters.notes
        self.parts: list[str | Unit] = []
        for part in _GAP.split(self.letters.text):
            pieces = short(part) if LETTER.search(part) else iter([part])
            self.parts += [Unit(piece) if LETTER.search(piece) else piece for piece in pieces if piece]
        self.units = [part for part in self.parts if isinstance(part, Unit)]

    def written(self, made: Sequence[Made]) -> bytes:
        """The file with what was made of each paragraph."""
        ready = iter(made)
        texts = [part if isinstance(part, str) else next(ready).text for part in self.parts]
        return self.letters.encoded("".join(texts))


def short(text: str) -> Iterator[str]:
    """The text in pieces that are not too long: cut between lines, else behind sentences, else anywhere."""
    while len(text) > MAX_UNIT_CHARACTERS:
        window = text[:MAX_UNIT_CHARACTERS]
        cut = window.rfind("\n") + 1 or _last(window, _STOP.finditer(window)) or window.rfind(" ") + 1
        cut = cut or MAX_UNIT_CHARACTERS
        yield text[:cut]
        text = text[cut:]
    yield text


def _last(window: str, found: Iterator[re.Match[str]]) -> int:
    return max((match.end() for match in found if match.end() > len(window) // 3), default=0)


def replaced(parts: Sequence[object], made: Sequence[Made], write: Callable[[object, Made], str]) -> str:
    """Parts joined: texts as they are, others as they are written with what was made of them."""
    ready = iter(made)
    return "".join(part if isinstance(part, str) else write(part, next(ready)) for part in parts)
