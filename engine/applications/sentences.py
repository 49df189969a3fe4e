"""A text on its way through a translator: cut into sentences, asked for, checked, put together again."""

from __future__ import annotations

import logging
import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from engine.applications.faults import find_fault, is_word
from engine.applications.languages import SPACELESS
from engine.applications.literals import Kept, keep_aside, restored
from engine.applications.prompts import ask, style_of
from engine.applications.segments import split
from engine.catalogue.models import Model
from engine.errors import PeopleError
from engine.messages import NOTHING, Text
from engine.requests import Event, Generate, Generation
from engine.serving.protocol import Caller, Engine

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sentence:
    """One sentence, its translation, and the model's confidence in it (0 to 1, None where unknown)."""

    source: str
    text: str
    score: float | None
    warning: Text = NOTHING
    """What still looks broken after a second try."""
    is_second_try: bool = False
    """The first translation looked broken and was made again in another way."""


@dataclass(frozen=True)
class Translation:
    """A translated text. `score` is the geometric mean of token probabilities; `source` the language it was taken for.

    `sentences` are in the order of the text; `warning` is the first of theirs.
    """

    text: str
    score: float | None
    source: str
    sentences: list[Sentence] = field(default_factory=list)
    warning: Text = NOTHING


class Work:
    """One clean text on its way: cut into sentences, asked for, put together again."""

    def __init__(self, engine: Engine, model: Model, text: str, languages: tuple[str, str], caller: Caller) -> None:
        self.engine, self.model, self.caller = engine, model, caller
        self.source, self.target = languages
        self.segments = split(text, self.source)
        self.asked = [segment for segment in self.segments if segment.text]
        self.kept = [self._kept(segment.text) for segment in self.asked]
        self.sentences: list[Sentence] = []
        self.logprobs: list[tuple[float, int]] = []
        self.settings: dict[str, Any] = {}
        self._raw = self._shown = ""

    def request(self, index: int, is_again: bool = False) -> Generate:
        """What the model is asked for a sentence."""
        return ask(self.model, self.kept[index].text, self.source, self.target, is_again=is_again)

    def _kept(self, text: str) -> Kept:
        """What the model reads: literals are kept aside where it knows nothing but to translate."""
        return keep_aside(text, self.source, self.target) if style_of(self.model) == "pair" else Kept(text)

    def _restored(self, index: int, generation: Generation) -> Generation:
        """The translation with literals put back, without the stop that a word alone was given for a second try."""
        text = restored(generation.text.strip(), self.kept[index], self.target)
        return replace(generation, text=text.removesuffix(".") if is_word(self.asked[index].text) else text)

    def show(self, index: int, event: Event) -> Iterator[Event]:
        """Pass on the new text of a sentence. Space at its end waits: it may be the last of it, and then goes."""
        self._raw += event.text
        if self.kept[index].text != self.asked[index].text:
            return  # the marks in it mean nothing to a reader: it shows when it is whole
        new = self._raw.strip()[len(self._shown) :]
        if new:
            yield Event("text", text=new if self._shown else self._gap(index) + new, token=event.token)
            self._shown += new

    def finish(self, index: int, first: Generation) -> Iterator[Event]:
        """Keep a sentence, after a second try where the first looks broken; the better one of both is kept."""
        source, is_better = self.asked[index].text, False
        chosen = first = self._restored(index, first)
        fault = find_fault(source, first, self.target)
        if fault and first.finish_reason != "deadline":
            second = yield from self._again(index)
            if second is not None and not find_fault(source, second, self.target):
                chosen, fault, is_better = second, NOTHING, True
        if chosen.mean_logprob is not None:
            self.logprobs.append((chosen.mean_logprob, max(1, chosen.new_tokens)))
        score = None if chosen.mean_logprob is None else math.exp(chosen.mean_logprob)
        self.sentences.append(Sentence(source, chosen.text.strip(), score, fault, is_better))
        self.settings = self.settings or dict(first.settings)
        if chosen.text.strip() != self._shown:
            yield Event("replace", text=self._joined())
        self._raw = self._shown = ""

    def _again(self, index: int) -> Generator[Event, None, Generation | None]:
        """The second try, None where it cannot be had; yields only signs of life, because it may be no better."""
        try:
            for event in self.engine.stream(self.model.id, self.request(index, is_again=True), self.caller):
                if event.kind == "done":
                    return self._restored(index, event.result)
                yield event if event.kind in ("queued", "loading") else Event("queued")
        except PeopleError:
            log.info("no second try of a sentence", exc_info=True)
        return None

    def end(self) -> Iterator[Event]:
        """What stands behind the last sentence."""
        if tail := self._tail():
            yield Event("text", text=tail)

    def translation(self) -> Translation:
        """The whole text with all sentences kept."""
        tokens = sum(count for _, count in self.logprobs)
        score = math.exp(sum(mean * count for mean, count in self.logprobs) / tokens) if tokens else None
        warning = next((sentence.warning for sentence in self.sentences if sentence.warning), NOTHING)
        return Translation(self._joined() + self._tail(), score, self.source, list(self.sentences), warning)

    def _gap(self, index: int) -> str:
        """What stands before a sentence. Within a line it is as the target writes: a space, in Chinese none."""
        before = self.asked[index].before
        if index == 0 or before.strip(" "):
            return before
        return "" if self.target in SPACELESS else before or " "

    def _joined(self) -> str:
        return "".join(self._gap(index) + sentence.text for index, sentence in enumerate(self.sentences))

    def _tail(self) -> str:
        return self.segments[-1].before if self.segments and not self.segments[-1].text else ""
