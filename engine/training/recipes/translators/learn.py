"""The loop that trains a translator in pieces of minutes: what one piece leaves, the next goes on from.

Plain PyTorch around transformers' MarianMTModel, on CUDA or a processor. The state is small enough to come back from a
lent machine: weights in half precision, of AdamW's second moments the means of rows and columns, of the first none
(they live for ten steps). Whenever it is kept, training itself goes on from what was kept: so a piece that is resumed
elsewhere gives the very curve of one that was not interrupted. Batches and dropout depend on seed and step alone.
"""

from __future__ import annotations

import logging
import multiprocessing
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from engine.errors import InputError
from engine.training import scratch
from engine.training.recipes.translators import parcels
from engine.training.recipes.translators.pack import (
    HELD_OUT_FILES,
    PAIRS_FILE,
    PLAN_FILE,
    TOKENIZER,
    Batch,
    Plan,
    Portions,
    _seed,
    measured_batches,
    read_pairs,
    read_plan,
    rows_of,
)
from engine.training.run import Run

log = logging.getLogger(__name__)

STATE, AVERAGE = "state", "average"
BETAS, EPSILON = (0.9, 0.98), 1e-9
LEAVE_SECONDS = 15.0
"""Time at the end of a piece for keeping everything."""
TIMED_STEPS = (20, 200)
"""Steps between which a last piece takes its pace, to know how many it will do."""
PACE_SHARE = 0.93
"""Share of the time left that goes into steps; the rest is for validations and keeping."""


@dataclass
class Place:
    """Where the training is: steps done, the portion and the batch in it that come next."""

    step: int = 0
    portion: int = 0
    batch: int = 0
    cool_from: int = 0
    finish: int = 0
    """From `cool_from` the learning rate falls in a line to nothing at `finish`; 0 while no end is planned."""


def rate(plan: Plan, place: Place) -> float:
    """Learning rate of the next step: up in the warm-up, down with the inverse root, to nothing at the end."""
    step = place.step + 1
    value = plan.learning_rate * min(step / plan.warmup_steps, (plan.warmup_steps / step) ** 0.5)
    if place.finish and step > place.cool_from:
        value *= max(0.0, (place.finish - place.step) / (place.finish - place.cool_from))
    return value


