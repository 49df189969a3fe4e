"""Masked words: what a model like BERT puts where a word is hidden, with the words on both sides."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from engine.applications.tokens import Rival
from engine.explain.view import View
from engine.explain.view import stream as streamed
from engine.messages import Text
from engine.requests import Event, Fill, Filling, clean_text
from engine.serving.protocol import Caller, Engine


@dataclass(frozen=True)
class MaskedRequest:
    """A text in which `[MASK]` stands for each hidden word."""

    text: str
    top: int = 8
    model: str | None = None


@dataclass(frozen=True)
class MaskedResult:
    """The likeliest words for each mask, in the text's order."""

    masks: list[list[Rival]]
    model: str


def stream(engine: Engine, request: MaskedRequest, caller: Caller) -> Iterator[Event]:
    """Yields events; the last one's result is a MaskedResult."""
    model = VIEW.choose(engine.catalogue, request.model)
    text = clean_text(request.text, "text", engine.settings.max_text_characters)

    def make(found: Filling) -> MaskedResult:
        return MaskedResult([[Rival(word, share) for word, share in mask] for mask in found.masks], model.id)

    yield from streamed(engine, model, Fill(text, request.top), caller, make)


VIEW = View(
    id="explore/masked", title=Text("Masked words"), summary=Text("What stands where a word is hidden."),
    icon="password", architectures=frozenset({"masked"}), default_model="bert-base-uncased", needs=frozenset({"fill"}),
    request_type=MaskedRequest, result_type=MaskedResult, stream=stream,
    samples=(MaskedRequest("The capital of France is [MASK]."),),
)  # fmt: skip
