"""Translating: sentences in two languages."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from engine.applications import prompts, translate
from engine.applications.languages import NAMED
from engine.catalogue.models import Model
from engine.messages import Text, counted
from engine.requests import Event, Generate, Sampling
from engine.serving.protocol import Caller, Engine
from engine.training.config import TrainingConfig
from engine.training.findings import Data, Finding, on_rows, quoted
from engine.training.formats import Table
from engine.training.tasks import SAMPLES, Sample, TrainingTask, lazily

LANGUAGE = re.compile(
    "en|fr|de|es|it|pt|nl|ru|zh|ja|ar|pl|sv|da|no|fi|cs|ro|hu|tr|el|he|hi|ko|vi|uk|ca|eng|fra|fre|deu|ger|spa|ita|por|"
    "english|french|german|spanish|italian|portuguese|dutch|russian|chinese|japanese|arabic|polish|swedish"
)


def _guess(table: Table) -> dict[str, str]:
    """The first two columns named after languages."""
    named = [column for column in table.columns if LANGUAGE.fullmatch(column.lower().rpartition(".")[2])]
    return {"source": named[0], "target": named[1]} if len(named) > 1 else {}


LANGUAGE_COLUMNS = re.compile(r"(source|target|src|tgt)?[ _.-]?(lang|langs|language|languages|locale)")
LONGER = {
    "eng": "en", "fra": "fr", "fre": "fr", "deu": "de", "ger": "de", "spa": "es", "ita": "it", "por": "pt",
}  # fmt: skip


def _language_of(column: str | None) -> str:
    """The code of the language that a column is named after; none for any other."""
    name = (column or "").lower().rpartition(".")[2]
    if name in LONGER:
        return LONGER[name]
    codes = {str(title).lower(): code for code, title in NAMED.items()}
    return name if name in NAMED else codes.get(name, "")


def _settings_in(mapping: Mapping[str, str | None]) -> dict[str, Any]:
    found = {f"{role}_language": _language_of(mapping.get(role)) for role in ("source", "target")}
    return found if all(found.values()) else {}


def _check_columns(table: Table, mapping: Mapping[str, str | None], settings: Mapping[str, Any]) -> Iterator[Finding]:
    for role in ("source", "target"):
        name, said = _language_of(mapping.get(role)), str(settings.get(f"{role}_language", ""))
        if name and said and name != said:
            words = Text(
                "The column {column} seems to be {language}, but is learned as {said}. "
                "Change From and To, or the columns.",
                column=mapping.get(role), language=NAMED.get(name, name), said=NAMED.get(said, said),
            )  # fmt: skip
            yield Finding("warning", f"{role}_language", words)
    for column in table.columns:
        if not LANGUAGE_COLUMNS.fullmatch(column.lower()):
            continue
        several = sorted({str(row[column]) for row in table.rows if row[column] not in (None, "")})
        if len(several) > 1:
            words = Text(
                "The column {column} names several languages ({languages}), but all rows are learned as one pair. "
                "Bring the rows of one pair.",
                column=column, languages=quoted(several),
            )  # fmt: skip
            yield Finding("warning", "file", words)


def check_copies(rows: Data, first: str, second: str) -> Iterator[Finding]:
    """A finding on rows whose two texts are the same."""
    pairs = [(str(row.get(first, "")).strip(), str(row.get(second, "")).strip()) for row in rows]
    if same := [i for i, (one, other) in enumerate(pairs) if one and one == other]:
        words = counted(
            "{rows} has the same {first} and {second}: that teaches copying.",
            "{rows} have the same {first} and {second}, so they teach copying.",
            len(same), first=first, second=second,
        )  # fmt: skip
        yield on_rows("warning", second, rows, same, words)


def _check_part(rows: Data, part: Text) -> Iterator[Finding]:
    yield from check_copies(rows, "source", "target")


def _ask(model: Model, config: TrainingConfig, text: str, sampling: Sampling) -> Generate:
    return prompts.ask(model, text, config.source_language, config.target_language)


def _stream(
    engine: Engine, model: Model, config: TrainingConfig, inputs: Mapping[str, Any], caller: Caller
) -> Iterator[Event]:
    request = translate.TranslateRequest(str(inputs["text"]), config.source_language, config.target_language, model.id)
    return translate.stream(engine, request, caller)


TASK = TrainingTask(
    id="translation",
    title=Text("Translating"),
    summary=Text("Sentences in two languages. For the page Translate."),
    order=5,
    roles=("source", "target"),
    lesson=lazily("seq2seq", "pairs"),
    judge=lazily("seq2seq", "judge"),
    architecture="seq2seq",
    prompt_style=None,
    applications=("translate",),
    bases=("seq2seq",),
    # A translator from nothing has, after 4 epochs, hardly seen a word often enough to use it.
    scratch={"learning_rate": 7e-4, "epochs": 25.0},
    metric="chrf",
    score="chrf",
    compared_rows=40,
    defaults={
        "method": "full", "epochs": 4.0, "batch_size": 16, "max_length": 128, "max_target_length": 128,
        "label_smoothing": 0.1,
    },
    learning_rates={"full": 1e-4, "lora": 1e-3, "head": 3e-4},
    settings=frozenset({
        "max_target_length", "label_smoothing", "sample_prompts", "sample_tokens", "source_language", "target_language",
    }),
    guess=_guess,
    settings_in=_settings_in,
    check_columns=_check_columns,
    check_part=_check_part,
    ask=_ask,
    stream=_stream,
    description="translates",
    pipeline="translation",
    auto_class="AutoModelForSeq2SeqLM",
    samples=(
        Sample(
            "pairs",
            Text("Everyday English and French"),
            Text("1,200 short pairs: greetings, questions, and sentences from a small grammar."),
            SAMPLES / "pairs.jsonl",
            ("My sister looks for the key.", "Do you like cheese?", "The cat is behind the church."),
            {"source_language": "en", "target_language": "fr"},
        ),
    ),
)  # fmt: skip