class Learner:
    """A model, its optimiser and its average at one place of the training."""

    def __init__(self, plan: Plan, tokenizer: Any, device: torch.device, is_compiled: bool = False) -> None:
        self.plan, self.device, self.place = plan, device, Place()
        self.pad = int(tokenizer.pad_token_id)
        self.model = new_model(plan, tokenizer).to(device).train()
        named = learned_weights(self.model)
        self._names, self._weights = list(named), list(named.values())
        self.average = [weight.detach().clone() for weight in self._weights]
        self.averaged_steps, self._kept_step = 0, -1
        self.optimiser = torch.optim.AdamW(_groups(self.model, plan), betas=BETAS, eps=EPSILON, fused=True)
        self.forward = torch.compile(self.model.model, dynamic=True) if is_compiled else self.model.model

    def learn(self, batch: Batch) -> tuple[Tensor, int]:
        """One step. Returns the mean loss of a token, still on the device, and the number of target tokens."""
        torch.manual_seed(_seed(self.plan.seed, self.place.step, 3))
        for group in self.optimiser.param_groups:
            group["lr"] = rate(self.plan, self.place)
        loss, count = self.loss(batch, self.plan.label_smoothing)
        (loss / count).backward()
        torch.nn.utils.clip_grad_norm_(self._weights, self.plan.max_grad_norm, foreach=True)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self._add_to_average()
        self.place.step += 1
        return loss.detach() / count, count

    def loss(self, batch: Batch, smoothing: float) -> tuple[Tensor, int]:
        """Sum of the loss over target tokens, and their number."""
        places = np.flatnonzero(batch.target != self.pad)
        source, target = self._tensor(batch.source), self._tensor(batch.target)
        shifted = functional.pad(target[:, :-1], (1, 0), value=self.pad)
        with torch.autocast(self.device.type, torch.bfloat16):
            hidden = self.forward(
                input_ids=source, attention_mask=source.ne(self.pad).long(), decoder_input_ids=shifted
            ).last_hidden_state
            wanted = self._tensor(places)
            logits = functional.linear(hidden.flatten(0, 1).index_select(0, wanted), self.model.lm_head.weight)
        chosen = target.flatten().index_select(0, wanted)
        return (
            functional.cross_entropy(logits.float(), chosen, label_smoothing=smoothing, reduction="sum"),
            len(places),
        )

    def _tensor(self, ids: np.ndarray) -> Tensor:
        tensor = torch.from_numpy(ids.astype(np.int64))
        if self.device.type == "cuda":
            return tensor.pin_memory().to(self.device, non_blocking=True)
        return tensor

    @torch.no_grad()
    def _add_to_average(self) -> None:
        self.averaged_steps += 1
        decay = min(self.plan.average_decay, (1 + self.averaged_steps) / (10 + self.averaged_steps))
        torch._foreach_lerp_(self.average, self._weights, 1 - decay)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Have the averaged weights in the model, for as long as the context lasts."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for weight, average in zip(self._weights, self.average, strict=True):
            held = weight.detach().clone()
            weight.copy_(average)
            average.copy_(held)

    @torch.no_grad()
    def measure(self, held_out: dict[str, list[Batch]]) -> dict[str, float]:
        """Mean loss of a token in each direction, and of all."""
        self.model.eval()
        sums: dict[str, tuple[float, int]] = {}
        for direction, batches in held_out.items():
            parts = [self.loss(batch, 0.0) for batch in batches]
            sums[direction] = (float(sum(loss for loss, _ in parts)), sum(count for _, count in parts))
        self.model.train()
        found = {f"eval_loss_{name}": loss / max(1, count) for name, (loss, count) in sums.items()}
        total = sum(count for _, count in sums.values())
        return {"eval_loss": sum(loss for loss, _ in sums.values()) / max(1, total), **found}

    def keep(self, folder: Path) -> None:
        """Write state and average, and go on from the state as written. Does nothing twice at the same step."""
        if self._kept_step == self.place.step:
            return  # means of means differ in the last bits
        self._kept_step = self.place.step
        tensors: dict[str, Tensor] = {}
        for name, weight in zip(self._names, self._weights, strict=True):
            tensors[f"weight.{name}"] = weight.half()
            if state := self.optimiser.state.get(weight):
                tensors |= {f"{kind}.{name}": value for kind, value in _means(state["exp_avg_sq"]).items()}
        about = {"plan": self.plan.digest, **self.place.__dict__}
        parcels.write(folder / STATE, tensors, about)
        self.take(tensors, about, average=None)
        named = zip(self._names, self.average, strict=True)
        parcels.write(
            folder / AVERAGE,
            {name: value.half() for name, value in named},
            about | {"averaged_steps": self.averaged_steps},
        )

    def resume(self, folder: Path) -> bool:
        """Go on from what is in the folder, if there is something. Raises InputError for another plan's."""
        if not parcels.exists(folder / STATE):
            return False
        tensors, about = parcels.read(folder / STATE)
        if about["plan"] != self.plan.digest:
            raise InputError("The state is of another plan. Prepare with the same settings, or start anew.", "run")
        average = None
        if parcels.exists(folder / AVERAGE):
            average, described = parcels.read(folder / AVERAGE)
            average = average if described["step"] == about["step"] else None
            self.averaged_steps = int(described["averaged_steps"]) if average else 0
        self.take(
            tensors, about, average or {n.removeprefix("weight."): t for n, t in tensors.items() if "weight." in n}
        )
        self._kept_step = self.place.step
        return True

    @torch.no_grad()
    def take(self, tensors: dict[str, Tensor], about: dict[str, Any], average: dict[str, Tensor] | None) -> None:
        """Set weights, moments and place; the average too, unless it is None."""
        self.place = Place(**{name: int(about[name]) for name in Place.__dataclass_fields__})
        for name, weight, kept in zip(self._names, self._weights, self.average, strict=True):
            weight.copy_(tensors[f"weight.{name}"])
            if average is not None:
                kept.copy_(average[name])
            moments = {kind: tensors.get(f"{kind}.{name}") for kind in ("all", "rows", "columns")}
            if any(value is not None for value in moments.values()):
                self.optimiser.state[weight] = {
                    "step": torch.tensor(float(self.place.step), device=self._step_device(weight)),
                    "exp_avg": torch.zeros_like(weight),
                    "exp_avg_sq": _from_means(moments).to(weight.device).reshape(weight.shape).contiguous(),
                }

    def _step_device(self, weight: Tensor) -> torch.device:
        return weight.device if weight.is_cuda else torch.device("cpu")


