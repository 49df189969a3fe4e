"""Encoder-decoders: translation and summaries, asked in the very form in which serving asks the base."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from engine.applications import APPLICATIONS
from engine.applications.languages import LANGUAGES
from engine.applications.translate import APPLICATION
from engine.backends.languages import TARGET_TAGS, is_multilingual, language_code, language_id
from engine.backends.pytorch.generation import decoder_start
from engine.backends.pytorch.loading import positions
from engine.catalogue.models import Model
from engine.catalogue.sources.folder import Folder
from engine.errors import InputError
from engine.evaluation.metrics import chrf
from engine.requests import Sampling
from engine.training import bases, tasks
from engine.training.config import TrainingConfig
from engine.training.data import NUMBER, Feature, Row, collate, cut_ids, feature, in_batches, read_rows, shift_right
from engine.training.figures import EXAMINED_ROWS
from engine.training.lessons import Lesson, Shown
from engine.training.verdicts import BATCH, SHOWN_CHARACTERS, Judged, Report, Verdict

DEFAULT_PROMPTS = 3
T5_FAMILY = ("t5", "mt5", "umt5", "longt5")


def prompt_style(model: Any, tokenizer: Any) -> str:
    """How serving asks this base, in the catalogue's words: "t5" (in words), "tags", "codes" (tokens) or "pair"."""
    if getattr(model.config, "prompt_style", "") == "tags":
        return "tags"
    if model.config.model_type in T5_FAMILY:
        return "t5"
    return "codes" if is_multilingual(tokenizer) else "pair"


def prompt(config: TrainingConfig, style: str, text: str) -> str:
    """A text as the base is given it to translate or to summarise."""
    if style not in ("t5", "tags"):
        return text
    model = Model(
        id="base", title="", family="", architecture="seq2seq", runtime="transformers", parameters=0, languages=(),
        licence="", size_bytes=0, memory_bytes=0, applications=(), source=Folder(), prompt_style=style,
    )  # fmt: skip
    return tasks.find(config.task).ask(model, config, text, Sampling()).prompt


def pairs(config: TrainingConfig, folder: Path) -> Lesson:
    """Texts and what is to be made of them: the task's two roles."""
    source, target = tasks.find(config.task).roles
    files = (config.train_file, config.validation_file)
    rows, held_out = (read_rows(Path(file), (source, target)) for file in files)
    model, tokenizer, style, length = _started(config, folder)
    start, pad = decoder_start(model.generation_config, model.config, tokenizer), int(tokenizer.pad_token_id)

    def features(of: Sequence[Row]) -> list[Feature]:
        sources = [prompt(config, style, row[source]) for row in of]
        targets = [row[target] for row in of]
        return _features(of, sources, targets, tokenizer, length, config.max_target_length)

    def joined(batch: Sequence[Feature]) -> dict[str, Any]:
        tensors = collate(batch, pad)
        tensors["decoder_input_ids"] = shift_right(tensors["labels"], start, pad)
        return tensors

    def written(module: Any, texts: Sequence[str], tokens: int) -> list[str]:
        return write_texts(module, tokenizer, [prompt(config, style, text) for text in texts], length, tokens, config)

    def examine(module: Any) -> dict[str, float]:
        chosen = held_out[:EXAMINED_ROWS]
        texts = written(module, [row[source] for row in chosen], config.max_target_length)
        return _measured(config, texts, [row[target] for row in chosen])

    def sample(module: Any) -> list[Shown]:
        prompts = config.sample_prompts or tuple(row[source] for row in held_out[:DEFAULT_PROMPTS])
        return list(zip(prompts, written(module, prompts, config.sample_tokens), strict=True))

    def settings(metrics: Mapping[str, float]) -> dict[str, Any]:
        return {"prompt_style": style}

    learned, validation_set = features(rows), sorted(features(held_out), key=lambda feature: feature["length"])
    if hasattr(model, "measure_on"):
        model.measure_on([*learned, *validation_set])
    return Lesson(
        model, tokenizer, learned, validation_set, collate=joined, examine=examine, sample=sample,
        settings=settings, evaluation_batch_size=max(config.batch_size, 16),
    )  # fmt: skip


