"""One training, from a run's config to the model that is kept. Its process, turn and log are `train`'s."""

from __future__ import annotations

import shutil
import threading
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import PrinterCallback, TrainerCallback, TrainingArguments, set_seed

from engine.errors import NotFoundError, UnsupportedError
from engine.files import read_json, remove
from engine.settings import available_cores
from engine.training import compare, tasks
from engine.training.average import average
from engine.training.bases import can_bf16
from engine.training.checkpoints import load_weights, trainable
from engine.training.config import (
    TrainingConfig,
    count_steps,
    located,
    looked_back_at,
    read_config,
    steps_between_validations,
)
from engine.training.data import HiddenTokens
from engine.training.lessons import Lesson
from engine.training.methods import to_train
from engine.training.recording import UNTOLD, Recorder, best_metrics
from engine.training.run import MAX_KEPT_BYTES, WEIGHTS_FILE, Run, last_checkpoint, past_weights
from engine.training.trainer import Averager, Patience, Restorer, RunTrainer
from engine.training.turns import is_asked_to_stop

LOGGED_POINTS = 200
"""Lines of training loss that a run has, about."""


def train(folder: Path, stop: threading.Event | None = None) -> dict[str, float]:
    """Run to the end, or until `stop` is set, and return the kept model's metrics (none if it had not begun).

    A run whose config names the runs that it is the mean of, or whose checkpoint it is, trains nothing.

    Raises PeopleError for a bad config or bad data.
    """
    run, stop = Run(folder), stop or threading.Event()
    run.update("preparing", error="", advice="")
    config = read_config(folder / "config.json")
    if config.mean_of:
        return _average(run, config)
    if config.step_of:
        return _looked_back(run, config)
    is_stopped = partial(is_asked_to_stop, run, stop)
    lesson = make_lesson(config, folder)
    if is_stopped():
        run.update("stopped")
        return {}
    has_cache = getattr(lesson.model.config, "use_cache", None)
    run.update("preparing", absent_labels=lesson.absent_labels)
    recorder = Recorder(run, lesson, config.seed, is_stopped)
    trainer = make_trainer(config, lesson, folder, recorder)
    checkpoint = last_checkpoint(folder)
    trainer.args.eval_on_start = checkpoint is None
    if checkpoint:
        trainer.add_callback(Restorer(checkpoint))
    try:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    finally:
        recorder.close()
    if best := trainer.state.best_global_step:
        load_weights(folder / "checkpoints" / f"checkpoint-{best}" / WEIGHTS_FILE, trainer.model)
    metrics = best_metrics(trainer.state) or trainer.evaluate()
    trainer.model.config.use_cache = has_cache
    _keep(run, config, lesson, trainer.model, metrics)
    is_short = is_stopped() and trainer.state.global_step < trainer.state.max_steps
    best_step = trainer.state.best_global_step or trainer.state.global_step
    run.update("stopped" if is_short else "finished", metrics=metrics, best_step=best_step)
    return metrics


def _average(run: Run, config: TrainingConfig) -> dict[str, float]:
    """The run of a mean: make it, judge it in float32 on the rows held out, keep it, and return its metrics."""
    runs = [run.folder.absolute().parent / name for name in config.mean_of]
    part = run.folder / "mean.part"
    average([folder / "model" for folder in runs], part)
    mean = replace(config, base=str(part), is_bf16=False, token_dropout=0.0)
    lesson = make_lesson(mean, run.folder)
    return _judged(run, config, lesson, make_trainer(mean, lesson, run.folder), runs[0])


def _looked_back(run: Run, config: TrainingConfig) -> dict[str, float]:
    """The run of another one's checkpoint: judge it on the rows held out, keep it, and return its metrics."""
    source = run.folder.absolute().parent / config.step_of
    weights = past_weights(source).get(config.step)
    if weights is None:
        raise NotFoundError(
            "The run {name} has no checkpoint of step {step} any more. Choose another.",
            param="step", name=config.step_of, step=config.step,
        )  # fmt: skip
    if (source / "tokenizer").is_dir():  # one from scratch, which the weights know
        shutil.copytree(source / "tokenizer", run.folder / "tokenizer", dirs_exist_ok=True)
    lesson = make_lesson(config, run.folder)
    trainer = make_trainer(config, lesson, run.folder)
    load_weights(weights, trainer.model)
    return _judged(run, config, lesson, trainer, source)


def _judged(run: Run, config: TrainingConfig, lesson: Lesson, trainer: RunTrainer, origin: Path) -> dict[str, float]:
    """Judge a model that is not trained here and keep it; what it is held against is told by the run `origin`."""
    metrics = {name: value for name, value in trainer.evaluate().items() if name not in UNTOLD}
    before = read_json(origin / "status.json").get("baseline") or {}
    run.record({"step": config.step, "time": time.time(), **metrics})
    _keep(run, config, lesson, trainer.model, metrics)
    run.update("finished", baseline=before, metrics=metrics, best_step=config.step, absent_labels=lesson.absent_labels)
    run.clean()
    return metrics


