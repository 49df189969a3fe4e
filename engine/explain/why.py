"""Why this answer: what each word and sentence of a text adds to one answer over another."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from engine.backends.texts import places_of
from engine.catalogue.models import Model
from engine.documents.sentences import sentences_of
from engine.explain.view import View, origin_in_words
from engine.explain.view import stream as streamed
from engine.inspections import Attribute, Attribution, Method, Piece
from engine.messages import Text
from engine.requests import Event, Generate, Message, clean_text
from engine.serving.protocol import Caller, Engine

MOST_ERROR = 0.05
"""Share of the change from which the page says that the parts do not add up."""
MOST_CHARACTERS = 700
"""Of a passage that is taken apart, some 160 tokens."""
Whose = Literal["text", "written", "instruction"]
_SPACE = "\u2581"
"""What stands for a space at the beginning of a piece."""
_SPACELESS = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
_SENTENCE_END = re.compile(r"[.!?\u3002\uff01\uff1f][\"')\u201d]*$")


@dataclass(frozen=True)
class WhyRequest:
    """A text, an answer (empty is the likeliest) and another that it could have been (empty is the next likeliest).

    The answer is a decoder's next word, a classifier's label, words of the text that answer a `question`, or the next
    word of a translation.
    """

    text: str
    answer: str = ""
    rival: str = ""
    method: Method | Literal[""] = ""
    """Empty is the one that suits the model: layer by layer for a decoder, integrated gradients for others."""
    question: str = ""
    """Of the text, for a model that answers questions."""
    begun: str = ""
    """What is written already of a translation, or of the text's continuation; the answer comes next."""
    messages: tuple[Message, ...] = ()
    """In the place of the text, for a chat model; a last one by the assistant is carried on."""
    fixed: int = 0
    """Characters at the beginning of a text to go on from that stay as they are and have no part in the answer."""
    own: tuple[str, ...] = ()
    """The visitor's words in it, where an instruction's stand around them; the parts tell whose each of them is."""
    model: str | None = None

    @property
    def name(self) -> str:
        """Under which its result is found again; tells nothing of the text."""
        return hashlib.sha256(repr(self).encode("utf-8", "replace")).hexdigest()[:24]


@dataclass(frozen=True)
class Part:
    """A word or a sentence, and what it adds to the difference of the two answers' logits.

    `of` says whose it is: the visitor's text, what the model had written before, or the words of an instruction.
    """

    text: str
    value: float
    of: Whose = "text"


@dataclass(frozen=True)
class Share:
    """What words add together, and their share of all that is added and taken away."""

    value: float
    share: float


@dataclass(frozen=True)
class WhyResult:
    """The difference is `before` for a text without content and `after` for this one; the parts add up to the change
    but for the share `error`, and `is_exact` says whether that is little."""

    tokens: list[Part]
    words: list[Part]
    sentences: list[Part]
    answer: str
    rival: str
    before: float
    after: float
    error: float
    is_exact: bool
    origin: Text
    model: str
    method: Method = "gradients"


def methods_of(model: Model) -> list[Method]:
    """What there is for a model, first what suits it: on the way from an empty text a decoder's next word jumps."""
    others: list[Method] = ["gradients", "occlusion"]
    if model.architecture == "seq2seq":
        return others
    return ["layers", *others] if model.architecture == "causal" else [*others, "layers"]


def from_generate(
    asked: Generate, model_id: str, answer: str = "", begun: str = "", *, own: Sequence[str] = (), written: str = ""
) -> WhyRequest:
    """Why the next word after what a model was asked for, and has written of it: `begun`, or `written` where that is
    the end of what was asked; `own` is the visitor's in it."""
    mine = tuple(one.strip().rstrip(".\u3002") for one in own)
    if asked.messages:
        turns = (*asked.messages, *([Message("assistant", begun)] if begun.strip() else []))
        return WhyRequest("", answer, messages=turns, own=mine, model=model_id)
    prompt = asked.prompt
    if written and prompt.endswith(written):
        prompt, begun = prompt.removesuffix(written), written
    elif begun.strip():
        begun = f" {begun.strip()}"
    return WhyRequest(prompt, answer, begun=begun, fixed=asked.common_characters, own=mine, model=model_id)


