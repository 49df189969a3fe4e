"""A text on its way through a translator: cut into sentences, asked for, checked, put together again."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from engine.applications.alignments import links
from engine.applications.emphasis import put_back
from engine.applications.faults import find_fault, is_looping, told_lost
from engine.applications.glossary import find_terms
from engine.applications.language_labels import labels_aside
from engine.applications.languages import SPACELESS
from engine.applications.literals import NO_TERMS, Kept, calm, is_shouted, keep_aside, missing, restored, shouted
from engine.applications.phrases import agreed, among, common, forms, is_phrase
from engine.applications.prompts import ask, style_of
from engine.applications.segments import split
from engine.applications.wrapping import unwrapped, wrapped
from engine.catalogue.models import Model
from engine.errors import PeopleError
from engine.inspections import Score
from engine.messages import NOTHING, Text
from engine.requests import Event, Generate, Generation, Request, Scoring
from engine.serving.protocol import Caller, Engine

log = logging.getLogger(__name__)

DOUBTFUL = 0.5
"""Below this confidence a sentence is doubtful."""
NAMING = ("few-shot", "names")
"""Styles of prompts with names of languages before the sentences."""
MARKED = ("pair", *NAMING)
"""Styles of models that copy marks, and that know no sentence of one word."""


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
    halfway: str = ""
    """Of a translation through English: the English that the second model read."""
    is_common: bool = False
    """A common phrase, said as it is known to be said; the model wrote something else."""

    @property
    def is_doubtful(self) -> bool:
        """Whether something looks broken, or the model is unsure of it."""
        return bool(self.warning) or (self.score is not None and self.score < DOUBTFUL)


@dataclass(frozen=True)
class Translation:
    """A translated text. `score` is the geometric mean of token probabilities; `source` the language it was taken for.

    `sentences` are in the order of the text; `warning` is the first of theirs, or why the text stands as it was.
    """

    text: str
    score: float | None
    source: str
    sentences: list[Sentence] = field(default_factory=list)
    warning: Text = NOTHING
    is_guessed: bool = False
    """Nobody named the source language, and the text does not make it certain."""

    def places(self) -> list[tuple[int, int] | None]:
        """Start and end of each sentence in the text, also where lines were wrapped; None where it is not in it."""
        found: list[tuple[int, int] | None] = []
        end = 0
        for sentence in self.sentences:
            pattern = r"\s*".join(map(re.escape, re.sub(r"\s", "", sentence.text)))
            match = re.compile(pattern).search(self.text, end) if pattern else None
            found.append(match.span() if match else None)
            end = match.end() if match else end
        return found

    def doubts(self) -> list[tuple[int, int]]:
        """Where the doubtful sentences stand in the text, start and end."""
        places = zip(self.sentences, self.places(), strict=True)
        return [place for sentence, place in places if place and sentence.is_doubtful]


class Direction(NamedTuple):
    """From which language to which, as ISO 639-1 codes, and whether the first is a guess."""

    source: str
    target: str
    is_guessed: bool = False


@dataclass
class Untouched:
    """A text that cannot be translated: it stays as it was, and says why."""

    text: str
    direction: Direction
    warning: Text
    asked: list[Any] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)

    def end(self) -> Iterator[Event]:
        """Nothing stands behind it."""
        return iter(())

    def translation(self) -> Translation:
        """The text itself, with the warning."""
        return Translation(self.text, None, self.direction.source, [], self.warning)


class Work:
    """One clean text on its way: cut into sentences, asked for, put together again."""

    def __init__(
        self, engine: Engine, model: Model, text: str, direction: Direction, caller: Caller,
        terms: Mapping[str, str] = NO_TERMS,
    ) -> None:  # fmt: skip
        self.engine, self.model, self.caller, self.terms = engine, model, caller, terms
        self.text, self.direction = text, direction
        self.source, self.target, self.is_guessed = direction
        joined, self.widths = unwrapped(text)
        segments = split(joined, self.source)
        self.segments = labels_aside(segments, self.target) if style_of(model) in NAMING else segments
        self.asked = [segment for segment in self.segments if segment.text]
        self.calm = [calm(one.text, self.source) if is_shouted(one.text) else one.text for one in self.asked]
        self.kept = [self._kept(text) for text in self.calm]
        self.sentences: list[Sentence] = []
        self.logprobs: list[tuple[float, int]] = []
        self.settings: dict[str, Any] = {}
        self._raw = self._shown = ""

    def request(self, index: int) -> Generate:
        """What the model is asked for a sentence."""
        return ask(self.model, self.kept[index].text, self.source, self.target)

    def failed(self, error: PeopleError) -> Untouched:
        """What stays of the text when the model cannot work on it."""
        return Untouched(self.text, self.direction, error.text)

    def _kept(self, text: str, tried: tuple[Kept, str] | None = None) -> Kept:
        """What the model reads. Literals are kept aside at first where marks do better, else after one was `tried`."""
        style = style_of(self.model)
        if style == "pair":
            return keep_aside(text, self.source, self.target, tried=tried, terms=self.terms)
        if style not in MARKED and tried is None and not find_terms(text, self.terms):
            return Kept(text)
        tried = tried if style in MARKED else None
        return keep_aside(text, self.source, self.target, is_small=False, tried=tried, terms=self.terms)

    def _restored(self, source: str, kept: Kept, made: Generation) -> tuple[Generation, Text]:
        """The translation with literals put back, and what looks broken about it."""
        whole = replace(made, text=restored(made.text.strip(), kept, self.target))
        fault = find_fault(self._told(source), whole, self.target, self.source)
        lost = missing(made.text, kept) if made.text.strip() and not fault else []
        return whole, told_lost(lost) if lost else fault

    def _told(self, source: str) -> str:
        """The source with a glossary's translations that hold signs or numbers, which are neither lost nor invented."""
        pieces, place = [], 0
        for start, end, made in find_terms(source, self.terms):
            is_odd = re.search(r"[^\w\s]|\d", source[start:end] + made)
            pieces += [source[place:start], made if is_odd else source[start:end]]
            place = end
        return "".join([*pieces, source[place:]])

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
        source, is_better = self.calm[index], False
        kept = self.kept[index]
        first = yield from self._emphasised(kept, first)
        chosen, fault = self._restored(source, kept, first)
        bare, inner = kept.within(source), replace(chosen, text=kept.within(chosen.text))
        known = [] if find_terms(source, self.terms) else common(bare, self.source, self.target)
        is_exchanged = bool(known) and not among(inner.text, known)
        if known:
            said = _said(inner, known)
            chosen, fault = replace(said, text=kept.around(said.text)), NOTHING
        elif is_phrase(bare) and self._may_mislead(bare, inner, fault):
            agreed_on = yield from self._agreed(bare, inner)
            is_better = agreed_on.text.casefold() != inner.text.casefold()
            chosen = replace(agreed_on, text=kept.around(agreed_on.text))
            fault = find_fault(source, chosen, self.target, self.source)
        if fault and not is_better and first.finish_reason != "deadline" and not is_looping(source):
            second, still = yield from self._again(source, (kept, first.text))
            if second is not None and not still:
                chosen, fault, is_better = second, NOTHING, True
        self._keep(index, Sentence(source, "", None, fault, is_better, is_common=is_exchanged), chosen)
        if self.sentences[-1].text != self._shown:
            yield Event("replace", text=self._joined())
        self._raw = self._shown = ""

    def _may_mislead(self, source: str, first: Generation, fault: Text) -> bool:
        """Whether a phrase is asked for in other forms too: always of small translators, of others when in doubt."""
        style = style_of(self.model)
        is_doubtful = bool(fault) or (first.mean_logprob or 0.0) < math.log(DOUBTFUL)
        if find_terms(source, self.terms) or is_looping(source):
            return False
        return first.finish_reason != "deadline" and (style == "pair" or (style in MARKED and is_doubtful))

    def _keep(self, index: int, sentence: Sentence, made: Generation) -> None:
        if made.mean_logprob is not None:
            self.logprobs.append((made.mean_logprob, max(1, made.new_tokens)))
        score = None if made.mean_logprob is None else math.exp(made.mean_logprob)
        text, original = made.text.strip(), self.asked[index].text
        text = shouted(text) if sentence.source != original else text
        self.sentences.append(replace(sentence, source=original, text=text, score=score))
        self.settings = self.settings or dict(made.settings)

    def _again(self, source: str, tried: tuple[Kept, str]) -> Generator[Event, None, tuple[Generation | None, Text]]:
        """The second try, None where it cannot be had; yields only signs of life, because it may be no better."""
        kept = self._kept(source, tried)
        request = ask(self.model, kept.text, self.source, self.target, is_again=True)
        made = yield from self._made([request])
        if not made:
            return None, NOTHING
        second = yield from self._emphasised(kept, made[0])
        return self._restored(source, kept, second)

    def _emphasised(self, kept: Kept, made: Generation) -> Generator[Event, None, Generation]:
        """The translation with inline Markdown around the words that come from those it stood around."""
        if not kept.emphases or not made.text.strip():
            return made
        text = made.text.strip()
        told: list[Scoring] = yield from self._made([Score(text, kept.text)])
        alignment = told[0].alignment if told else None
        found = links(kept.text, told[0].tokens, alignment) if alignment else []
        return replace(made, text=put_back(text, kept.text, kept.emphases, found))

    def _agreed(self, source: str, first: Generation) -> Generator[Event, None, Generation]:
        """What the translations of a phrase agree on when it is asked for in several forms."""
        requests = [ask(self.model, form, self.source, self.target) for form in forms(source)]
        return agreed(source, [first, *(yield from self._made(requests))])

    def _made(self, requests: Sequence[Request]) -> Generator[Event, None, list[Any]]:
        """What the model makes of these, nothing where it cannot; yields signs of life."""
        made: list[Any] = []
        try:
            for _, event in self.engine.stream_all(self.model.id, requests, self.caller):
                if event.kind == "done":
                    made.append(event.result)
                else:
                    yield event if event.kind in ("queued", "loading") else Event("queued")
        except PeopleError:
            log.info("nothing more of a sentence", exc_info=True)
            return []
        return made

    def end(self) -> Iterator[Event]:
        """What stands behind the last sentence; wrapped lines are wrapped again."""
        if self.widths and self.sentences:
            yield Event("replace", text=self.translation().text)
        elif tail := self._tail():
            yield Event("text", text=tail)

    def translation(self) -> Translation:
        """The whole text with all sentences kept."""
        tokens = sum(count for _, count in self.logprobs)
        score = math.exp(sum(mean * count for mean, count in self.logprobs) / tokens) if tokens else None
        warning = next((sentence.warning for sentence in self.sentences if sentence.warning), NOTHING)
        text = wrapped(self._joined() + self._tail(), self.widths, self.target)
        return Translation(text, score, self.source, list(self.sentences), warning, self.is_guessed)

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


def _said(made: Generation, known: list[str]) -> Generation:
    """A common phrase's translation as it is known to be said: the model's where it is one of these."""
    said = among(made.text, known)
    return replace(made, text=said) if said else replace(made, text=known[0], mean_logprob=None)
