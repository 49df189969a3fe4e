"""Summarising: texts and their summaries or headlines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from engine.applications.written import DEFAULT_WORDS, ask
from engine.catalogue.models import Model
from engine.messages import Text, counted
from engine.requests import Generate, Sampling
from engine.training.config import TrainingConfig
from engine.training.findings import Data, Finding, on_rows
from engine.training.tasks import SAMPLES, Sample
from engine.training.tasks.translation import TASK as TRANSLATION
from engine.training.tasks.translation import check_copies


def _check_part(rows: Data, part: Text) -> Iterator[Finding]:
    yield from check_copies(rows, "text", "summary")
    pairs = [(str(row.get("text", "")).strip(), str(row.get("summary", "")).strip()) for row in rows]
    if long := [i for i, (text, short) in enumerate(pairs) if text and len(short) > len(text)]:
        words = counted(
            "{rows} has a summary longer than the text. Are the columns swapped?",
            "{rows} have a summary longer than the text. Are the columns swapped?",
            len(long),
        )
        yield on_rows("warning", "summary", rows, long, words)


def _ask(model: Model, config: TrainingConfig, text: str, sampling: Sampling) -> Generate:
    """As the page asks: T5 by the prefix that it learned (Raffel et al. 2020), others by the text alone."""
    return ask(model, text, DEFAULT_WORDS, "en", sampling)


TASK = replace(
    TRANSLATION,
    id="summary",
    title=Text("Summarising"),
    summary=Text("Texts and their summaries or headlines."),
    order=6,
    roles=("text", "summary"),
    applications=("summarize",),
    defaults={"method": "full", "epochs": 4.0, "batch_size": 8, "max_length": 512, "max_target_length": 96},
    settings=TRANSLATION.settings - {"source_language", "target_language"},
    guess=lambda table: {},
    settings_in=lambda mapping: {},
    check_columns=lambda table, mapping, config: iter(()),
    check_part=_check_part,
    ask=_ask,
    stream=None,
    description="summarises",
    pipeline="summarization",
    samples=(
        Sample(
            "headlines",
            Text("News of small towns"),
            Text("420 reports of a few sentences, each with its headline."),
            SAMPLES / "headlines.jsonl",
        ),
    ),
)
