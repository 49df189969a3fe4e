"""The real engine and the real catalogue on scripted backends: what the tests of the applications run on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeBackend

from engine.catalogue.models import read_catalogue
from engine.requests import Extraction, Generate, Generation, Token
from engine.serving.local import LocalEngine
from engine.settings import Settings

Said = str | tuple[str, str]
"""A text, or a text and the reason for its end."""


class ScriptedBackend(FakeBackend):
    """Writes what `say` returns for a request, one character after the other; waits for `gate` before each answer."""

    def __init__(self) -> None:
        super().__init__(concurrency=3, batch=1)
        self.say: Callable[[Generate], Said] = lambda request: request.prompt or request.messages[-1].content
        self.gate: Callable[[Generate], None] = lambda request: None
        self.classify: Callable[[str], dict[str, float]] | None = None
        self.extraction: Extraction | None = None
        self.reasons: list[str] = []

    def _generate(self, job: Any) -> None:
        self.gate(job.request)
        said = self.say(job.request)
        text, reason = said if isinstance(said, tuple) else (said, "stop")
        sent, tokens = "", list[Token]()
        rivals = (("~", -1.5),) if job.request.top_logprobs else ()
        for character in text:
            if job.is_cancelled:
                reason = "cancelled"
                break
            tokens.append(Token(character, 0, -0.5, rivals))
            job.emit(character, tokens[-1])
            sent += character
        self.reasons.append(reason)
        settings = job.request.sampling.as_dict()
        job.finish(
            Generation(sent, reason, 5, len(sent), settings, 0.01, 50.0, math.log(0.5), tuple(tokens if rivals else ()))
        )  # type: ignore[arg-type]

    def _classify(self, job: Any) -> None:
        if self.classify is None:
            super()._classify(job)
        else:
            from engine.requests import Classification

            scores = self.classify(job.request.text)
            job.finish(Classification(max(scores, key=lambda name: scores[name]), scores))

    def _extract(self, job: Any) -> None:
        if self.extraction is None:
            super()._extract(job)
        else:
            job.finish(self.extraction)


@dataclass
class House:
    """The engine, and the one scripted backend behind all of its models."""

    engine: LocalEngine
    backend: ScriptedBackend


@pytest.fixture
def house() -> Iterator[House]:
    backend = ScriptedBackend()
    settings = Settings(memory_bytes=10**11, deadline_seconds=30, max_text_characters=2_000, max_rows=50)

    catalogue = read_catalogue()
    # Gemma and the Portuguese students are here, whichever students and heads of ours ship.
    catalogue.is_ready = lambda id: (
        catalogue.find(id).is_embedded and not id.startswith("student-") and id[-3:] != "-e5"
    )
    engine = LocalEngine(settings, catalogue, Path, load=lambda *about: backend)
    yield House(engine, backend)
    engine.close()
