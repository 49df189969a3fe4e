"""Fine-tuning: tokens a second of our trainer against a plain `Trainer` script, same weights, rows and batch size."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.figures import Figure, Options, figure
from benchmarks.machine import Rates
from benchmarks.sides import THREADS, Work, alternate, opened
from benchmarks.texts import mixed_rows
from benchmarks.weights import fetched
from engine.jobs.folder import json_lines
from engine.settings import Settings
from engine.training import runs as jobs
from engine.training.turns import spin_freely

BATCH, MAX_LENGTH, LABELS = 16, 128, ("bad", "good", "so-so")
STORY_MODEL = "smollm2-135m-instruct"
NOTE = "classification, MiniLM L6, batch 16"


def measure(options: Options, rates: Rates) -> list[Figure]:
    """Real tokens (no padding) a second in training steps alone; validation and saving are off on both sides."""
    steps = options.choose(30, 3)
    # An epoch: the same tokens on all sides.
    given: dict[str, Any] = {"base": str(fetched("minilm-l6")), "rows": steps * BATCH}
    functions = {
        "ours": ("benchmarks.fine_tuning:ours", given),
        "plain Trainer": ("benchmarks.fine_tuning:plain", given | {"is_tuned": False}),
        "Trainer, same settings": ("benchmarks.fine_tuning:plain", given | {"is_tuned": True}),
    }
    with opened(functions, options.threads) as sides:
        for side in sides.values():
            side(steps=2)
        rounds = alternate({name: lambda s=side: s(steps=steps) for name, side in sides.items()}, options.pairs)  # type: ignore[misc]
    shared: dict[str, Any] = {
        "row": "fine-tuning", "work": f"fine-tuning, {NOTE}, {steps} steps", "unit": "tokens/s",
        "limit": rates.bfloat16 / (6 * LEARNED), "limit_note": "6 operations a weight and token at the bf16 rate",
    }  # fmt: skip
    return [
        figure(rounds, "speed", "plain Trainer", reach=1.5, **(shared | {"peer": "plain Trainer script, float32"})),
        figure(
            rounds, "speed", "Trainer, same settings", reach=1.0,
            **(shared | {"peer": "Trainer with bf16 and batches by length, as ours"}),
        ),
    ]  # fmt: skip


LEARNED = 6 * (4 * 384**2 + 2 * 384 * 1536)
"""Weights of MiniLM L6 that multiply each token."""


def beside(options: Options, rates: Rates) -> list[Figure]:
    """One story stream while a fine-tune runs beside it, against the same stream alone."""
    tokens = options.choose(64, 24)
    with opened({"engine": ("benchmarks.ours:stories", {"model": STORY_MODEL})}, options.threads) as sides:
        story = sides["engine"]
        story(visitors=1, tokens=8)

        def during() -> dict[str, Any]:
            with training(options.threads):
                return story(visitors=1, tokens=tokens)

        works = {"ours": during, "alone": lambda: story(visitors=1, tokens=tokens)}
        rounds = alternate(works, options.pairs)
    shared: dict[str, Any] = {"row": "beside", "peer": "the same, nothing beside it"}
    work = "one story while a fine-tune runs beside it"
    return [
        figure(rounds, "speed", "alone", work=work, reach=0.5, unit="tokens/s", **shared),
        figure(
            rounds, "first_ms", "alone", work=f"first token, {work}", reach=1000.0, kind="ms", is_at_most=True,
            unit="ms", combine=lambda ours, theirs: ours - theirs, **shared,
        ),
    ]  # fmt: skip


@contextmanager
def training(threads: int) -> Iterator[None]:
    """A run of the studio that takes steps all the while, started and ended as the page does it."""
    settings = Settings(runs_folder=Path(tempfile.mkdtemp(prefix="parlance-benchmark-")), threads=threads)
    values = {"task": "classification", "base": str(fetched("minilm-l6")), "epochs": 1000, "evaluations_per_epoch": 1}
    run = jobs.create(settings, values, labelled(2000), labelled(20), title="A run that does not end")
    jobs.start(settings, run)
    try:
        while not any("loss" in line for line in json_lines(settings.runs_folder / run / "metrics.jsonl")):
            time.sleep(0.2)
        yield
    finally:
        jobs.stop(settings, run, is_now=True)
        shutil.rmtree(settings.runs_folder, ignore_errors=True)


def labelled(rows: int) -> list[dict[str, str]]:
    """Mixed rows with labels drawn at random: how fast it learns is not asked here."""
    source = Random(4)
    return [{"text": text, "label": source.choice(LABELS)} for text in mixed_rows(rows)]


def ours(base: str, rows: int) -> Work:
    """The studio's own trainer with the settings that a beginner gets, validation and saving off."""
    spin_freely()  # as the run's process does
    from engine.training.config import TrainingConfig
    from engine.training.session import make_lesson, make_trainer

    folder = Path(tempfile.mkdtemp(prefix="parlance-benchmark-"))
    for name, some in (("train", labelled(rows)), ("validation", labelled(8))):
        lines = "\n".join(json.dumps(row) for row in some)
        (folder / f"{name}.jsonl").write_text(lines + "\n", encoding="utf-8")

    def work(steps: int) -> dict[str, Any]:
        config = TrainingConfig(
            task="classification", base=base, train_file=str(folder / "train.jsonl"),
            validation_file=str(folder / "validation.jsonl"), max_steps=steps, batch_size=BATCH, max_length=MAX_LENGTH,
            threads=THREADS,
        )  # fmt: skip
        trainer = make_trainer(config, make_lesson(config, folder), folder)
        return _timed(trainer, folder)

    return work


def plain(base: str, rows: int, is_tuned: bool) -> Work:
    """What the documentation's example does: tokenise, pad each batch to its longest, train."""
    import torch
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
    )

    torch.set_num_threads(THREADS)
    folder = Path(tempfile.mkdtemp(prefix="parlance-benchmark-"))
    tokenizer = AutoTokenizer.from_pretrained(base)
    longest = min(MAX_LENGTH, tokenizer.model_max_length)
    data = [
        dict(tokenizer(row["text"], truncation=True, max_length=longest)) | {"label": LABELS.index(row["label"])}
        for row in labelled(rows)
    ]
    tuned = {"bf16": True, "train_sampling_strategy": "group_by_length"} if is_tuned else {}

    def work(steps: int) -> dict[str, Any]:
        model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=len(LABELS), dtype=torch.float32)
        arguments = TrainingArguments(
            output_dir=str(folder), per_device_train_batch_size=BATCH, max_steps=steps, use_cpu=True, report_to=[],
            disable_tqdm=True, save_strategy="no", include_num_input_tokens_seen="non_padding", logging_steps=1000,
            **tuned,
        )  # fmt: skip
        collator = DataCollatorWithPadding(tokenizer)
        return _timed(Trainer(model=model, args=arguments, train_dataset=data, data_collator=collator), folder)

    return work


def _timed(trainer: Any, folder: Path) -> dict[str, Any]:
    trainer.args.eval_strategy = trainer.args.save_strategy = "no"
    trainer.args.load_best_model_at_end = False
    started = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - started
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    tokens = int(trainer.state.num_input_tokens_seen)
    return {"speed": tokens / seconds, "tokens": tokens}
