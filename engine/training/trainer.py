"""transformers' Trainer, with an order of data that a resumed run finds again, whole checkpoints and a plain loss."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer, TrainerCallback

from engine.evaluation.metrics import perplexity
from engine.training import checkpoints
from engine.training.data import IGNORED, Features
from engine.training.failures import DivergedError
from engine.training.lessons import Lesson

GROUPED_BATCHES = 50
"""Batches of one shuffled stretch of the data that are filled by length."""


class Order(torch.utils.data.Sampler[int]):
    """Indices of an epoch; they follow from seed and epoch alone. Batches hold similar lengths if `is_grouped`.

    The very longest batch comes first, so that memory that does not suffice shows at once.
    """

    def __init__(self, data: Features, batch_size: int, seed: int, is_grouped: bool) -> None:
        self._data, self._batch_size, self._seed, self._epoch = data, batch_size, seed, 0
        self._lengths = [data[i]["length"] for i in range(len(data))] if is_grouped else None

    def set_epoch(self, epoch: int) -> None:
        """The next iteration is that epoch's."""
        self._epoch = epoch
        if hasattr(self._data, "set_epoch"):
            self._data.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self._data)

    def __iter__(self) -> Iterator[int]:
        chance = torch.Generator().manual_seed(self._seed * 1_000_003 + self._epoch)
        indices: list[int] = torch.randperm(len(self._data), generator=chance).tolist()
        if self._lengths is None:
            return iter(indices)
        batches = self._grouped(indices, self._lengths)
        # Only the last batch may be smaller than the others.
        order = torch.randperm(len(batches) - 1, generator=chance).tolist()
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
    """Keeps an exponential moving average of the weights that learn."""

    def __init__(self, decay: float) -> None:
        self._decay = decay
        self.average: dict[str, torch.Tensor] = {}

    @torch.no_grad()
    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        decay = min(self._decay, (1 + state.global_step) / (10 + state.global_step))
        for name, weight in checkpoints.learning(model).items():
            self.average.setdefault(name, weight.clone()).lerp_(weight, 1 - decay)

    @torch.no_grad()
    def swap(self, model: Any) -> None:
        """Exchange the weights and their averages."""
        for name, weight in checkpoints.learning(model).items():
            if name in self.average:
                held = weight.clone()
                weight.copy_(self.average[name])
                self.average[name] = held


class RunTrainer(Trainer):
    """Judges and saves the averaged weights where there are any; a checkpoint is whole or not there.

    The validation loss is the mean over what is learned (tokens or rows), without label smoothing.
    """

    averager: Averager | None = None
    label_smoother: Any
    lesson: Lesson
    is_grouped: bool
    on_pause: Any = None
    """Called with True before validation and saving, with False after."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._loss_sum, self._loss_count = 0.0, 0

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        data = self.train_dataset if train_dataset is None else train_dataset
        return Order(data, self.args.per_device_train_batch_size, self.args.seed, self.is_grouped)

    def _get_eval_sampler(self, eval_dataset: Any) -> Any:
        # The inherited one groups by length and so returns predictions in another order than the rows'.
        return torch.utils.data.SequentialSampler(eval_dataset)

    def training_step(self, *arguments: Any, **options: Any) -> torch.Tensor:
        loss: torch.Tensor = super().training_step(*arguments, **options)
        if not torch.isfinite(loss).all():
            raise DivergedError(self.state.global_step + 1)
        return loss

    def _track_num_input_tokens(self, inputs: Any) -> None:
        """Tokens without padding, of source and target."""
        self.state.num_input_tokens_seen += int(inputs["attention_mask"].sum())
        if "decoder_input_ids" in inputs:
            self.state.num_input_tokens_seen += int((inputs["labels"] != IGNORED).sum())

    def prediction_step(self, model: Any, inputs: Any, *arguments: Any, **options: Any) -> Any:
        smoother, self.label_smoother = self.label_smoother, None
        try:
            result = super().prediction_step(model, inputs, *arguments, **options)
        finally:
            self.label_smoother = smoother
        count = _learned(inputs, is_shifted=self._loss_shifts_labels)
        if result[0] is not None and count:
            self._loss_sum += float(result[0]) * count
            self._loss_count += count
        return result

    def evaluation_loop(self, *arguments: Any, **options: Any) -> Any:
        self._loss_sum, self._loss_count = 0.0, 0
        # Reading data draws chance; a run that was judged once more, because it was stopped, must go the same way.
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

    def _maybe_log_save_evaluate(self, *arguments: Any, **rest: Any) -> None:
        is_long = self.control.should_evaluate or self.control.should_save
        is_averaged = self.averager is not None and is_long
        if self.averager is not None and is_averaged:
            self.averager.swap(self.model)
        if self.on_pause:
            self.on_pause(True)
        try:
            super()._maybe_log_save_evaluate(*arguments, **rest)
        finally:
            if self.averager is not None and is_averaged:
                self.averager.swap(self.model)
            if self.on_pause:
                self.on_pause(False)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        folder = Path(self.args.output_dir)
        step = self.state.global_step
        other = self.averager.average if self.averager is not None else {}
        self.state.best_model_checkpoint = _name(folder, self.state.best_global_step)
        self._note_callbacks()
        checkpoints.save(folder / f"checkpoint-{step}", self, other)
        checkpoints.forget_old(folder, self.state.best_global_step, step)

    def _note_callbacks(self) -> None:
        """Put what callbacks remember (the patience used up) into the state."""
        for callback in self.callback_handler.callbacks:
            name = type(callback).__name__
            if name in self.state.stateful_callbacks:
                self.state.stateful_callbacks[name] = callback.state()

    def _init_training_state(self, *arguments: Any) -> tuple[int, int]:
        counts: tuple[int, int] = super()._init_training_state(*arguments)
        # The folder may have moved since, and then the path that was saved leads nowhere.
        best = _name(Path(self.args.output_dir), self.state.best_global_step)
        self.state.best_model_checkpoint = best if best and Path(best).is_dir() else None
        return counts

    def _load_from_checkpoint(self, resume_from_checkpoint: Any, model: Any = None) -> None:
        checkpoints.load_weights(Path(resume_from_checkpoint), self.model)
        if self.averager is not None:
            self.averager.average = {
                name: tensor.to(self.model.device)
                for name, tensor in checkpoints.load_other(Path(resume_from_checkpoint)).items()
            }
            self.averager.swap(self.model)

    def _load_optimizer_and_scheduler(self, checkpoint: Any) -> None:
        if checkpoint is not None:
            checkpoints.load_optimizer(Path(checkpoint), self)

    def _load_rng_state(self, checkpoint: Any) -> None:
        if checkpoint is not None:
            checkpoints.load_chance(Path(checkpoint))

    def _load_best_model(self) -> None:
        checkpoints.load_weights(Path(self.state.best_model_checkpoint), self.model)


def _name(folder: Path, step: int | None) -> str | None:
    """The checkpoint of that step, if it is or will be there."""
    return str(folder / f"checkpoint-{step}") if step else None


def _learned(inputs: Any, is_shifted: bool) -> int:
    """How many tokens (or rows) of a batch count in its loss."""
    labels = inputs.get("labels")
    if labels is None or labels.dim() < 2:
        return len(inputs["input_ids"])
    return int((labels[:, 1:] if is_shifted else labels).ne(IGNORED).sum())
