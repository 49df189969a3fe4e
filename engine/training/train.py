"""The child process of a run: `python -m engine.training.train runs/<id>` trains what `config.json` in the folder says.

The folder tells the truth at every moment: metrics are flushed line by line, status and model are renamed into place.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import (
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    EvalPrediction,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

from engine.backends.spans import best_spans
from engine.errors import PeopleError
from engine.evaluation.metrics import answer_f1, exact_match
from engine.training.config import TrainingConfig, read_config
from engine.training.data import collate, question_features, read_questions, read_texts, text_features

log = logging.getLogger(__name__)

MAX_ANSWER_TOKENS = 30


class Run:
    """A run's folder: appends metrics, replaces the status, puts the model in place last."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._status: dict[str, Any] = {"pid": os.getpid(), "started": time.time(), "state": "starting"}
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)

    def record(self, values: dict[str, Any]) -> None:
        """Append one line to `metrics.jsonl` and flush it to disk."""
        with (self.folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(values) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def update(self, **values: Any) -> None:
        """Replace `status.json` by one with these values changed."""
        self._status |= values | {"updated": time.time()}
        temporary = self.folder / "status.json.part"
        temporary.write_text(json.dumps(self._status, indent=2), encoding="utf-8")
        temporary.replace(self.folder / "status.json")

    def keep(self, model: Any, tokenizer: Any) -> None:
        """Write the model as fp16 safetensors and rename the folder to `model`."""
        temporary, final = self.folder / "model.part", self.folder / "model"
        model.half().save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
        if final.exists():
            final.rename(self.folder / f"model.{int(time.time())}")
        temporary.rename(final)


class Recorder(TrainerCallback):
    """Writes what the trainer logs into the run's folder."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def on_log(self, args: Any, state: Any, control: Any, logs: dict | None = None, **rest: Any) -> None:
        self._run.record({"step": state.global_step, "epoch": state.epoch, "seconds": time.time(), **(logs or {})})
        self._run.update(state="running", step=state.global_step, max_steps=state.max_steps)


class Averager(TrainerCallback):
    """Keeps an exponential moving average of the weights, in place of the weights while they are judged and saved."""

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self._average: dict[str, torch.Tensor] = {}

    @torch.no_grad()
    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **rest: Any) -> None:
        decay = min(self.decay, (1 + state.global_step) / (10 + state.global_step))
        for name, weight in model.named_parameters():
            if weight.requires_grad:
                kept = self._average.setdefault(name, weight.detach().clone())
                kept.lerp_(weight.detach(), 1 - decay)

    @torch.no_grad()
    def swap(self, model: Any) -> None:
        """Exchange weights and averages."""
        for name, weight in model.named_parameters():
            if name in self._average:
                held = weight.detach().clone()
                weight.copy_(self._average[name])
                self._average[name] = held


class AveragingTrainer(Trainer):
    """Validates and saves the averaged weights."""

    averager: Averager | None = None

    def _maybe_log_save_evaluate(self, *arguments: Any, **rest: Any) -> None:
        if self.averager is None:
            return super()._maybe_log_save_evaluate(*arguments, **rest)
        self.averager.swap(self.model)
        try:
            return super()._maybe_log_save_evaluate(*arguments, **rest)
        finally:
            self.averager.swap(self.model)


def train(folder: Path) -> dict[str, float]:
    """Run to the end and return the last validation's metrics. Raises PeopleError for a bad config or bad data."""
    config, run = read_config(folder / "config.json"), Run(folder)
    run.update(state="preparing")
    torch.set_num_threads(config.threads or os.cpu_count() or 1)
    set_seed(config.seed)
    tokenizer = AutoTokenizer.from_pretrained(config.base)
    trainer = _trainer(config, run, tokenizer)
    checkpoints = any((folder / "checkpoints").glob("checkpoint-*"))
    trainer.train(resume_from_checkpoint=checkpoints or None)
    trainer.averager = None
    metrics = trainer.evaluate()
    model = trainer.model.merge_and_unload() if config.method == "lora" else trainer.model
    if config.application == "answer":
        model.config.null_threshold = metrics["eval_null_threshold"]
    run.keep(model, tokenizer)
    run.update(state="finished", metrics=metrics)
    return metrics


def _trainer(config: TrainingConfig, run: Run, tokenizer: Any) -> AveragingTrainer:
    build = _sentiment if config.application == "sentiment" else _answer
    model, train_set, validation_set, judge = build(config, tokenizer)
    steps = -(-len(train_set) // config.batch_size)
    every = max(1, steps // config.evaluations_per_epoch)
    arguments = TrainingArguments(
        output_dir=str(run.folder / "checkpoints"),
        per_device_train_batch_size=config.batch_size,
        per_device_eval_batch_size=64,
        num_train_epochs=config.epochs,
        learning_rate=config.learning_rate,
        lr_scheduler_type=config.schedule,
        warmup_steps=int(steps * config.epochs * config.warmup_ratio),
        weight_decay=config.weight_decay,
        label_smoothing_factor=config.label_smoothing,
        max_grad_norm=config.max_grad_norm,
        use_cpu=not torch.cuda.is_available(),
        bf16=config.is_bf16,
        seed=config.seed,
        train_sampling_strategy="group_by_length" if config.is_length_grouped else "random",
        length_column_name="length",
        remove_unused_columns=False,
        label_names=["labels"] if config.application == "sentiment" else ["start_positions", "end_positions"],
        eval_strategy="steps",
        eval_steps=every,
        save_strategy="steps",
        save_steps=every,
        save_total_limit=2,
        logging_steps=10,
        load_best_model_at_end=True,
        metric_for_best_model="accuracy" if config.application == "sentiment" else "f1",
        greater_is_better=True,
        dataloader_pin_memory=False,
        report_to=[],
        disable_tqdm=True,
    )
    trainer = AveragingTrainer(
        model=_prepare(model, config),
        args=arguments,
        train_dataset=train_set,
        eval_dataset=validation_set,
        data_collator=collate,
        compute_metrics=judge,
        callbacks=[Recorder(run)],
    )
    if config.average_decay:
        trainer.averager = Averager(config.average_decay)
        trainer.add_callback(trainer.averager)
    return trainer


def _prepare(model: Any, config: TrainingConfig) -> Any:
    """The model with what is to be trained: all of it, adapters, or its head."""
    if config.method == "head":
        for name, weight in model.named_parameters():
            weight.requires_grad = "classifier" in name or "qa_outputs" in name or "pooler" in name
    if config.method == "lora":
        from peft import LoraConfig, get_peft_model

        return get_peft_model(
            model,
            LoraConfig(
                r=config.lora_rank,
                lora_alpha=config.lora_alpha,
                lora_dropout=config.lora_dropout,
                target_modules=["query", "key", "value", "dense"],
                modules_to_save=["classifier", "qa_outputs"],
            ),
        )
    return model


Judge = Callable[[EvalPrediction], dict[str, float]]


def _sentiment(config: TrainingConfig, tokenizer: Any) -> tuple[Any, list[dict], list[dict], Judge]:
    names = dict(enumerate(config.labels))
    model = AutoModelForSequenceClassification.from_pretrained(
        config.base, num_labels=len(names), id2label=names, label2id={label: n for n, label in names.items()}
    )
    train_set, validation_set = (
        text_features(read_texts(Path(file), config.labels), tokenizer, config.max_length, config.labels)
        for file in (config.train_file, config.validation_file)
    )
    present = sorted({feature["labels"] for feature in validation_set})

    def judge(prediction: EvalPrediction) -> dict[str, float]:
        """Accuracy among the labels that the validation file has."""
        chosen = np.array(present)[np.asarray(prediction.predictions)[:, present].argmax(-1)]
        return {"accuracy": float((chosen == prediction.label_ids).mean())}

    return model, train_set, validation_set, judge


def _answer(config: TrainingConfig, tokenizer: Any) -> tuple[Any, list[dict], list[dict], Judge]:
    model = AutoModelForQuestionAnswering.from_pretrained(config.base)
    train_set, _, _ = question_features(
        read_questions(Path(config.train_file)), tokenizer, config.max_length, config.stride
    )
    rows = read_questions(Path(config.validation_file))
    validation_set, windows, owners = question_features(rows, tokenizer, config.max_length, config.stride)
    of_row: list[list[int]] = [[] for _ in rows]
    for window, owner in enumerate(owners):
        of_row[owner].append(window)

    def judge(prediction: EvalPrediction) -> dict[str, float]:
        starts, ends = prediction.predictions  # (windows, tokens) each, padded with -100
        predicted = []
        for row, mine in zip(rows, of_row, strict=True):
            widths = [len(windows[i].input_ids) for i in mine]
            spans, null = best_spans(
                [windows[i] for i in mine],
                [starts[i][:width] for i, width in zip(mine, widths, strict=True)],
                [ends[i][:width] for i, width in zip(mine, widths, strict=True)],
                top_k=1,
                max_answer_tokens=MAX_ANSWER_TOKENS,
            )
            predicted.append((row.passage[spans[0].start : spans[0].end] if spans else "", null))
        return judge_answers(predicted, [[text for text, _ in row.answers] for row in rows])

    return model, train_set, validation_set, judge


def judge_answers(predicted: list[tuple[str, float]], references: list[list[str]]) -> dict[str, float]:
    """F1 and EM in percent over answerable rows without abstaining, and with the threshold that serves all rows best.

    `predicted` are (text, probability of no answer); rows without references are unanswerable.
    """
    f1 = np.array([answer_f1(text, known) for (text, _), known in zip(predicted, references, strict=True)])
    em = np.array([exact_match(text, known) for (text, _), known in zip(predicted, references, strict=True)])
    null = np.array([probability for _, probability in predicted])
    has = np.array([bool(known) for known in references])
    thresholds = np.linspace(0.05, 0.99, 95)
    totals = [float(np.where(null >= t, ~has, f1 * has).mean()) for t in thresholds]
    threshold = float(thresholds[int(np.argmax(totals))])
    abstains = null >= threshold
    return {
        "f1": 100 * float(f1[has].mean()),
        "exact_match": 100 * float(em[has].mean()),
        "null_threshold": threshold,
        "f1_with_abstention": 100 * max(totals),
        "f1_answerable_with_abstention": 100 * float((f1 * ~abstains)[has].mean()),
        "abstention_recall": 100 * float(abstains[~has].mean()) if (~has).any() else 0.0,
    }


def measure(folder: Path, file: Path) -> dict[str, float]:
    """Metrics of a finished run's model on another file of the same form."""
    config = replace(read_config(folder / "config.json"), base=str(folder / "model"), validation_file=str(file))
    tokenizer = AutoTokenizer.from_pretrained(config.base)
    return _trainer(replace(config, train_file=str(file)), Run(folder / "measured"), tokenizer).evaluate()


def main(arguments: list[str]) -> int:
    """Train the run in the given folder; its status says how it ended."""
    folder = Path(arguments[0])
    folder.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(filename=folder / "log.txt", level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        print(json.dumps(train(folder)))
    except Exception as error:
        log.exception("the run failed")
        Run(folder).update(state="failed", error=str(error) if isinstance(error, PeopleError) else repr(error))
        raise
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