def new_model(plan: Plan, tokenizer: Any) -> Any:
    """The untrained translator of a plan."""
    return scratch.marian(
        tokenizer,
        encoder_layers=plan.encoder_layers,
        decoder_layers=plan.decoder_layers,
        width=plan.width,
        heads=plan.heads,
        feed_forward=plan.feed_forward,
        dropout=plan.dropout,
        seed=plan.seed,
    )


def learned_weights(model: Any) -> dict[str, Tensor]:
    """Weights by name but for those of positions, which are computed and not learned."""
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}


def _groups(model: Any, plan: Plan) -> list[dict[str, Any]]:
    weights = list(learned_weights(model).values())
    return [
        {"params": [weight for weight in weights if weight.dim() > 1], "weight_decay": plan.weight_decay},
        {"params": [weight for weight in weights if weight.dim() <= 1], "weight_decay": 0.0},
    ]


def _means(moment: Tensor) -> dict[str, Tensor]:
    """Means of rows and columns of a matrix, as Adafactor keeps them (Shazeer and Stern 2018); a vector as it is."""
    if moment.dim() < 2:
        return {"all": moment.clone()}
    return {"rows": moment.mean(1), "columns": moment.mean(0)}


def _from_means(moments: dict[str, Tensor | None]) -> Tensor:
    if (whole := moments["all"]) is not None:
        return whole.clone()
    rows, columns = moments["rows"], moments["columns"]
    assert rows is not None and columns is not None
    return torch.outer(rows, columns) / rows.mean().clamp(min=1e-30)


class Feed:
    """The batches from a place on, each with the place after it; the next portion is made ready meanwhile."""

    def __init__(self, portions: Portions, portion: int, batch: int) -> None:
        self._portions, self._portion, self._batch = portions, portion, batch
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="portions")

    def __iter__(self) -> Iterator[tuple[Batch, int, int]]:
        number, start = self._portion, self._batch
        coming: Future[list[Batch]] = self._thread.submit(self._portions.batches, number)
        while True:
            batches = coming.result()
            coming = self._thread.submit(self._portions.batches, number + 1)
            for at in range(start, len(batches)):
                yield batches[at], number, at + 1
            number, start = number + 1, 0

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)


@dataclass(frozen=True)
class Piece:
    """How long to learn. The piece ends at the first of its limits that is reached."""

    seconds: float = float("inf")
    """From the start of the process."""
    steps: int = 0
    """Steps of this piece; 0 sets no limit."""
    is_last: bool = False
    """The learning rate falls to nothing at the end of this piece."""
    started: float = 0.0
    """`time.monotonic()` at the start of the process."""

    def time_left(self) -> float:
        """Seconds until the state must be kept."""
        return self.seconds - LEAVE_SECONDS - (time.monotonic() - self.started)


def learn(
    pack: Path,
    folder: Path,
    piece: Piece,
    *,
    extra: Sequence[Path] = (),
    workers: int = 0,
    is_compiled: bool = False,
    stop: threading.Event | None = None,
) -> dict[str, float]:
    """Train one piece of the run in the folder, from where the last one ended; returns the last losses measured.

    `extra` are files of synthetic pairs. 0 workers cut sentences in this process. Raises PeopleError.
    """
    plan, run, stop = read_plan(pack / PLAN_FILE), Run(folder), stop or threading.Event()
    run.update("preparing")
    pairs = [pair for file in (pack / PAIRS_FILE, *extra) for pair in read_pairs(file)]
    held_out = [pair for name in HELD_OUT_FILES.values() for pair in read_pairs(pack / name)]
    measured = measured_batches(held_out, plan, pack / TOKENIZER)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = True
    learner = Learner(plan, scratch.load_tokenizer(pack / TOKENIZER), device, is_compiled)
    is_resumed = learner.resume(folder)
    log.info("%s at step %d, %d pairs", "resumed" if is_resumed else "started", learner.place.step, len(pairs))
    if learner.place.finish and learner.place.step >= learner.place.finish:
        raise InputError("This run is finished. Export it, or start another folder.", param="run")
    # forked before CUDA starts would be quicker, but a spawned worker cannot inherit a lock that a thread holds.
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) if workers else None
    feed = Feed(
        Portions(rows_of(pairs, plan), plan, pack / TOKENIZER, pool), learner.place.portion, learner.place.batch
    )
    try:
        found = _steps(learner, feed, measured, piece, run, stop)
        learner.keep(folder)
    finally:
        feed.close()
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)
    run.update("finished" if learner.place.step == learner.place.finish else "stopped", metrics=found)
    return found


