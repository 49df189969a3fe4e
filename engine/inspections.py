"""What can be looked at inside a model: requests, and results as arrays whose axes have names.

Nothing here computes; numpy is imported when an array is packed or read.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any, Literal

Part = Literal["", "encoder", "decoder", "cross"]
Method = Literal["gradients", "occlusion", "layers"]
Kind = Literal["causal", "both ways", "cross"]
MOST_TOKENS = 256
"""Of a text that is looked into; attention's numbers grow with their square."""
MOST_READ = 1024
"""Of a text of which only what comes next is asked."""


@dataclass(frozen=True)
class Grid:
    """An array: `axes` name its dimensions, `data` are its numbers in base64, little-endian, the last axis first."""

    axes: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    data: str

    def values(self) -> Any:
        """As a numpy array."""
        import numpy as np

        return np.frombuffer(base64.b64decode(self.data), np.dtype(self.dtype).newbyteorder("<")).reshape(self.shape)


def pack(array: Any, axes: tuple[str, ...], dtype: str = "float32") -> Grid:
    """A numpy array as a Grid."""
    import numpy as np

    plain = np.ascontiguousarray(array, np.dtype(dtype).newbyteorder("<"))
    return Grid(axes, tuple(plain.shape), dtype, base64.b64encode(plain.tobytes()).decode())


def bytes_as_text(raw: bytes) -> str:
    """How a token is shown that is a part of a character."""
    return "".join(f"<0x{byte:02X}>" for byte in raw)


@dataclass(frozen=True)
class Origin:
    """What the numbers were computed with."""

    dtype: str
    weights: str = ""
    """The kind of numbers in the file that other pages use, where a copy in another precision was looked into."""


@dataclass(frozen=True)
class Score:
    """Ask how likely a decoder finds each token of the text after those before it; a translator, given its source."""

    text: str
    source: str = ""
    """What the text translates."""
    rivals: int = 0
    """How many of the likeliest tokens to tell at each place."""
    task: Literal["score"] = "score"

    @property
    def needs(self) -> frozenset[str]:
        if self.source:
            return frozenset({"score_translation"})
        return frozenset({"score", "rivals"} if self.rivals else {"score"})


@dataclass(frozen=True)
class Align:
    """Ask an encoder which parts of a translation say what parts of its source do."""

    text: str
    source: str
    task: Literal["align_texts"] = "align_texts"

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"align_texts"})


@dataclass(frozen=True)
class Tokenize:
    """Ask for the tokens of a text, special ones among them."""

    text: str
    task: Literal["tokenize"] = "tokenize"

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"tokenize"})


@dataclass(frozen=True)
class Lot:
    """How often a token is drawn, by which seed, and the settings as of `Sampling`."""

    draws: int
    seed: int = 0
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0


@dataclass(frozen=True)
class Next:
    """Ask a decoder for the logit of every token that could come after the text."""

    text: str
    turns: tuple[tuple[str, str], ...] = ()
    """In the place of the text, a chat, as of `Attribute`."""
    begun: tuple[int, ...] = ()
    """Ids of tokens that follow it, such as those that were drawn before."""
    lot: Lot | None = None
    """How to draw the next token, where it is wanted."""
    task: Literal["next"] = "next"

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"next"})


@dataclass(frozen=True)
class Attend:
    """Ask where each token looks in one layer, head by head; a translator, from `text` to its `source`."""

    text: str
    source: str = ""
    layer: int = 0
    """From 0 on; -1 is the last."""
    part: Part = ""
    """Of an encoder-decoder: where it looks in itself or across; empty is across where there is a source."""
    task: Literal["attend"] = "attend"

    @property
    def side(self) -> Part:
        """Of an encoder-decoder: the part that is asked for."""
        return self.part or ("cross" if self.source else "encoder")

    @property
    def read_first(self) -> tuple[str, str]:
        """What the encoder of an encoder-decoder reads, and the field that it is in."""
        return (self.source, "source") if self.source else (self.text, "text")

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"attend_translation" if self.source else "attend"})


