"""Trains a head on the multilingual encoder, and the encoder's layers with it, in pieces that go on from a checkpoint.

Word embeddings stay as they are and dropout is left out: on a processor its random numbers cost half of the time.
With `--mixed` matrix products are in bfloat16 and weights stay in float32: on a processor with AMX 1.4 times as fast.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F

from engine.training.data import Feature, collate
from models.recipes.pieces import batches_of, follow, put_back, tensors_of

WARM_STEPS = 60
WEIGHT_DECAY = 0.01
AVERAGE_DECAY = 0.998
CHECKPOINT_SECONDS = 600.0
LINE_STEPS = 10
PAD = 1
Learns = Callable[[str], bool]
"""Whether the weight of that name is learned."""
Collate = Callable[[Sequence[Feature]], dict[str, Any]]
LEARNING: dict[str, Any] = {
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "attn_implementation": "eager",
}
"""Settings of an encoder that learns. torch's fused attention takes a third of a step on a processor, most of it on
the way back: attention in plain products is 1.25 times as fast."""
CHECKPOINT, PROGRESS = "checkpoint.safetensors", "progress.json"


class HeadTask(Protocol):
    """What is learned."""

    def batches(self, chunk: int) -> Iterator[list[Feature]]:
        """The batches of a stretch of the data; the same for the same number."""

    def loss(self, module: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """Of one batch."""

    def judge(self, module: Any) -> dict[str, float]:
        """Figures on the rows that choose."""


@dataclass
class Progress:
    """What a checkpoint tells beside weights. `place` counts the batches of the chunk that are done."""

    steps: int = 0
    tokens: int = 0
    rows: int = 0
    seconds: float = 0.0
    chunk: int = 0
    place: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)


def in_batches(features: list[Feature], most: int, rng: random.Random) -> Iterator[list[Feature]]:
    """Batches of like lengths, of at most so many tokens with padding."""
    features.sort(key=lambda feature: (feature["length"], rng.random()))
    yield from batches_of_chunk(features, most, rng)


def batches_of_chunk(features: Sequence[Feature], most: int, rng: random.Random) -> Iterator[list[Feature]]:
    """The same of features that lie in the order of their lengths."""
    yield from batches_of(features, lambda feature: int(feature["length"]), most, rng)


def padded(features: Sequence[Feature]) -> dict[str, Any]:
    """A batch for the encoder, of a length by sixteens: oneDNN compiles the products of each shape that it meets."""
    batch = collate(features, PAD)
    more = (0, -batch["input_ids"].shape[1] % 16)
    fills = {"input_ids": PAD, "attention_mask": 0, "token_type_ids": 0}
    return batch | {name: F.pad(batch[name], more, value=fill) for name, fill in fills.items() if name in batch}


def all_but_embeddings(name: str) -> bool:
    """What of an encoder with a head is learned where nothing else is said."""
    return ".embeddings." not in name


class Trainer:
    """Weights, their running mean, AdamW's moments, and how far it is."""

    def __init__(
        self,
        module: Any,
        task: HeadTask,
        layer_rate: float,
        head_rate: float,
        learns: Learns = all_but_embeddings,
        collate: Collate = padded,
        is_mixed: bool = False,
    ) -> None:
        self.module, self.task, self.progress, self.collate = module.train(), task, Progress(), collate
        self.is_mixed = is_mixed
        base = f"{module.base_model_prefix}.encoder."
        for name, value in module.named_parameters():
            value.requires_grad_(learns(name))
        self.named = {name: value for name, value in module.named_parameters() if value.requires_grad}
        parts = [([v for n, v in self.named.items() if n.startswith(base)], layer_rate)]
        parts.append(([v for n, v in self.named.items() if not n.startswith(base)], head_rate))
        self.rates = [rate for _, rate in parts]
        groups = [{"params": values, "lr": rate} for values, rate in parts]
        self.adam = torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=WEIGHT_DECAY, fused=True)
        self.mean = {name: value.detach().clone() for name, value in self.named.items()}

    def step(self, features: Sequence[Feature], rate: float) -> float:
        """One batch; its loss."""
        batch = self.collate(features)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.is_mixed):
            loss = self.task.loss(self.module, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(list(self.named.values()), 1.0)
        warm = min(1.0, (self.progress.steps + 1) / WARM_STEPS)
        for group, own in zip(self.adam.param_groups, self.rates, strict=True):
            group["lr"] = own * rate * warm
        self.adam.step()
        self.adam.zero_grad()
        self.progress.steps += 1
        self.progress.rows += len(features)
        self.progress.tokens += int(batch["attention_mask"].sum())
        follow(self.mean, self.named, self.progress.steps, AVERAGE_DECAY)
        return float(loss.detach())

    @contextmanager
    def averaged(self) -> Iterator[Any]:
        """The module with the mean of its weights, which judge and ship."""
        own = {name: value.detach().clone() for name, value in self.named.items()}
        with torch.no_grad():
            for name, value in self.named.items():
                value.copy_(self.mean[name])
        try:
            yield self.module.eval()
        finally:
            with torch.no_grad():
                for name, value in self.named.items():
                    value.copy_(own[name])
            self.module.train()

    def save(self, folder: Path) -> None:
        """Write a checkpoint that replaces the one before."""
        tensors = tensors_of(self.named, self.mean, self.adam)
        folder.mkdir(parents=True, exist_ok=True)
        # Figures lie in the weights' own file: both are replaced by one renaming.
        save_file(tensors, folder / "checkpoint.new", {"progress": json.dumps(asdict(self.progress))})
        with (folder / "checkpoint.new").open("rb") as file:
            os.fsync(file.fileno())
        (folder / "checkpoint.new").replace(folder / CHECKPOINT)
        (folder / PROGRESS).write_text(json.dumps(asdict(self.progress), indent=1), encoding="utf-8")

    def load(self, folder: Path) -> bool:
        """Go on from a checkpoint, if there is one."""
        path = folder / CHECKPOINT
        if not path.is_file():
            return False
        with safe_open(path, "pt") as opened:
            self.progress = Progress(**json.loads(opened.metadata()["progress"]))
        put_back(load_file(path), self.named, self.mean, self.adam, self.progress.steps)
        return True

    def report(self, loss: float, folder: Path) -> None:
        """Judge, keep a checkpoint and print a line."""
        with self.averaged() as module, torch.inference_mode():
            figures = {name: round(value, 3) for name, value in self.task.judge(module).items()}
        now = self.progress
        now.history.append({"tokens": now.tokens, "rows": now.rows, "loss": round(loss, 4)} | figures)
        self.save(folder)
        speed = now.tokens / max(1.0, now.seconds)
        print(
            f"{time.strftime('%H:%M')} {now.tokens / 1e6:.2f} M tokens, {now.rows} rows, loss {loss:.3f}, {figures}, "
            f"{speed:.0f} tokens/s, {now.seconds / 60:.0f} min",
            flush=True,
        )


def train(
    trainer: Trainer, until: float, folder: Path, finish_from: int | None = None, seconds: float = CHECKPOINT_SECONDS
) -> None:
    """Train until so many tokens are seen; from `finish_from` on the rate falls to nothing."""
    progress, losses, last = trainer.progress, list[float](), time.monotonic()
    while progress.tokens < until:
        for place, features in enumerate(trainer.task.batches(progress.chunk)):
            if place < progress.place:
                continue
            begun = time.monotonic()
            rate = 1.0 if finish_from is None else max(0.0, (until - progress.tokens) / (until - finish_from))
            losses.append(trainer.step(features, rate))
            progress.place, progress.seconds = place + 1, progress.seconds + time.monotonic() - begun
            if progress.tokens >= until:
                break
            if progress.steps % LINE_STEPS == 0:
                loss = sum(losses[-LINE_STEPS:]) / len(losses[-LINE_STEPS:])
                print(f"  step {progress.steps}, {progress.tokens} tokens, loss {loss:.3f}", flush=True)
            if time.monotonic() - last > seconds:
                trainer.report(sum(losses) / len(losses), folder)
                last, losses = time.monotonic(), []
        else:
            progress.chunk, progress.place = progress.chunk + 1, 0
    trainer.report(sum(losses) / max(1, len(losses)), folder)


def read_options(description: str | None, tokens: float, **more: str) -> argparse.Namespace:
    """The options of a head's recipe; `more` are options that take any number of values, with their help."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("data", "base", "run"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tokens", type=float, default=tokens, help="to be seen in all, over all pieces")
    parser.add_argument("--finish", type=float, help="tokens over which the rate falls to nothing, into RUN/finished")
    parser.add_argument("--seconds", type=float, default=CHECKPOINT_SECONDS, help="between two checkpoints")
    parser.add_argument("--mixed", action="store_true", help="matrix products in bfloat16 (processors with AMX)")
    for name, told in more.items():
        parser.add_argument(f"--{name}", nargs="*", default=[], help=told)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)  # of the head, which is new
    return options


def run(options: argparse.Namespace, module: Any, task: HeadTask, rates: tuple[float, float], **about: Any) -> Trainer:
    """Train or finish as the options say; the trainer, which `about` tells more, holds what came of it."""
    trainer = Trainer(module, task, *rates, is_mixed=options.mixed, **about)
    if not trainer.load(options.run):
        print("from the encoder, without a checkpoint", flush=True)
    if options.finish is None:
        train(trainer, options.tokens, options.run, seconds=options.seconds)
    else:
        start, folder = trainer.progress.tokens, options.run / "finished"
        train(trainer, start + options.finish, folder, start, options.seconds)
    return trainer
