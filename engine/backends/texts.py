"""Text out of tokens while they come: whole characters only, and nothing that may turn out to be a stop string."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

from engine.backends.protocol import Job
from engine.inspections import Piece
from engine.requests import Generate, Token

CONTEXT_TOKENS = 5
"""Tokens before the new ones that are decoded with them: a tokenizer may write a token differently at the start."""
BROKEN = "\ufffd"
"""What a decoder writes for bytes that are no character (yet)."""
LOOP_TIMES, LOOP_CHARACTERS, LOOP_PIECE = 4, 40, 80
"""How often a piece comes in a row, and how many characters that makes, before it is a loop; the longest piece."""
MAX_PENDING_TOKENS = 8
"""A character has at most four bytes; what is still broken after this many tokens stays broken."""


BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_PARTIAL = re.compile(r"(?:<0x[0-9A-F]{2}>)+")


@cache
def _byte_letters() -> dict[str, int]:
    """The letter that byte-level BPE writes for each byte (Radford et al. 2019): printable ones are themselves."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + place): byte for place, byte in enumerate(others)}


def bytes_of(piece: str) -> bytes | None:
    """The bytes that a vocabulary's entry stands for where it is one of bytes; None for one of characters."""
    if match := BYTE_TOKEN.fullmatch(piece):
        return bytes([int(match[1], 16)])
    letters = _byte_letters()
    return bytes(letters[letter] for letter in piece) if all(letter in letters for letter in piece) else None


def places_of(pieces: Sequence[Piece], contents: Sequence[str]) -> list[range]:
    """The tokens in which each content stands, whose order is kept; looked for from the end, an empty range for one
    that is not there. Spaces and capitals do not count, since templates change them."""
    letters, places = "", list[int]()
    for place, piece in enumerate(pieces):
        bare = "" if _PARTIAL.fullmatch(piece.text) else _bare(piece.text)  # the character is with its last token
        letters, places = letters + bare, places + [place] * len(bare)
    end, found = len(letters), list[range]()
    for content in map(_bare, reversed(contents)):
        start = letters.rfind(content, 0, end) if content else -1
        if start < 0:
            found.append(range(0))
            continue
        end, first, last = start, places[start], places[start + len(content) - 1]
        while first and _PARTIAL.fullmatch(pieces[first - 1].text):
            first -= 1
        found.append(range(first, last + 1))
    return found[::-1]


def _bare(text: str) -> str:
    """Its letters, each one character long."""
    return "".join(letter.lower()[:1] for letter in text if not letter.isspace() and letter != "\u2581")


def stop_position(text: str, stops: Sequence[str]) -> int | None:
    """Where the first stop string begins in the text, if there is one."""
    return min((at for stop in stops if (at := text.find(stop)) >= 0), default=None)


def is_endless(text: str) -> bool:
    """Whether a text ends in a piece with a letter that comes again and again, for longer than anybody would."""
    for size in range(1, LOOP_PIECE + 1):
        piece = text[-size:]
        if text.endswith(piece * max(LOOP_TIMES, -(-LOOP_CHARACTERS // size))) and any(map(str.isalpha, piece)):
            return True
    return False


def safe_length(text: str, stops: Sequence[str]) -> int:
    """How many characters of the text cannot become part of a stop string, whatever follows."""
    longest = max((len(stop) for stop in stops), default=1) - 1
    for at in range(max(0, len(text) - longest), len(text)):
        if any(stop.startswith(text[at:]) for stop in stops):
            return at
    return len(text)


class Detokenizer:
    """Turns ids into pieces of text; a piece is "" while a character is incomplete.

    The pieces joined are the text of all ids. `context` are the ids before the first.
    """

    def __init__(self, decode: Callable[[list[int]], str], context: Sequence[int] = ()) -> None:
        self._decode = decode
        self._ids = list(context[-CONTEXT_TOKENS:])
        self._start, self._read = 0, len(self._ids)

    def push(self, id: int) -> str:
        """The text that this token adds."""
        self._ids.append(id)
        piece = self._piece()
        if piece.endswith(BROKEN) and len(self._ids) - self._read < MAX_PENDING_TOKENS:
            return ""
        return self._accept(piece)

    def flush(self) -> str:
        """What is still held back, broken or not."""
        return self._accept(self._piece()) if self._read < len(self._ids) else ""

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """The text that each token adds, all of it; a character of several tokens is with its last."""
        found = [self.push(id) for id in ids]
        return [*found[:-1], found[-1] + self.flush()] if found else []

    def _piece(self) -> str:
        known = self._decode(self._ids[self._start : self._read])
        return self._decode(self._ids[self._start :])[len(known) :]

    def _accept(self, piece: str) -> str:
        if piece:
            self._start, self._read = max(self._read - 1, 0), len(self._ids)
        return piece


class HeldText:
    """Hands the text of one answer on to its job, but for what may be the beginning of a stop string."""

    def __init__(self, job: Job, stops: Sequence[str]) -> None:
        self._job, self._stops = job, stops
        self._held: list[tuple[str, Token | None]] = []
        self._texts: list[str] = []
        self._end = ""
        self.skipped = ""
        """What the prompt ended with and the first token has again."""
        self.tokens: list[Token] = []

    @property
    def text(self) -> str:
        """All that was handed on."""
        return "".join(self._texts)

    def add(self, piece: str, token: Token | None = None) -> bool:
        """Take more of the text. True when it ends: before a stop string that has come, or in a loop."""
        if self.skipped and piece:
            piece, self.skipped = piece.removeprefix(self.skipped), ""
            token = token and replace(token, text=piece)
        self._held.append((piece, token))
        text = "".join(piece for piece, _ in self._held)
        end = stop_position(text, self._stops)
        safe = safe_length(text, self._stops) if end is None else end
        while self._held and safe >= len(self._held[0][0]):
            piece, token = self._held.pop(0)
            safe -= len(piece)
            self._hand_on(piece, token)
        if end is None:
            return self._is_endless()
        if safe:
            self._hand_on(self._held[0][0][:safe], self._held[0][1])
        self._held = []
        return True

    def _is_endless(self) -> bool:
        request = self._job.request
        return isinstance(request, Generate) and request.ends_loops and is_endless(self._end)

    def end(self) -> None:
        """Hand on what was held back: no more will come."""
        for piece, token in self._held:
            self._hand_on(piece, token)
        self._held = []

    def _hand_on(self, piece: str, token: Token | None) -> None:
        self._texts.append(piece)
        self._end = (self._end + piece)[-LOOP_TIMES * LOOP_PIECE :]
        if token is not None:
            self.tokens.append(token)
        if piece or token is not None:
            self._job.emit(piece, token)


class TextStream(HeldText):
    """The same from tokens."""

    def __init__(self, job: Job, detokenizer: Detokenizer, stops: Sequence[str]) -> None:
        super().__init__(job, stops)
        self._detokenizer = detokenizer

    def push(self, id: int, detail: Callable[[str], Token] | None = None) -> bool:
        """Take one token; `detail` makes its `Token` where asked for. True when a stop string has come."""
        piece = self._detokenizer.push(id)
        return self.add(piece, detail(piece) if detail else None)

    def close(self) -> bool:
        """Hand on what was held back. True when that ends with a stop string."""
        is_stopped = self.add(self._detokenizer.flush())
        self.end()
        return is_stopped