def _steps(
    learner: Learner, feed: Feed, measured: dict[str, list[Batch]], piece: Piece, run: Run, stop: threading.Event
) -> dict[str, float]:
    """Learn until the piece ends; what is measured at the end is the average."""
    plan, first = learner.plan, learner.place.step
    seen, times = Seen(), list[float]()
    for batch, portion, at in feed:
        loss, count = learner.learn(batch)
        place = learner.place
        place.portion, place.batch = portion, at
        seen.add(loss, count)
        if place.step % plan.log_every == 0:
            seen = _report(learner, seen, run)
        if piece.is_last and not place.finish and (piece.steps or place.step - first in TIMED_STEPS):
            loss.item()  # waits for the device
            times.append(time.monotonic())
            _plan_end(place, first, piece, times)
        if place.step % plan.evaluate_every == 0:
            learner.keep(run.folder)
            run.record(_line(learner) | learner.measure(measured))
        is_over = piece.steps and place.step - first >= piece.steps
        if is_over or place.step == place.finish or stop.is_set() or piece.time_left() <= 0:
            break
    with learner.averaged():
        found = learner.measure(measured)
    run.record(_line(learner) | {f"average_{name}": value for name, value in found.items()})
    return found


def _plan_end(place: Place, first: int, piece: Piece, times: Sequence[float]) -> None:
    """Set the step at which the learning rate is nothing: by the limit, or by the pace and the time left."""
    if piece.steps:
        place.finish = first + piece.steps
    elif len(times) == len(TIMED_STEPS):
        pace = (TIMED_STEPS[1] - TIMED_STEPS[0]) / max(1e-9, times[1] - times[0])
        place.finish = place.step + max(1, int(pace * piece.time_left() * PACE_SHARE))
    else:
        return
    place.cool_from = place.step
    log.info("the last step will be %d", place.finish)


class Seen:
    """Sums since the last line of the log; the losses stay on the device until asked for."""

    def __init__(self) -> None:
        self._losses: list[Tensor] = []
        self._tokens, self._since = 0, time.monotonic()

    def add(self, loss: Tensor, tokens: int) -> None:
        self._losses.append(loss)
        self._tokens += tokens

    def read(self) -> dict[str, float]:
        loss = float(torch.stack(self._losses).mean())
        return {"loss": loss, "tokens_per_second": self._tokens / max(1e-9, time.monotonic() - self._since)}


def _line(learner: Learner) -> dict[str, Any]:
    return {"step": learner.place.step, "epoch": learner.place.portion, "time": time.time()}


def _report(learner: Learner, seen: Seen, run: Run) -> Seen:
    values = seen.read() | {"learning_rate": rate(learner.plan, learner.place)}
    if not np.isfinite(values["loss"]):
        raise InputError(
            "The loss is no longer a number. Prepare again with a lower learning_rate, and start anew.", "learning_rate"
        )
    run.record(_line(learner) | values)
    run.update("running", step=learner.place.step, max_steps=learner.place.finish, **values)
    log.info("step %d: %s", learner.place.step, {name: round(value, 5) for name, value in values.items()})
    return Seen()


@contextmanager
def stopping(stop: threading.Event) -> Iterator[None]:
    """SIGTERM asks to stop after the step, for as long as the context lasts."""
    before = signal.signal(signal.SIGTERM, lambda *_: stop.set())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