def make_lesson(config: TrainingConfig, folder: Path) -> Lesson:
    """The lesson of a config: its model and data. `folder` is the run's. Sets threads and seed of this process."""
    config = located(config, folder)
    torch.set_num_threads(config.threads or available_cores())
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    set_seed(config.seed)
    lesson = tasks.find(config.task).lesson(config, folder)
    if config.token_dropout:
        hidden = HiddenTokens(lesson.train_set, lesson.tokenizer, config.token_dropout, config.seed)
        lesson = replace(lesson, train_set=hidden)
    return lesson


def make_trainer(config: TrainingConfig, lesson: Lesson, folder: Path, *callbacks: TrainerCallback) -> RunTrainer:
    """The trainer of a lesson; checkpoints go under the folder."""
    trainer = RunTrainer(
        model=to_train(lesson.model, config, lesson.new_modules),
        args=_arguments(config, lesson, folder),
        train_dataset=lesson.train_set,
        eval_dataset=lesson.validation_set,
        data_collator=lesson.collate,
        compute_metrics=lesson.judge,
        callbacks=list(callbacks),
    )
    trainer.remove_callback(PrinterCallback)
    trainer.lesson, trainer.task, trainer.is_grouped = lesson, tasks.find(config.task), config.is_length_grouped
    bytes_each = sum(weight.nbytes for weight in trainable(trainer.model).values())
    trainer.looked_back_at = looked_back_at(config, len(lesson.train_set), MAX_KEPT_BYTES // max(1, bytes_each))
    if config.average_decay:
        trainer.averager = Averager(config.average_decay)
        trainer.add_callback(trainer.averager)
    if config.patience:
        trainer.add_callback(Patience(trainer.task, config.patience))
    return trainer


def _arguments(config: TrainingConfig, lesson: Lesson, folder: Path) -> TrainingArguments:
    inputs = len(lesson.train_set)
    steps, _ = count_steps(config, inputs)
    every = steps_between_validations(config, inputs)
    _check_base(config, lesson)
    return TrainingArguments(
        output_dir=str(folder / "checkpoints"),
        per_device_train_batch_size=config.batch_size,
        per_device_eval_batch_size=lesson.evaluation_batch_size,
        gradient_accumulation_steps=config.accumulation_steps,
        num_train_epochs=config.epochs,
        max_steps=config.max_steps or -1,
        learning_rate=config.learning_rate,
        lr_scheduler_type=config.schedule if config.schedule != "constant" else "constant_with_warmup",
        warmup_steps=int(steps * config.warmup_ratio),
        weight_decay=config.weight_decay,
        label_smoothing_factor=config.label_smoothing,
        max_grad_norm=config.max_grad_norm,
        activation_checkpointing=config.is_gradient_checkpointed,
        activation_checkpointing_kwargs={"use_reentrant": False} if config.is_gradient_checkpointed else None,
        use_cpu=not torch.cuda.is_available(),
        bf16=can_bf16(config),
        seed=config.seed,
        remove_unused_columns=False,
        label_names=list(lesson.label_names),
        eval_strategy="steps",
        eval_steps=every,
        save_strategy="steps",
        save_steps=every,
        logging_steps=max(1, steps // LOGGED_POINTS),
        logging_nan_inf_filter=False,
        dataloader_pin_memory=False,
        report_to=[],
        disable_tqdm=True,
    )


def _check_base(config: TrainingConfig, lesson: Lesson) -> None:
    if config.is_gradient_checkpointed and not getattr(lesson.model, "supports_gradient_checkpointing", False):
        raise UnsupportedError(
            "This base cannot compute activations twice: switch is_gradient_checkpointed off.",
            param="is_gradient_checkpointed",
        )


def _keep(run: Run, config: TrainingConfig, lesson: Lesson, model: Any, metrics: dict[str, float]) -> None:
    """Write what was learned: the adapter where there is one, and the whole model as fp16."""
    if config.method == "lora":
        # Frozen weights may be bfloat16; adding to them in float32 rounds only once.
        model = model.float()
        model.peft_config["default"].base_model_name_or_path = config.base_id
        # Embeddings do not learn; peft would ask the Hub for the base to be sure.
        run.keep(model, lesson.tokenizer, "adapter", save_embedding_layers=False)
        model = model.merge_and_unload()
    model.config.update(lesson.settings(metrics))
    largest = torch.finfo(torch.float16).max
    is_small = all(float(weight.detach().abs().max()) < largest for weight in model.parameters())
    run.keep(model.half() if is_small else model, lesson.tokenizer)
    for name in (compare.FILE, "exports"):  # of the model before, where the run went on
        remove(run.folder / name)