@dataclass(frozen=True)
class Lens:
    """Ask what a decoder would say after each layer (the logit lens), and how much each layer changes."""

    text: str
    top: int = 3
    """Of the likeliest tokens at each layer and place."""
    task: Literal["lens"] = "lens"

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"lens"})


@dataclass(frozen=True)
class Attribute:
    """Ask which tokens of the text speak for an answer and against another.

    That is a decoder's next token, a classifier's label, words of the passage that a reader answers a question with
    (against none, or others), or the next token of a translation. Empty is the likeliest answer, and the likeliest
    other one.
    """

    text: str
    answer: str = ""
    rival: str = ""
    method: Method = "gradients"
    question: str = ""
    """A reader's, of the text."""
    begun: str = ""
    """What a decoder or a translator has written of it already; the answer comes next."""
    turns: tuple[tuple[str, str], ...] = ()
    """In the place of the text, a chat: roles and what they say; a last turn by the assistant is carried on."""
    fixed: int = 0
    """Characters at a decoder's beginning that are an application's own words, which speak neither for nor against."""
    task: Literal["attribute"] = "attribute"

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"attribute"})


Look = Tokenize | Next | Attend | Lens | Attribute


@dataclass(frozen=True)
class Piece:
    """One token as people see it; `text` of one that is part of a character is its bytes, as `<0xE2>`."""

    text: str
    id: int
    is_special: bool = False


@dataclass(frozen=True)
class Tokens:
    """The tokens of a text, and how many the vocabulary has."""

    pieces: tuple[Piece, ...]
    vocabulary: int
    is_repeated: bool = field(default=False, compare=False)


@dataclass(frozen=True)
class NextToken:
    """The logits (token,) of the whole vocabulary by id, the likeliest tokens, best first, and those that were drawn,
    in their order."""

    context: tuple[Piece, ...]
    logits: Grid
    best: tuple[Piece, ...]
    origin: Origin
    drawn: tuple[Piece, ...] = ()
    is_repeated: bool = field(default=False, compare=False)


@dataclass(frozen=True)
class Attention:
    """One layer's weights (head, row, column): a row's token looks at columns' tokens, and its weights add up to 1."""

    kind: Kind
    rows: tuple[Piece, ...]
    columns: tuple[Piece, ...]
    layer: int
    layers: int
    weights: Grid
    habits: Grid
    """(layer, head, habit) of all layers, means over rows; see HABITS."""
    origin: Origin
    is_repeated: bool = field(default=False, compare=False)


HABITS = ("first", "own", "before", "spread")
"""Share of attention that goes to the first column, to the row's own place, to the place before it; and over how many
tokens it is spread (the exponential of its entropy)."""


@dataclass(frozen=True)
class LensReading:
    """What would be said after the embedding (layer 0) and after each layer; the last are the model's own answers.

    `words[layer][token]` are the likeliest first.
    """

    tokens: tuple[Piece, ...]
    words: tuple[tuple[tuple[str, ...], ...], ...]
    ids: Grid
    """(layer, token, rank)"""
    logprobs: Grid
    """(layer, token, rank), natural."""
    changes: Grid
    """(layer, token): by which share of its length a layer moves the residual stream."""
    origin: Origin
    is_repeated: bool = field(default=False, compare=False)


@dataclass(frozen=True)
class Attribution:
    """Each token's part in the difference of two answers' logits, which is `before` for a text without content.

    `error` is what the parts' sum leaves unexplained, as a share of the change.
    """

    tokens: tuple[Piece, ...]
    parts: Grid
    answer: str
    """"" is a reader's word that the text holds no answer."""
    rival: str
    before: float
    after: float
    error: float
    origin: Origin
    is_repeated: bool = field(default=False, compare=False)


Seen = Tokens | NextToken | Attention | LensReading | Attribution
