"""Text becomes pieces: the tokens of one text by several tokenizers, and what a sentence costs in each language."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from engine.explain.view import ALL, View
from engine.explain.view import stream as streamed
from engine.inspections import Piece, Tokenize, Tokens, bytes_as_text
from engine.messages import Text
from engine.requests import Event, clean_text
from engine.serving.protocol import Caller, Engine

BYTES = "bytes"
"""In the place of a model: the text's bytes in UTF-8, the plainest tokenizer."""
SIDE_BY_SIDE = ("smollm2-135m-instruct", "gemma-3-270m", "multilingual-e5-small", "firefox-en-pt", BYTES)
"""Byte pairs for English, pieces for 140 languages, for a hundred and for two, bytes."""
MOST_CHARACTERS = 4000
_BYTE = re.compile("<0x([0-9A-F]{2})>")
_BYTES = re.compile("(?:<0x[0-9A-F]{2}>)+")
SENTENCES = {
    "en": "All human beings are born free and equal in dignity and rights.",
    "fr": "Tous les êtres humains naissent libres et égaux en dignité et en droits.",
    "de": "Alle Menschen sind frei und gleich an Würde und Rechten geboren.",
    "es": "Todos los seres humanos nacen libres e iguales en dignidad y derechos.",
    "pt": "Todos os seres humanos nascem livres e iguais em dignidade e em direitos.",
    "pl": "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw.",
    "ru": "Все люди рождаются свободными и равными в своем достоинстве и правах.",
    "zh": "人人生而自由,在尊严和权利上一律平等。",
    "ja": "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。",
    "ar": "يولد جميع الناس أحراراً متساوين في الكرامة والحقوق.",
    "hi": "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है।",
}
"""Article 1 of the Universal Declaration of Human Rights, its first sentence."""


@dataclass(frozen=True)
class TokensRequest:
    """A text to cut into tokens."""

    text: str
    model: str | None = None
    """A model, or `bytes`."""


@dataclass(frozen=True)
class TokensResult:
    """The tokens, those that the model adds among them, and how many its vocabulary has."""

    pieces: list[Piece]
    vocabulary: int
    model: str

    @property
    def count(self) -> int:
        """Of the text itself."""
        return sum(not piece.is_special for piece in self.pieces)


def stream(engine: Engine, request: TokensRequest, caller: Caller) -> Iterator[Event]:
    """Yields events; the last one's result is a TokensResult."""
    text = clean_text(request.text, "text", MOST_CHARACTERS)
    if request.model == BYTES:
        yield Event("done", result=in_bytes(text))
        return
    model = VIEW.choose(engine.catalogue, request.model)

    def make(tokens: Tokens) -> TokensResult:
        return TokensResult(list(tokens.pieces), tokens.vocabulary, model.id)

    yield from streamed(engine, model, Tokenize(text), caller, make)


def costs(engine: Engine, model_id: str, caller: Caller) -> dict[str, int]:
    """Tokens of the same sentence in each language."""
    if model_id == BYTES:
        return {code: len(text.encode()) for code, text in SENTENCES.items()}
    results = engine.run(model_id, [Tokenize(text) for text in SENTENCES.values()], caller)
    counts = [sum(not piece.is_special for piece in one.pieces) for one in results if isinstance(one, Tokens)]
    return dict(zip(SENTENCES, counts, strict=True))


def in_bytes(text: str) -> TokensResult:
    """The text's bytes as tokens."""
    pieces = [Piece(chr(byte) if 32 <= byte < 127 else bytes_as_text(bytes([byte])), byte) for byte in text.encode()]
    return TokensResult(pieces, 256, BYTES)


def cut_signs(pieces: Sequence[Piece]) -> list[tuple[str, list[Piece]]]:
    """Signs that take several tokens, which stand for some of their bytes each, and those tokens: where a tokenizer has
    no piece for an emoji or an accented letter. The last token is shown as the sign, or as its last bytes."""
    found: list[tuple[str, list[Piece]]] = []
    held: list[Piece] = []
    for piece in pieces:
        raw = b"".join(map(_raw, held))
        if held and not _raw(piece) and piece.text[:1].encode().startswith(raw):
            found.append((piece.text[0], [*held, piece]))
            held = []
            continue
        held = [*held, piece] if _raw(piece) else []
        with suppress(UnicodeDecodeError):
            if held:
                found.append((b"".join(map(_raw, held)).decode(), held))
                held = []
    return found


def _raw(piece: Piece) -> bytes:
    """The bytes of one that is shown as such."""
    is_bytes = _BYTES.fullmatch(piece.text) and not piece.is_special
    return bytes.fromhex("".join(_BYTE.findall(piece.text))) if is_bytes else b""


VIEW = View(
    id="explore/tokens", title=Text("Tokens"), summary=Text("The pieces that a model cuts a text into."),
    icon="segment", architectures=ALL, default_model=SIDE_BY_SIDE[0], needs=frozenset({"tokenize"}),
    request_type=TokensRequest, result_type=TokensResult, stream=stream,
    samples=(TokensRequest("The unbelievable café cost 1234567 euros 🙂"),),
)  # fmt: skip
