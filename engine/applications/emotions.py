"""The emotions that a text is full of, beside its sentiment, where the adapter that names them is there."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from engine.errors import NotFoundError
from engine.requests import Classification, Classify, Event
from engine.serving.protocol import Caller, Engine

MODEL = "emotions-e5"
NONE = "neutral"
"""What the model says where it finds none."""


def is_there(engine: Engine) -> bool:
    """Whether emotions can be named here."""
    return MODEL in engine.catalogue.models and engine.catalogue.is_ready(MODEL)


def check(engine: Engine) -> None:
    """Raise NotFoundError where they cannot be named."""
    if not is_there(engine):
        raise NotFoundError(
            "Emotions cannot be named here: their model is not on this machine. Ask without emotions.", "emotions"
        )  # fmt: skip


def stream(engine: Engine, texts: Sequence[str], caller: Caller) -> Generator[Event, None, list[dict[str, float]]]:
    """Yields signs of life; returns each text's emotions with their probabilities, likeliest first. Several may be true
    of a text, or none. Raises NotFoundError where they cannot be named, and as the engine does."""
    check(engine)
    found: dict[int, dict[str, float]] = {}
    for place, event in engine.stream_all(MODEL, [Classify(text) for text in texts], caller):
        if event.kind == "done":
            assert isinstance(event.result, Classification)
            said = event.result
            found[place] = {name: said.scores[name] for name in said.chosen if name != NONE}
        yield event if event.kind in ("queued", "loading") else Event("queued")
    return [found[place] for place in range(len(texts))]
