"""Labels of one's own without training: a text is compared with what each label means, by the multilingual encoder.

The temperature is the one of the least loss on film reviews (`python -m benchmarks.labels`). To take off how alike each
meaning is to sentences about nothing (Zhao et al. 2021) made it no better, and is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine.errors import InputError, TooLargeError
from engine.requests import Embed, Embedding, Event
from engine.serving.protocol import Caller, Engine

ENCODER = "multilingual-e5-small"
TEMPERATURE = 0.03
"""Of cosines."""
MIN_LABELS, MAX_LABELS, MAX_LABEL_CHARACTERS = 2, 30, 300


def checked(labels: Sequence[str]) -> list[tuple[str, str]]:
    """Each label and what it means: "late: the parcel came too late", or the label itself. Raises InputError."""
    found: dict[str, str] = {}
    for line in labels:
        if not isinstance(line, str) or not line.strip():
            continue
        if len(line) > MAX_LABEL_CHARACTERS:
            raise TooLargeError(
                "A label has over {most} characters. Shorten it.", "labels", most=MAX_LABEL_CHARACTERS
            )  # fmt: skip
        name, _, meaning = (part.strip() for part in line.partition(":"))
        found[name or meaning] = meaning or name
    if not MIN_LABELS <= len(found) <= MAX_LABELS:
        raise InputError(
            "Give {low} to {high} labels, each with another name.", "labels", low=MIN_LABELS, high=MAX_LABELS
        )  # fmt: skip
    return list(found.items())


def stream_shares(engine: Engine, texts: Sequence[str], labels: Sequence[str], caller: Caller) -> Iterator[Event]:
    """Yields signs of life; the last event's result is each text's share of each label. Raises as the engine does."""
    known = checked(labels)
    asked = [*(meaning for _, meaning in known), *texts]
    vectors: list[Sequence[float]] = []
    for _, event in engine.stream_all(ENCODER, [Embed(text) for text in asked], caller):
        if event.kind == "done":
            assert isinstance(event.result, Embedding)
            vectors.append(event.result.vector)
        yield event if event.kind in ("queued", "loading") else Event("queued")
    meanings, given = vectors[: len(known)], vectors[len(known) :]
    names = [name for name, _ in known]
    yield Event("done", result=[dict(zip(names, row, strict=True)) for row in _shares(given, meanings)])


def _shares(texts: Sequence[Sequence[float]], meanings: Sequence[Sequence[float]]) -> list[list[float]]:
    """Of each text's vector among the meanings' (text, meaning), each row adding up to 1."""
    import numpy as np

    if not texts:
        return []
    cosines = np.asarray(texts, np.float64) @ np.asarray(meanings, np.float64).T / TEMPERATURE
    powers = np.exp(cosines - cosines.max(axis=1, keepdims=True))
    shares: list[list[float]] = (powers / powers.sum(axis=1, keepdims=True)).tolist()
    return shares