def _measured(config: TrainingConfig, texts: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """By the translators' metrics, one of which chooses the best model, and by those of the page that it is for."""
    found = APPLICATION.measure(texts, references, config.target_language)
    for id in tasks.find(config.task).applications:
        if id in APPLICATIONS and id != APPLICATION.id:
            found |= APPLICATIONS[id].measure(texts, references)
    return found


def _started(config: TrainingConfig, folder: Path) -> tuple[Any, Any, str, int]:
    """Model and tokenizer, how it is asked, and how many tokens it reads."""
    model, tokenizer, _ = bases.start(config, folder, "AutoModelForSeq2SeqLM")
    style = prompt_style(model, tokenizer)
    set_languages(config, tokenizer, style)
    return model, tokenizer, style, positions(model.config, tokenizer, config.max_length)


def set_languages(config: TrainingConfig, tokenizer: Any, style: str) -> None:
    """Tell a multilingual tokenizer the languages. Raises InputError for one that it does not know."""
    if "target_language" not in tasks.find(config.task).settings or style == "pair":
        return
    for name in ("source_language", "target_language"):
        code = getattr(config, name)
        if not code:
            raise InputError("This base translates several languages: give {field}, such as en.", name, field=name)
        known = {"t5": list(LANGUAGES), "tags": list(TARGET_TAGS)}.get(style)
        is_known = language_code(tokenizer, code) is not None if known is None else code in known
        if not is_known:
            raise InputError(
                "This base does not know the language {code}. Choose another {field}.", name, code=code, field=name
            )
    if style == "codes":
        tokenizer.src_lang = language_code(tokenizer, config.source_language)
        tokenizer.tgt_lang = language_code(tokenizer, config.target_language)


def _features(
    rows: Sequence[Row], sources: list[str], targets: list[str], tokenizer: Any, length: int, target_length: int
) -> list[Feature]:
    inputs, cut_inputs = cut_ids(tokenizer, sources, length)
    labels, cut_labels = cut_ids(tokenizer, targets, target_length, is_target=True)
    cut = cut_inputs | cut_labels
    return [
        feature(ids, int(row[NUMBER]), length=len(ids) + len(learned), is_cut=number in cut, labels=learned)
        for number, (row, ids, learned) in enumerate(zip(rows, inputs, labels, strict=True))
    ]


@torch.no_grad()
def write_texts(
    model: Any, tokenizer: Any, prompts: Sequence[str], length: int, tokens: int, config: TrainingConfig
) -> list[str]:
    """What the model makes of the prompts, the likeliest token each time, in batches of similar length."""
    device = next(model.parameters()).device
    options: dict[str, Any] = {"max_new_tokens": tokens, "num_beams": 1, "do_sample": False, "use_cache": True}
    if config.target_language and is_multilingual(tokenizer):
        options["forced_bos_token_id"] = language_id(tokenizer, config.target_language)
    texts = [""] * len(prompts)
    for chosen in in_batches(prompts, 32):
        batch = tokenizer(
            [prompts[i] for i in chosen], truncation=True, max_length=length, padding=True, return_tensors="pt"
        )
        output = model.generate(
            input_ids=batch["input_ids"].to(device), attention_mask=batch["attention_mask"].to(device), **options
        )
        for i, text in zip(chosen, tokenizer.batch_decode(output, skip_special_tokens=True), strict=True):
            texts[i] = text.strip()
    return texts


def judge(config: TrainingConfig, folder: Path, rows: Sequence[Row], report: Report) -> Verdict:
    """Translations or summaries, and the chrF of each."""
    model, tokenizer, style, length = _started(config, folder)
    model.eval()
    source, target = tasks.find(config.task).roles
    texts: list[str] = []
    for first in range(0, len(rows), BATCH):
        prompts = [prompt(config, style, row[source]) for row in rows[first : first + BATCH]]
        texts += write_texts(model, tokenizer, prompts, length, config.max_target_length, config)
        report(len(texts))
    references, language = [row[target] for row in rows], config.target_language
    scores = [chrf([text], [right], language) for text, right in zip(texts, references, strict=True)]
    judged = (Judged(text[:SHOWN_CHARACTERS], score) for text, score in zip(texts, scores, strict=True))
    return Verdict(tuple(judged), APPLICATION.measure(texts, references, language), False)
