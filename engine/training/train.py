"""The child process of a run: `python -m engine.training.train RUN` trains what `config.json` in the folder RUN says.

RUN may also be the path of that config. Started again in the same folder it goes on from the last checkpoint; SIGTERM
makes it stop after the step it is in and keep the best model so far.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, EarlyStoppingCallback, Trainer, TrainerCallback, TrainingArguments, set_seed

from engine.errors import PeopleError
from engine.training.config import TrainingConfig, read_config
from engine.training.data import HiddenTokens, collate
from engine.training.run import Run
from engine.training.tasks import TASKS, Task

log = logging.getLogger(__name__)


class Recorder(TrainerCallback):
    """Writes what the trainer logs into the run's folder, and stops the trainer when asked to."""

    def __init__(self, run: Run, stop: threading.Event) -> None:
        self._run, self._stop = run, stop

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self._stop.is_set():
            control.should_training_stop = control.should_save = True
            control.should_evaluate |= state.best_model_checkpoint is None

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        values = {"step": state.global_step, "epoch": state.epoch, "time": time.time(), **(logs or {})}
        self._run.record(values)
        self._run.update("running", step=state.global_step, max_steps=state.max_steps)
        log.info("step %d of %d: %s", state.global_step, state.max_steps, logs)


class Averager(TrainerCallback):
    """Keeps an exponential moving average of the weights that learn."""

    def __init__(self, decay: float) -> None:
        self._decay = decay
        self._average: dict[str, torch.Tensor] = {}

    @torch.no_grad()
    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        decay = min(self._decay, (1 + state.global_step) / (10 + state.global_step))
        for name, weight in model.named_parameters():
            if weight.requires_grad:
                kept = self._average.setdefault(name, weight.detach().clone())
                kept.lerp_(weight.detach(), 1 - decay)

    @torch.no_grad()
    def swap(self, model: Any) -> None:
        """Exchange the weights and their averages."""
        for name, weight in model.named_parameters():
            if name in self._average:
                held = weight.detach().clone()
                weight.copy_(self._average[name])
                self._average[name] = held


class RunTrainer(Trainer):
    """Judges and saves the averaged weights where there are any, and judges rows in the order of their file."""

    averager: Averager | None = None

    def _get_eval_sampler(self, eval_dataset: Any) -> Any:
        # The inherited one groups by length and so returns predictions in another order than the rows'.
        return torch.utils.data.SequentialSampler(eval_dataset)

    def _maybe_log_save_evaluate(self, *arguments: Any, **rest: Any) -> None:
        if self.averager is None or not (self.control.should_evaluate or self.control.should_save):
            return super()._maybe_log_save_evaluate(*arguments, **rest)
        self.averager.swap(self.model)
        try:
            return super()._maybe_log_save_evaluate(*arguments, **rest)
        finally:
            self.averager.swap(self.model)


def train(folder: Path, stop: threading.Event | None = None) -> dict[str, float]:
    """Run to the end, or until `stop` is set, and return the kept model's metrics.

    Raises PeopleError for a bad config or bad data.
    """
    run, stop = Run(folder), stop or threading.Event()
    run.update("preparing")
    config = read_config(folder / "config.json")
    torch.set_num_threads(config.threads or os.cpu_count() or 1)
    set_seed(config.seed)
    tokenizer = AutoTokenizer.from_pretrained(config.base)
    task = TASKS[config.task](config, tokenizer)
    if config.token_dropout:
        task = replace(task, train_set=HiddenTokens(task.train_set, tokenizer, config.token_dropout))
    trainer = make_trainer(config, task, folder, Recorder(run, stop))
    has_checkpoint = any((folder / "checkpoints").glob("checkpoint-*/trainer_state.json"))
    trainer.train(resume_from_checkpoint=has_checkpoint or None)
    metrics = trainer.evaluate()
    model = trainer.model.merge_and_unload() if config.method == "lora" else trainer.model
    model.config.update(task.settings(metrics))
    run.keep(model, tokenizer)
    run.update("stopped" if stop.is_set() else "finished", metrics=metrics)
    return metrics


def make_trainer(config: TrainingConfig, task: Task, folder: Path, *callbacks: TrainerCallback) -> RunTrainer:
    """The trainer of a task; checkpoints go under the folder."""
    trainer = RunTrainer(
        model=_to_train(_without_attention_dropout(task.model, config), config),
        args=_arguments(config, task, folder),
        train_dataset=task.train_set,
        eval_dataset=task.validation_set,
        data_collator=collate,
        compute_metrics=task.judge,
        callbacks=list(callbacks),
    )
    if config.average_decay:
        trainer.averager = Averager(config.average_decay)
        trainer.add_callback(trainer.averager)
    if config.patience:
        trainer.add_callback(EarlyStoppingCallback(config.patience))
    return trainer


def _arguments(config: TrainingConfig, task: Task, folder: Path) -> TrainingArguments:
    steps = -(-len(task.train_set) // config.batch_size)
    every = max(1, steps // config.evaluations_per_epoch)
    return TrainingArguments(
        output_dir=str(folder / "checkpoints"),
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
        label_names=list(task.label_names),
        eval_strategy="steps",
        eval_steps=every,
        save_strategy="steps",
        save_steps=every,
        save_total_limit=2,
        logging_steps=10,
        load_best_model_at_end=True,
        metric_for_best_model=task.metric,
        greater_is_better=True,
        dataloader_pin_memory=False,
        report_to=[],
        disable_tqdm=True,
    )


def _without_attention_dropout(model: Any, config: TrainingConfig) -> Any:
    """Set the model's attention dropout, where its family has one."""
    for module in model.modules():
        dropout = getattr(module, "dropout", None)
        if type(module).__name__.endswith("SelfAttention") and isinstance(dropout, torch.nn.Dropout):
            dropout.p = config.attention_dropout
    return model


def _to_train(model: Any, config: TrainingConfig) -> Any:
    """The model with what is to learn: all of it, adapters, or its last layers."""
    if config.method == "head":
        for name, weight in model.named_parameters():
            weight.requires_grad = any(part in name for part in ("classifier", "qa_outputs", "pooler"))
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


def main(arguments: list[str]) -> int:
    """Train the run in the given folder; its status says how it ended. Returns the exit status."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    path = Path(arguments[0])
    folder = path.parent if path.suffix == ".json" else path
    folder.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(folder / "log.txt", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logging.getLogger().addHandler(handler)
    log.setLevel(logging.INFO)
    stop = threading.Event()
    previous = signal.signal(signal.SIGTERM, lambda *_: stop.set())
    try:
        print(json.dumps(train(folder, stop)))
    except Exception as error:
        log.exception("the run failed")
        Run(folder).update("failed", error=str(error) if isinstance(error, PeopleError) else repr(error))
        print(error if isinstance(error, PeopleError) else repr(error), file=sys.stderr)
        return 1
    finally:
        signal.signal(signal.SIGTERM, previous)
        logging.getLogger().removeHandler(handler)
        handler.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
