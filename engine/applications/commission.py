"""What makers of forms share: what is ordered, what came of it, and candidates asked for a few at a time."""

from __future__ import annotations

import tomllib
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from engine.applications.languages import LANGUAGES
from engine.applications.measures import VerseLine
from engine.catalogue.models import Model
from engine.errors import UnsupportedError
from engine.messages import NOTHING, Text
from engine.requests import MAX_SEED, Event, Generate, Generation, Message, Sampling
from engine.serving.protocol import Caller, Engine

AT_ONCE = 4
"""Candidates that are asked for at once: a model begins with four slots."""
LEAST_HEAT = 0.4
"""The temperature of candidates where none is asked for, which would all be one."""
SPREAD = 7919
"""Between the seeds of two texts, so that the candidates of neighbours differ."""
UNKNOWN = -3.0
"""The mean log-probability of a text where the runtime tells none."""


@cache
def _read() -> dict[str, dict[str, Any]]:
    return tomllib.loads(Path(__file__).with_name("formed.toml").read_text(encoding="utf-8"))


def our_words(language: str) -> dict[str, Any]:
    """Orders, headings and examples for stories, songs and slogans; English ones where a language has none."""
    return _read().get(language, _read()["en"])


@dataclass(frozen=True)
class Commission:
    """What is to be written: the form, the theme, by whom and how daringly. `sampling` has a seed."""

    form: str
    about: str
    language: str
    model: Model
    sampling: Sampling
    tone: str = ""
    genre: str = ""
    system: str = ""
    chapters: int = 3

    @property
    def theme(self) -> str:
        """As it stands within an order."""
        return " ".join(self.about.split()).rstrip(".。")

    @property
    def title(self) -> str:
        """As it stands above a text."""
        return self.theme[:1].upper() + self.theme[1:]

    def order(self, sentence: str, about: str = "") -> str:
        """A sentence of ours with the theme, or an example's, in its places; style and language are the order's own."""
        return sentence.format(
            text=about or self.theme,
            tone="" if about or not self.tone else f"{self.tone} ",
            genre="" if about or not self.genre else f"{self.genre} ",
            language="" if self.language == "en" else f" in {LANGUAGES[self.language]}",
            count=self.chapters,
        )

    def turns(self, *said: Message) -> Generate:
        """A chat that begins with the system prompt, if there is one."""
        first = (Message("system", self.system),) if self.system.strip() else ()
        return Generate(messages=(*first, *said))

    def seeded(self, number: int, hotter: float = 0.0) -> Sampling:
        """How the candidate of that number is drawn."""
        heat = self.sampling.temperature + hotter if self.sampling.temperature else LEAST_HEAT + hotter
        seed = ((self.sampling.seed or 0) * SPREAD + number) % (MAX_SEED + 1)
        return replace(self.sampling, temperature=min(heat, 1.5), seed=seed)


@dataclass(frozen=True)
class Verse:
    """What came of a form of verse. `retries` counts rounds of candidates beyond those that each line has anyway."""

    form: str
    lines: list[VerseLine] = field(default_factory=list)
    is_kept: bool = False
    retries: int = 0
    candidates: int = 0
    is_guided: bool = True
    """Whether the runtime kept to a grammar; otherwise the model hit or missed."""


@dataclass(frozen=True)
class Made:
    """What came of a commission."""

    text: str
    new_tokens: int
    note: Text = NOTHING
    """What code did: how much was tried again or dropped."""
    verse: Verse | None = None


@dataclass
class Desk:
    """Where candidates are asked for and counted."""

    engine: Engine
    order: Commission
    caller: Caller
    is_by_line: bool = False
    """Whether a candidate is one line, at whose end a runtime without grammar stops."""
    is_guided: bool = True
    candidates: int = 0
    new_tokens: int = 0

    def results(self, asked: Sequence[Generate], progress: Event) -> Generator[Event, None, list[Generation]]:
        """What the model makes of them, a few at a time; where its runtime takes no grammar, without one."""
        results: list[Generation] = []
        for start in range(0, len(asked), AT_ONCE):
            some = [one if self.is_guided else self._unguided(one) for one in asked[start : start + AT_ONCE]]
            try:
                results += yield from self._batch(some, progress)
            except UnsupportedError:
                if not self.is_guided:
                    raise
                self.is_guided = False
                results += yield from self._batch([self._unguided(one) for one in some], progress)
        self.candidates += len(results)
        self.new_tokens += sum(one.new_tokens for one in results)
        return results

    def _unguided(self, request: Generate) -> Generate:
        stop = (*request.sampling.stop, *(("\n",) if self.is_by_line else ()))
        return replace(request, grammar="", is_scored=False, sampling=replace(request.sampling, stop=stop))

    def _batch(self, asked: Sequence[Generate], progress: Event) -> Generator[Event, None, list[Generation]]:
        results = []
        items = self.engine.stream_all(self.order.model.id, asked, self.caller)
        with closing(items):  # type: ignore[type-var]
            for _, event in items:
                if event.kind == "done":
                    results.append(event.result)
                yield event if event.kind in ("queued", "loading") else progress
        return results


def mean(written: Generation) -> float:
    """The mean log-probability, the unknown one where the runtime tells none."""
    return written.mean_logprob if written.mean_logprob is not None else UNKNOWN
