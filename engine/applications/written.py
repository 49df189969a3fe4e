"""A summary in a model's own words: asked for, checked against the text, and brought to its length by sentences."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from engine.applications.extracts import (
    TOLERANCE,
    Choice,
    Place,
    count_words,
    fit,
    is_near,
    sentences_of,
    shortened,
)
from engine.applications.languages import SPACELESS
from engine.applications.support import FAINT, overlap, unsupported
from engine.applications.tidy import Tidy, last_end
from engine.catalogue.models import Model
from engine.requests import MAX_SEED, Event, Generate, Message, Sampling
from engine.serving.protocol import Caller, Engine

ATTEMPTS = 4
"""Most times that the model is asked for one summary."""
PART_WORDS = 600
"""Of a part of a long text; small models lose the thread in longer ones."""
TOKENS_A_WORD = 1.7
OVERHEAD_TOKENS = 260
"""Of an order, an example and a template."""
NOTE_WORDS = 30
"""Least words about each part, from which the whole is summarised."""
MIN_MISSING = 20
"""Least words that are asked for to fill a summary up."""
SAME = 0.7
"""Share of common words from which on a sentence repeats another."""
DOUBTED = 0.1
"""What a sentence with unsupported names or numbers is worth beside one without."""
LATER = 0.97
"""What each further sentence is worth beside the one before: models begin with what matters."""
DEFAULT_WORDS = 60


@cache
def words_of_ours() -> dict[str, Any]:
    """Orders, examples and samples."""
    return tomllib.loads(Path(__file__).with_name("summarize.toml").read_text(encoding="utf-8"))


def ask(model: Model, text: str, words: int, language: str, sampling: Sampling) -> Generate:
    """The request: an order for chat models, an example for others that go on with a text, else the text alone."""
    if not model.is_language_model:
        return Generate(f"summarize: {text}" if model.prompt_style == "t5" else text, sampling=sampling)
    if model.is_chat:
        order = words_of_ours()["orders"].get(language, words_of_ours()["orders"]["en"]).format(text=text, words=words)
        return Generate(messages=(Message("user", order),), sampling=sampling)
    shot = words_of_ours()["shots"].get(language, words_of_ours()["shots"]["en"])
    before, behind = shot["labels"]
    example = f"{before}: {shot['text']}\n{behind}: {shot['summary']}\n\n"
    prompt = f"{example}{before}: {' '.join(text.split())}\n{behind}:"
    return Generate(prompt, sampling=replace(sampling, stop=("\n",)), common_characters=len(example))


@dataclass(frozen=True)
class Order:
    """What is wanted of a model: whose words are counted, how daring it is, and against which text it is checked."""

    model: Model
    words: int | None
    """None leaves the length to the model."""
    language: str
    temperature: float
    seed: int


@dataclass
class Draft:
    """Sentences that the model wrote, of which those that fit are taken."""

    order: Order
    text: str
    """The text that it is a summary of."""
    sentences: list[str] = field(default_factory=list)
    doubts: dict[str, list[str]] = field(default_factory=dict)
    """Unsupported names and numbers of each sentence that has any, or nothing of one that no sentence supports."""
    chosen: list[Choice] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    is_retried: bool = False

    def __post_init__(self) -> None:
        self._places = sentences_of(self.text, self.order.language)
        shot = words_of_ours()["shots"].get(self.order.language, {})
        self._example = f"{shot.get('text', '')} {shot.get('summary', '')}"

    def add(self, written: str) -> None:
        """Take what is new of an attempt, and choose anew. What had to be made again must not come again."""
        banned = {word for words in self.doubts.values() for word in words}
        for sentence in whole_sentences(written, self.order.language):
            if any(overlap(sentence, other) >= SAME or overlap(other, sentence) >= SAME for other in self.sentences):
                continue
            doubts = unsupported(sentence, self.text, self.order.language)
            likest = max((overlap(sentence, place.text) for place in self._places), default=0.0)
            if (self.sentences and banned & set(doubts)) or overlap(sentence, self._example) > likest:
                continue
            self.sentences.append(sentence)
            if doubts or likest < FAINT:
                self.doubts[sentence] = doubts
        self.chosen = self._choose()

    def _choose(self) -> list[Choice]:
        groups = [list(self._ways(number, one)) for number, one in enumerate(self.sentences)]
        if self.order.words is None:
            return [group[0] for group in groups]
        return fit(groups, self.order.words)

    def _ways(self, number: int, sentence: str) -> Iterator[Choice]:
        worth = LATER**number * (DOUBTED if sentence in self.doubts else 1.0)
        for place, text in enumerate([sentence, *shortened(sentence, self.order.language)]):
            count = count_words(text)
            yield Choice(number, text, count, worth * count * (0.8 if place else 1.0))

    @property
    def count(self) -> int:
        """Words of what is chosen."""
        return sum(one.words for one in self.chosen)

    @property
    def has_doubts(self) -> bool:
        """Whether what is chosen holds a name or number that the text does not, or a sentence without a source."""
        return any(self.sentences[one.number] in self.doubts for one in self.chosen)

    @property
    def is_long_enough(self) -> bool:
        return self.order.words is None or is_near(self.count, self.order.words)

    def uncovered(self) -> str:
        """The text without the sentences of which the summary has the words already."""
        said = " ".join(self.sentences)
        left = [place.text for place in self._places if overlap(place.text, said) < 0.5]
        return joined(left, self.order.language)


def whole_sentences(written: str, language: str) -> list[str]:
    """The sentences of what a model wrote, without a last one that is not ended."""
    end = last_end(written.rstrip(), is_verse=False)
    kept = written if end is None else written[:end]
    return [place.text.lstrip("-*• ") for place in sentences_of(kept, language) if place.text.strip("-*• ")]


def joined(sentences: Sequence[str], language: str) -> str:
    return ("" if language in SPACELESS else " ").join(sentences)


def parts_of(places: Sequence[Place], words: int) -> list[list[Place]]:
    """Sentences in order, in parts of at most about that many words each, and of about the same length."""
    total = sum(place.words for place in places)
    even = total / math.ceil(total / words)
    parts: list[list[Place]] = [[]]
    count = 0
    for place in places:
        if parts[-1] and count + place.words / 2 > even * len(parts):
            parts.append([])
        parts[-1].append(place)
        count += place.words
    return parts


def part_words(engine: Engine, model: Model, words: int | None) -> int:
    """How long a part may be for the model."""
    window = min(model.context_tokens, engine.settings.context_tokens)
    room = (window - OVERHEAD_TOKENS) / TOKENS_A_WORD - (words or DEFAULT_WORDS)
    return max(80, min(PART_WORDS, int(room)))


def write(
    engine: Engine, order: Order, places: Sequence[Place], caller: Caller
) -> Generator[Event, None, tuple[Draft, int]]:
    """Write the summary, of a long text from notes on its parts; returns it and the number of parts.

    Text events join to what was written first; a "replace" comes with what is kept of it.
    """
    whole = joined([place.text for place in places], order.language)
    text, count = whole, 1
    longest = part_words(engine, order.model, order.words)
    while count_words(text) > longest * 1.2:
        parts = parts_of(sentences_of(text, order.language), longest)
        count = max(count, len(parts))
        notes = yield from _notes(engine, order, parts, caller)
        if count_words(notes) > 0.8 * count_words(text):  # it copies: the notes would never become few
            break
        text = notes
    draft = Draft(order, whole)
    yield from _attempts(engine, draft, text, caller)
    return draft, count


def _notes(
    engine: Engine, order: Order, parts: Sequence[Sequence[Place]], caller: Caller
) -> Generator[Event, None, str]:
    """What the model says about each part, checked against it; all are asked for at once."""
    words = max(NOTE_WORDS, 2 * (order.words or DEFAULT_WORDS) // len(parts))
    texts = [joined([place.text for place in part], order.language) for part in parts]
    asked = [ask(order.model, text, words, order.language, _sampling(order, words, n)) for n, text in enumerate(texts)]
    kept: list[str] = []
    yield Event("working", part=1, parts=len(parts))
    items = engine.stream_all(order.model.id, asked, caller)
    with closing(items):  # type: ignore[type-var]
        for number, event in items:
            if event.kind in ("queued", "loading"):
                yield event
            elif event.kind == "done":
                kept.append(_note(replace(order, words=words), texts[number], event.result.text))
                yield Event("working", part=min(number + 2, len(parts)), parts=len(parts))
    return joined(kept, order.language)


def _note(order: Order, text: str, written: str) -> str:
    """What is supported of a note; of one without, the part's first sentence."""
    draft = Draft(order, text)
    draft.add(written)
    supported = [one.text for one in draft.chosen if draft.sentences[one.number] not in draft.doubts]
    return joined(supported or [sentences_of(text, order.language)[0].text], order.language)


