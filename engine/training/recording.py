"""What a run tells while it trains: its folder's files, TensorBoard's, and whether it was asked to stop."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import torch
from transformers import TrainerCallback

from engine.training.lessons import Lesson
from engine.training.run import Run, memory_now

log = logging.getLogger(__name__)

STATUS_SECONDS = 2.0
"""How often at most the status tells the step."""
LEARNING = ("loss", "grad_norm", "learning_rate")
UNTOLD = ("eval_runtime", "eval_samples_per_second", "eval_steps_per_second", "eval_model_preparation_time")
FLUSH_SECONDS = 10


class Recorder(TrainerCallback):
    """Writes what the trainer logs into the run's folder, and stops the trainer when asked to."""

    def __init__(self, run: Run, lesson: Lesson, seed: int, is_stopped: Callable[[], bool]) -> None:
        self._run, self._lesson, self._seed, self._is_stopped = run, lesson, seed, is_stopped
        self._tokens, self._seconds, self._mark, self._told = 0, 0.0, time.perf_counter(), 0.0
        self._board: Any = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        from tensorboardX import SummaryWriter

        self._tokens = state.num_input_tokens_seen
        folder = str(self._run.folder / "tensorboard")
        self._board = SummaryWriter(folder, purge_step=state.global_step + 1, flush_secs=FLUSH_SECONDS)
        self._run.update("running", step=state.global_step, max_steps=state.max_steps, **self._memory())

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._mark = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._seconds += time.perf_counter() - self._mark
        if self._is_stopped():
            control.should_training_stop = control.should_save = True
            control.should_evaluate |= state.best_global_step is None
        # A line at each checkpoint: the next one then starts where a resumed run starts.
        control.should_log |= control.should_save or control.should_evaluate
        if time.monotonic() - self._told > STATUS_SECONDS:
            self._tell(state)

    def _tell(self, state: Any, **values: Any) -> None:
        self._told = time.monotonic()
        place = {"step": state.global_step, "max_steps": state.max_steps, "epoch": state.epoch or 0.0}
        self._run.update("running", **place, **self._memory(), **values)

    def _memory(self) -> dict[str, int]:
        memory = memory_now()
        if torch.cuda.is_available():
            free, _ = torch.cuda.mem_get_info()
            memory = {"memory_bytes": torch.cuda.max_memory_allocated(), "free_memory_bytes": free}
        return memory

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        values = {n: v for n, v in (logs or {}).items() if n in LEARNING or (n[:5] == "eval_" and n not in UNTOLD)}
        if not values:
            return
        speed = self._speed(state) if "loss" in values else {}
        line = {"step": state.global_step, "epoch": state.epoch or 0.0, "time": time.time(), **values, **speed}
        self._run.record(line)
        self._draw(state.global_step, values | speed)
        is_baseline = state.global_step == 0 and "eval_loss" in values
        self._tell(state, **speed, **({"baseline": values} if is_baseline else {}))
        told = ", ".join(f"{n} {v:.4g}" for n, v in (values | speed).items() if isinstance(v, float | int))
        log.info("step %d of %d: %s", state.global_step, state.max_steps, told)

    def _speed(self, state: Any) -> dict[str, float]:
        tokens, self._tokens = state.num_input_tokens_seen - self._tokens, state.num_input_tokens_seen
        seconds, self._seconds = self._seconds, 0.0
        return {"tokens_per_second": round(tokens / seconds, 1)} if seconds > 0 and tokens > 0 else {}

    def _draw(self, step: int, values: dict[str, Any]) -> None:
        if self._board is None:
            return
        for name, value in values.items():
            if isinstance(value, float | int):
                tag = f"eval/{name[5:]}" if name.startswith("eval_") else f"train/{name}"
                self._board.add_scalar(tag, value, step)

    def on_evaluate(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        # Samples draw their own random numbers, so that learning goes the same way with and without them.
        devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(self._seed)
            samples = self._lesson.sample(model)
        if samples:
            self._run.show(state.global_step, samples)
        if self._board is not None:
            for number, (prompt, text) in enumerate(samples):
                self._board.add_text(f"sample/{number}", f"{prompt}\n\n{text}", state.global_step)
            self._board.flush()

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.best_global_step:
            self._tell(state, best_step=state.best_global_step, metrics=best_metrics(state))

    def close(self) -> None:
        """Finish TensorBoard's file."""
        if self._board is not None:
            self._board.close()
            self._board = None


def best_metrics(state: Any) -> dict[str, float]:
    """The validation figures of the checkpoint that is kept."""
    lines = [line for line in state.log_history if "eval_loss" in line and line["step"] == state.best_global_step]
    return {n: v for n, v in (lines[-1] if lines else {}).items() if n[:5] == "eval_" and n not in UNTOLD}