def around(text: str, start: int, end: int, most: int = MOST_CHARACTERS) -> str:
    """A text, or the whole lines and sentences of a long one around a place: what can be taken apart at once."""
    if len(text) <= most:
        return text
    low, high = max(0, (start + end - most) // 2), min(len(text), (start + end + most) // 2)
    cuts = [place for sentence in sentences_of(text) for place in sentence]
    first = min((cut for cut in cuts if low <= cut <= start), default=low)
    last = max((cut for cut in cuts if end <= cut <= high), default=high)
    return text[first:last].strip()


def stream(engine: Engine, request: WhyRequest, caller: Caller) -> Iterator[Event]:
    """Yields events, a text `8/256 ` as it goes on; the last one's result is a WhyResult."""
    model = VIEW.choose(engine.catalogue, request.model)
    most = engine.settings.max_text_characters
    text = clean_text(request.text, "text", most, can_be_empty=bool(request.messages))
    question = clean_text(request.question, "question", most, can_be_empty=model.architecture != "extraction")
    turns = tuple((turn.role, clean_text(turn.content, "messages", most)) for turn in request.messages)
    method = request.method or methods_of(model)[0]

    def make(found: Attribution) -> WhyResult:
        owners = _owners(found.tokens, request, can_write=model.architecture == "causal")
        tokens = [
            Part(piece.text, float(value), owner)
            for piece, value, owner in zip(found.tokens, found.parts.values(), owners, strict=True)
        ]
        # What is a template's has no part at all.
        told = [place for place, part in enumerate(tokens) if part.value or not (turns or request.fixed)]
        words = fold([found.tokens[place] for place in told], [tokens[place] for place in told])
        origin = origin_in_words(found.origin)
        return WhyResult(
            tokens, words, sentences(words), found.answer, found.rival, found.before, found.after, found.error,
            found.error <= MOST_ERROR, origin, model.id, method,
        )  # fmt: skip

    asked = Attribute(
        text, request.answer, request.rival, method, question=question, begun=request.begun, turns=turns,
        fixed=max(0, request.fixed),
    )  # fmt: skip
    yield from streamed(engine, model, asked, caller, make)


def _owners(pieces: Sequence[Piece], request: WhyRequest, *, can_write: bool) -> list[Whose]:
    """Of each token. Where the visitor's words are not named, or are not found, all are theirs."""
    last = request.messages[-1] if request.messages else None
    said = request.begun or (last.content if last and last.role == "assistant" else "")
    written = [said] if can_write and said.strip() else []
    *own, end = places_of(pieces, [*request.own, *(written or [""])])
    if not any(own):
        return ["text"] * len(pieces)
    mine = {place for one in own for place in one}
    return ["text" if at in mine else "written" if at in end else "instruction" for at in range(len(pieces))]


def shares(parts: Sequence[Part]) -> dict[Whose, Share]:
    """What the words of each add together."""
    all_of_it = sum(abs(one.value) for one in parts) or 1.0
    found: dict[Whose, Share] = {}
    for whose in ("text", "written", "instruction"):
        values = [one.value for one in parts if one.of == whose]
        if values:
            found[whose] = Share(sum(values), sum(map(abs, values)) / all_of_it)
    return found


def fold(pieces: Sequence[Piece], parts: Sequence[Part]) -> list[Part]:
    """Tokens joined to words: a word goes on until a token begins with a space, or with a Chinese or Japanese letter,
    or is somebody else's. Special tokens, which stay as they are whatever is asked, are no words."""
    words: list[Part] = []
    is_open = False
    for piece, part in zip(pieces, parts, strict=True):
        text = part.text.replace(_SPACE, " ")
        is_open = is_open and words[-1].of == part.of
        if piece.is_special:
            is_open = False
        elif is_open and not text[:1].isspace() and not (_SPACELESS.match(text) and words[-1].text.strip()):
            words[-1] = Part((words[-1].text + text).lstrip(), words[-1].value + part.value, part.of)
        else:
            words.append(Part(text.strip() or text, part.value, part.of))
            is_open = True
    return words


def sentences(words: Sequence[Part]) -> list[Part]:
    """Words joined to sentences, by the marks that end them."""
    found: list[Part] = []
    is_open = False
    for word in words:
        if is_open and found[-1].of == word.of:
            gap = "" if _SPACELESS.match(word.text) else " "
            found[-1] = Part(f"{found[-1].text}{gap}{word.text}", found[-1].value + word.value, word.of)
        else:
            found.append(word)
        is_open = not _SENTENCE_END.search(word.text)
    return found


VIEW = View(
    id="explore/why", title=Text("Why this answer?"), summary=Text("Which words speak for an answer."),

    icon="psychology_alt", architectures=frozenset({"causal", "classification", "extraction", "seq2seq"}),
    default_model="sentiment-e5",
    needs=frozenset({"attribute"}), request_type=WhyRequest, result_type=WhyResult, stream=stream,
    samples=(WhyRequest("The food was good, but the waiter was rude."),),
)  # fmt: skip
