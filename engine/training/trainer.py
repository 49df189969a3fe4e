"""transformers' Trainer, with an order of data that a resumed run finds again, whole checkpoints and a plain loss."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader
from transformers import Trainer, TrainerCallback

from engine.evaluation.metrics import perplexity
from engine.training import checkpoints, figures
from engine.training.data import IGNORED, Features
from engine.training.failures import DivergedError
from engine.training.lessons import Lesson
from engine.training.recording import best_metrics
from engine.training.run import WEIGHTS_FILE
from engine.training.tasks import TrainingTask

GROUPED_BATCHES = 50
"""Batches of one shuffled stretch of the data that are filled by length."""


class Order(torch.utils.data.Sampler[int]):
    """Indices of an epoch; they follow from seed and epoch alone. Batches hold similar lengths if `is_grouped`.

    The very longest batch comes first, so that memory that does not suffice shows at once.
    """

    def __init__(self, data: Features, batch_size: int, seed: int, is_grouped: bool) -> None:
        self._data, self._batch_size, self._seed, self._epoch = data, batch_size, seed, 0
        self._lengths = [feature["length"] for feature in data] if is_grouped else None

    def set_epoch(self, epoch: int) -> None:
        """The next iteration is that epoch's."""
        self._epoch = epoch
        if hasattr(self._data, "set_epoch"):
            self._data.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self._data)

    def __iter__(self) -> Iterator[int]:
        rng = torch.Generator().manual_seed(self._seed * 1_000_003 + self._epoch)
        indices: list[int] = torch.randperm(len(self._data), generator=rng).tolist()
        if self._lengths is None:
            return iter(indices)
        batches = self._grouped(indices, self._lengths)
        # Only the last batch may be smaller than the others.
        order = torch.randperm(len(batches) - 1, generator=rng).tolist()
        shuffled = [*(batches[i] for i in order), batches[-1]]
        longest = max(range(len(batches)), key=lambda i: self._lengths[shuffled[i][0]])  # type: ignore[index]
        if len(shuffled[longest]) == self._batch_size:
            shuffled.insert(0, shuffled.pop(longest))
        return (index for batch in shuffled for index in batch)

    def _grouped(self, indices: list[int], lengths: list[int]) -> list[list[int]]:
        size, stretch = self._batch_size, self._batch_size * GROUPED_BATCHES
        batches = []
        for first in range(0, len(indices), stretch):
            group = sorted(indices[first : first + stretch], key=lambda i: -lengths[i])
            batches += [group[at : at + size] for at in range(0, len(group), size)]
        return batches


class Averager(TrainerCallback):
    """Keeps an exponential moving average of the trainable weights."""

    def __init__(self, decay: float) -> None:
        self._decay = decay
        self.average: dict[str, torch.Tensor] = {}

    @torch.no_grad()
    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        decay = min(self._decay, (1 + state.global_step) / (10 + state.global_step))
        for name, weight in checkpoints.trainable(model).items():
            self.average.setdefault(name, weight.clone()).lerp_(weight, 1 - decay)

    @torch.no_grad()
    def swap(self, model: Any) -> None:
        """Exchange the weights and their averages."""
        for name, weight in checkpoints.trainable(model).items():
            if name in self.average:
                held = weight.clone()
                weight.copy_(self.average[name])
                self.average[name] = held


class Restorer(TrainerCallback):
    """Puts optimizer and schedule back as they were in a checkpoint."""

    def __init__(self, checkpoint: Path) -> None:
        self._checkpoint = checkpoint

    def on_train_begin(
        self, args: Any, state: Any, control: Any, optimizer: Any = None, lr_scheduler: Any = None, **_: Any
    ) -> None:
        checkpoints.load_optimizer(self._checkpoint, optimizer, lr_scheduler)