def _attempts(engine: Engine, draft: Draft, text: str, caller: Caller) -> Iterator[Event]:
    """Ask, and again where names or numbers are made up (once) or words are missing."""
    for attempt in range(ATTEMPTS):
        is_retry = draft.has_doubts and not draft.is_retried
        draft.is_retried |= is_retry
        source = text if attempt == 0 or is_retry else draft.uncovered()
        if not source:
            return
        written = yield from _attempt(engine, draft, source, attempt, caller)
        draft.add(written)
        if attempt == 0:
            yield Event("replace", text=joined([one.text for one in draft.chosen], draft.order.language))
        if draft.is_long_enough and (draft.is_retried or not draft.has_doubts):
            return


def _attempt(engine: Engine, draft: Draft, source: str, attempt: int, caller: Caller) -> Generator[Event, None, str]:
    """What the model writes; the first attempt is shown as it comes. Ends at a sentence once there are words enough."""
    order, tidy, written = draft.order, Tidy(draft.text), ""
    words = order.words or DEFAULT_WORDS
    words = words if draft.has_doubts or not draft.chosen else max(MIN_MISSING, words - draft.count)
    request = ask(order.model, source, words, order.language, _sampling(order, words, attempt))
    events = engine.stream(order.model.id, request, caller)
    with closing(events):  # type: ignore[type-var]
        for event in events:
            text = tidy.push(event.text) if event.kind == "text" else tidy.end() if event.kind == "done" else ""
            written += text
            if event.kind == "done":
                draft.settings = draft.settings or dict(event.result.settings)
            if event.kind in ("queued", "loading"):
                yield event
            elif text and attempt == 0:
                yield Event("text", text=text)
            if order.words and _is_enough(written, words):
                break
    draft.settings = draft.settings or request.sampling.as_dict()
    return written.strip()


def _is_enough(written: str, words: int) -> bool:
    """Whether it is over the wanted length, at the end of a sentence."""
    return written.rstrip()[-1:] in tuple(".!?…。！？") and count_words(written) > words * (1 + TOLERANCE)


def _sampling(order: Order, words: int, attempt: int) -> Sampling:
    """A retry takes another seed; one by a model without temperature differs in its text alone."""
    seed = (order.seed + attempt) % (MAX_SEED + 1)
    tokens = int(words * (1 + TOLERANCE) * TOKENS_A_WORD) + 48
    return Sampling(tokens, order.temperature, top_p=0.95, top_k=50, seed=seed)
