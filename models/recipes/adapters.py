"""Low-rank adapters (Hu et al. 2021) on the upper layers of the multilingual encoder, with a head: 3 MB each.

The layers below them stay as they are, so that what these make of a text is computed once and kept (in 16 bits) for
all epochs: a step goes through the upper layers alone, 2.3 times as fast as one that trains the whole encoder (1,400
and 610 tokens a processor second).
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, inject_adapter_in_model
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from engine.backends.pytorch import packed
from engine.backends.pytorch.packed import LOW, LOWS
from engine.files import placed
from engine.training.data import Feature
from models.recipes.head_export import config_of
from models.recipes.head_training import LEARNING, Trainer, batches_of_chunk, run
from models.recipes.pieces import batches_of

FIRST, RANK = 6, 32
"""The first of the twelve layers that has adapters, and their rank."""
TARGETS = ["query", "key", "value", "dense"]
LAYER_RATE, HEAD_RATE = 1e-3, 1e-3
MAX_LENGTH = 96
BATCH_TOKENS, STATE_TOKENS = 1024, 4096
"""Of a step, and of a pass through the layers below."""
Loss = Callable[[Tensor, Tensor], Tensor]
Figures = Callable[[Tensor, Tensor], dict[str, float]]


class Given(nn.Module):
    """Stands where the embeddings were, and hands on what the layers below made."""

    def forward(self, inputs_embeds: Tensor, **others: Any) -> Tensor:
        """States (rows, tokens, width)."""
        return inputs_embeds


def upper(folder: Path, labels: Sequence[str], **settings: Any) -> Any:
    """The encoder from a layer on, with adapters that do nothing yet and a new head for these labels."""
    names = dict(enumerate(labels))
    module = packed.load(folder, "AutoModelForSequenceClassification", id2label=names, **settings, **LEARNING)
    module.bert.embeddings = Given()
    module.bert.encoder.layer = module.bert.encoder.layer[FIRST:]
    config = LoraConfig(r=RANK, lora_alpha=RANK, target_modules=_targets(module), bias="none")
    return inject_adapter_in_model(config, module)


def _targets(module: Any) -> list[str]:
    return [
        name for name, part in module.named_modules()
        if ".encoder." in name and isinstance(part, nn.Linear) and name.rpartition(".")[2] in TARGETS
    ]  # fmt: skip


def learns(name: str) -> bool:
    """Whether a weight of such a module is learned: adapters, and the head with its pooler."""
    return "lora_" in name or ".encoder." not in name


def add_states(folder: Path, features: Sequence[Feature], kept: Path) -> None:
    """Put into each feature what the layers below make of its text, (tokens, width) in float16.

    It comes from the file `kept`, which is made once for all pieces of a training.
    """
    told = {"made_of": _digest(features)}
    if not kept.is_file() or _told(kept) != told:
        kept.parent.mkdir(parents=True, exist_ok=True)
        part = kept.with_suffix(".part")
        save_file({"states": _states(folder, features)}, part, told)
        part.replace(kept)
    states, start = load_file(kept)["states"], 0
    for feature in features:
        end = start + int(feature["length"])
        feature["states"], start = states[start:end], end


def _digest(features: Sequence[Feature]) -> str:
    """Of the tokens, and of the layer up to which they went."""
    return hashlib.sha256(repr((FIRST, [feature["input_ids"] for feature in features])).encode()).hexdigest()


def _told(file: Path) -> dict[str, str]:
    with safe_open(file, "pt") as opened:
        return dict(opened.metadata() or {})


@torch.inference_mode()
def _states(folder: Path, features: Sequence[Feature]) -> Tensor:
    """Of all tokens of all features, one after the other: (tokens, width)."""
    lower = packed.load(folder, "AutoModel", **LEARNING).eval()
    lower.encoder.layer = lower.encoder.layer[:FIRST]
    starts = list(itertools.accumulate((int(feature["length"]) for feature in features), initial=0))
    found = torch.empty(starts[-1], lower.config.hidden_size, dtype=torch.float16)
    order = sorted(range(len(features)), key=lambda place: int(features[place]["length"]))
    for places in batches_of(order, lambda place: int(features[place]["length"]), STATE_TOKENS, random.Random(0)):
        batch = [features[place] for place in places]
        inputs = _padded([torch.tensor(feature["input_ids"]) for feature in batch])
        states = lower(inputs, attention_mask=_mask(batch)).last_hidden_state.half()
        for place, own in zip(places, states, strict=True):
            found[starts[place] : starts[place + 1]] = own[: int(features[place]["length"])]
    return found


def _mask(batch: Sequence[Feature]) -> Tensor:
    return _padded([torch.ones(int(feature["length"]), dtype=torch.long) for feature in batch])


def _padded(rows: Sequence[Tensor]) -> Tensor:
    return nn.utils.rnn.pad_sequence(list(rows), batch_first=True)


def collate(batch: Sequence[Feature]) -> dict[str, Tensor]:
    """A padded batch of states, and the labels: a number each, or a row of zeros and ones."""
    return {
        "inputs_embeds": _padded([feature["states"] for feature in batch]).float(),
        "attention_mask": _mask(batch),
        "labels": torch.tensor([feature["labels"] for feature in batch]),
    }


@dataclass(frozen=True)
class Judging:
    """What is learned: features with states, the loss of logits and labels, and the figures of the rows that choose."""

    learned: list[Feature]
    choosing: list[Feature]
    loss_of: Loss
    figures: Figures

    def batches(self, chunk: int) -> Iterator[list[Feature]]:
        """All rows once."""
        rng = random.Random(f"adapters-{chunk}")
        order = sorted(self.learned, key=lambda feature: (int(feature["length"]), rng.random()))
        yield from batches_of_chunk(order, BATCH_TOKENS, rng)

    def loss(self, module: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """Of one batch."""
        inputs = {name: value for name, value in batch.items() if name != "labels"}
        return self.loss_of(module(**inputs).logits, batch["labels"])

    def judge(self, module: Any) -> dict[str, float]:
        """The figures of the rows that choose."""
        return self.figures(logits_of(module, self.choosing), labels_of(self.choosing))


@torch.inference_mode()
def logits_of(module: Any, features: Sequence[Feature]) -> Tensor:
    """Logits (rows, labels)."""
    order = sorted(range(len(features)), key=lambda place: int(features[place]["length"]))
    logits = torch.empty(len(features), module.config.num_labels)
    for first in range(0, len(order), 32):
        places = order[first : first + 32]
        batch = collate([features[place] for place in places])
        batch.pop("labels")
        logits[places] = module(**batch).logits
    return logits


def labels_of(features: Sequence[Feature]) -> Tensor:
    """As `collate` has them."""
    return torch.tensor([feature["labels"] for feature in features])


def train(options: argparse.Namespace, module: Any, task: Judging) -> Trainer:
    """As `head_training.run`, with what such a module learns."""
    return run(options, module, task, (LAYER_RATE, HEAD_RATE), learns=learns, collate=collate)


def fit_temperature(loss_of: Loss, logits: Tensor, labels: Tensor) -> float:
    """What to divide logits by so that the loss on these rows is least (Guo et al. 2017)."""
    values = torch.exp(torch.linspace(-1.5, 1.5, 61))
    losses = torch.stack([loss_of(logits / one, labels) for one in values])
    return float(values[losses.argmin()])


def scale(module: Any, temperature: float) -> None:
    """Divide its logits by a temperature."""
    for value in module.classifier.parameters():
        value.data /= temperature


def export(module: Any, encoder: Path, folder: Path, settings: Mapping[str, Any]) -> None:
    """Write the adapter's folder: its two factors for each matrix, its pooler and head, in float16."""
    tensors: dict[str, Tensor] = {}
    for name, value in module.named_parameters():
        if learns(name):
            tensors[_shipped(name)] = value.detach().half().contiguous()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with placed(folder) as new:
        save_file(tensors, new / "model.safetensors", {"format": "pt"})
        (new / "config.json").write_text(config_of(module, encoder, settings), encoding="utf-8")


def _shipped(name: str) -> str:
    """A weight's name in the whole encoder; a factor's is its matrix's, and which it is."""
    for factor, end in (("lora_A", LOW), ("lora_B", LOWS)):
        name = name.replace(f".{factor}.default.weight", f".weight{end}")
    parts = name.split(".")
    if "layer" in parts:
        place = parts.index("layer") + 1
        parts[place] = str(int(parts[place]) + FIRST)
    return ".".join(parts)