class Patience(TrainerCallback):
    """Stops after so many validations without a better one. What it counts is in the trainer's own history."""

    def __init__(self, task: TrainingTask, patience: int) -> None:
        self._task, self._patience = task, patience

    def on_evaluate(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        judged = [line for line in state.log_history if "eval_loss" in line and line["step"]]
        waited = figures.without_better(figures.rank(line, self._task) for line in judged)
        control.should_training_stop |= waited >= self._patience


class RunTrainer(Trainer):
    """Judges and saves the averaged weights where there are any; a checkpoint is whole or not there.

    The validation loss is the mean over what is learned (tokens or rows), without label smoothing. Three private
    methods are replaced: nothing public stands where checkpoints are written and read.
    """

    averager: Averager | None = None
    label_smoother: Any
    lesson: Lesson
    task: TrainingTask
    is_grouped: bool
    looked_back_at: Collection[int] = ()
    """Steps whose weights are kept besides those of the best and the last."""
    order: Sequence[int] | None = None
    """Indices of the training data in another order than `Order`'s, for a trial."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._loss_sum, self._loss_count = 0.0, 0

    def make_order(self) -> Order:
        """The order of the training data, epoch by epoch."""
        return Order(self.train_dataset, self.args.per_device_train_batch_size, self.args.seed, self.is_grouped)

    def get_train_dataloader(self) -> Any:
        loader = DataLoader(
            self.train_dataset,
            batch_size=self.args.per_device_train_batch_size,
            sampler=self.make_order() if self.order is None else self.order,
            collate_fn=self.data_collator,
            pin_memory=self.args.dataloader_pin_memory,
        )
        return self.accelerator.prepare(loader)

    def training_step(self, model: Any, inputs: Any, *arguments: Any, **options: Any) -> torch.Tensor:
        loss: torch.Tensor = super().training_step(model, inputs, *arguments, **options)
        if not torch.isfinite(loss).all():
            raise DivergedError(self.state.global_step + 1)
        # Tokens without padding, of source and target.
        self.state.num_input_tokens_seen += int(inputs["attention_mask"].sum())
        if "decoder_input_ids" in inputs:
            self.state.num_input_tokens_seen += int((inputs["labels"] != IGNORED).sum())
        return loss

    def prediction_step(self, model: Any, inputs: Any, *arguments: Any, **options: Any) -> Any:
        smoother, self.label_smoother = self.label_smoother, None
        try:
            result = super().prediction_step(model, inputs, *arguments, **options)
        finally:
            self.label_smoother = smoother
        count = _learned(inputs)
        if result[0] is not None and count:
            self._loss_sum += float(result[0]) * count
            self._loss_count += count
        return result

    def evaluation_loop(self, *arguments: Any, **options: Any) -> Any:
        self._loss_sum, self._loss_count = 0.0, 0
        # Reading data draws random numbers; a run that was judged once more, as it was stopped, must go the same way.
        with torch.random.fork_rng(devices=[torch.cuda.current_device()] if torch.cuda.is_available() else []):
            output = super().evaluation_loop(*arguments, **options)
        if self._loss_count:
            loss = self._loss_sum / self._loss_count
            output.metrics["eval_loss"] = loss
            if self.lesson.judge is None:
                output.metrics["eval_perplexity"] = perplexity(loss)
        examined = self.lesson.examine(self.model)
        output.metrics.update({f"eval_{name}": value for name, value in examined.items()})
        return output

    def evaluate(self, *arguments: Any, **options: Any) -> dict[str, float]:
        with self._averaged():
            metrics: dict[str, float] = super().evaluate(*arguments, **options)
        if self.is_in_train:
            self.note_best(metrics)
        return metrics

    def note_best(self, metrics: dict[str, float]) -> None:
        """Keep this step, unless one before was better; of equal ones the later."""
        now, kept = (figures.rank(each, self.task) for each in (metrics, best_metrics(self.state)))
        if self.state.best_global_step is None or now >= kept:
            self.state.best_metric = metrics[f"eval_{self.task.metric}"]
            self.state.best_global_step = self.state.global_step

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """The averages in place of the weights, while it trains."""
        averager = self.averager if self.is_in_train else None
        if averager:
            averager.swap(self.model)
        try:
            yield
        finally:
            if averager:
                averager.swap(self.model)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Private: the inherited one writes optimizer and random numbers by pickle, and a kill leaves half of it."""
        folder, step = Path(self.args.output_dir), self.state.global_step
        with self._averaged():
            checkpoints.save(folder / f"checkpoint-{step}", self, self.averager.average if self.averager else {})
        if step in self.looked_back_at:
            checkpoints.look_back(folder, step)
        checkpoints.forget_old(folder, self.state.best_global_step, step)

    def _load_from_checkpoint(self, resume_from_checkpoint: Any, model: Any = None) -> None:
        """Private: the inherited one knows neither weights of which a part learns, nor averages."""
        folder = Path(resume_from_checkpoint)
        checkpoints.load_weights(folder / WEIGHTS_FILE, self.model)
        if self.averager is not None:
            averages = checkpoints.load_other(folder)
            self.averager.average = {name: tensor.to(self.model.device) for name, tensor in averages.items()}
            self.averager.swap(self.model)

    def _load_rng_state(self, checkpoint: Any) -> None:
        """Private: the one moment, after the data that was seen is passed over, from which dropout draws the same."""
        if checkpoint is not None:
            checkpoints.load_rng(Path(checkpoint))


def _learned(inputs: Any) -> int:
    """How many tokens (or rows) of a batch count in its loss; a language model learns none from the first."""
    labels = inputs.get("labels")
    if labels is None or labels.dim() < 2:
        return len(inputs["input_ids"])
    return int((labels if "decoder_input_ids" in inputs else labels[:, 1:]).ne(IGNORED).sum())
