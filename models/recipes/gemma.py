"""How the adapter `gemma-3-270m-translator` is learned, with which Gemma translates without examples.

    python -m models.recipes.gemma --data DATA --base GEMMA --run RUN --mixed [--threads 2] [--start ADAPTER]
    python -m models.recipes.gemma --data DATA --base GEMMA --run RUN --mixed --finish 4e5 --to FOLDER [--keep ADAPTER]

DATA holds `translation/`, GEMMA is the folder that Parlance converts the model's GGUF file into. All directions are
learned at once, in the form in which Translate asks. The loss knows only the tokens that the data have, a part of
Gemma's vocabulary, which would otherwise take most of a step. The second form lets the rate fall to nothing, three of
five rows professional translations, and writes what ships. ADAPTER is one written before, from which a new run begins,
and whose mean with what was learned is written: better than either (Wortsman et al. 2022, "Robust fine-tuning of
zero-shot models").
"""

from __future__ import annotations

import argparse
import json
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from engine.applications.prompts import prompt_of_names
from engine.applications.routes import PIVOT
from engine.training.data import Feature
from models.recipes.head_training import read_options, run
from models.recipes.pieces import batches_of, filled
from models.recipes.smoothed_loss import smoothed_loss
from models.recipes.student_data import Pair, Pairs, read_pairs

SEED, RATE, RANK = 16, 1e-3, 32
BATCH_TOKENS, STEP, CHUNK_ROWS = 2400, 8, 3000
BEST_SHARE, BEST_SHARE_AT_END = 0.2, 0.6
CHARACTERS = (4, 240)
"""Of English sentences that are learned."""
MOST_PAIRS = 40_000
"""Of a language."""
DIRECTIONS = {"zh": (0.5, 0.5), "de": (0.25, 1.0), "es": (0.25, 1.0)}
"""Of a language's pairs, how many are learned from English and how many into it: students serve the other ways."""
KEPT = 0.5
"""Of the adapter to keep, in the mean with what a run learned: 0.7 was as good on the lines that choose, 1 worse."""
NOTHING = -1
"""In the place of a target where nothing is judged: the prompt, and what a row is filled up with."""
ADAPTER: dict[str, Any] = {
    "peft_type": "LORA", "base_model_name_or_path": "google/gemma-3-270m", "task_type": "CAUSAL_LM",
    "r": RANK, "lora_alpha": RANK, "lora_dropout": 0.0, "bias": "none",
    "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
}  # fmt: skip
"""As peft's own configuration has it."""


class Task:
    """Rows in all directions, and how they are judged. Pairs are told by language, English first."""

    def __init__(self, tokenizer: Any, weight: Tensor, pairs: Mapping[str, Pairs]) -> None:
        self.many, self.best, self.choosing = (
            [row for code, own in pairs.items() for row in _rows(tokenizer, code, getattr(own, kind))]
            for kind in ("many", "best", "choosing")
        )
        self.share = BEST_SHARE
        used = {token for row in (*self.many, *self.best, *self.choosing) for token in row["input_ids"]}
        self.tokens = torch.tensor(sorted(used))
        """Ids of the tokens that the data have, by their place in the loss."""
        self.weight = weight.detach()[self.tokens].float()
        """Of these tokens (tokens, width); it stays as it is."""
        self.places = {token: place for place, token in enumerate(self.tokens.tolist())}

    def batches(self, chunk: int) -> Iterator[list[Feature]]:
        """Batches of like lengths; the same for the same number."""
        rng = random.Random(f"{SEED}-{chunk}")
        count = int(CHUNK_ROWS * self.share)
        rows = rng.sample(self.many, CHUNK_ROWS - count) + rng.sample(self.best, count)
        rows.sort(key=lambda row: (row["length"], rng.random()))
        yield from _batches(rows, rng)

    def collate(self, batch: Sequence[Feature]) -> dict[str, Any]:
        """Ids and mask (rows, tokens), and the place of the next token, where it is judged."""
        width = filled(max(int(row["length"]) for row in batch), STEP)
        ids, mask = torch.zeros(len(batch), width, dtype=torch.long), torch.zeros(len(batch), width, dtype=torch.long)
        targets = torch.full((len(batch), width), NOTHING)
        for number, row in enumerate(batch):
            own, begin = row["input_ids"], int(row["prompt"])
            ids[number, : len(own)], mask[number, : len(own)] = torch.tensor(own), 1
            targets[number, begin - 1 : len(own) - 1] = torch.tensor([self.places[token] for token in own[begin:]])
        return {"input_ids": ids, "attention_mask": mask, "labels": targets}

    def loss(self, module: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """The mean over the tokens of the translations, of the tokens that the data have."""
        given = {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"]}
        states = module.model(**given, use_cache=False).last_hidden_state
        is_judged = batch["labels"] != NOTHING
        zeros = self.weight.new_zeros(len(self.weight))
        return smoothed_loss(states[is_judged], self.weight, zeros, batch["labels"][is_judged], 0.0, torch.bfloat16)

    def judge(self, module: Any) -> dict[str, float]:
        """The loss on the lines that choose."""
        losses = []
        rows = sorted(self.choosing, key=lambda row: int(row["length"]))
        for batch in _batches(rows, random.Random(0)):
            inputs = self.collate(batch)
            with torch.autocast("cpu", torch.bfloat16):
                losses.append((float(self.loss(module, inputs)), int((inputs["labels"] != NOTHING).sum())))
        return {"loss": sum(loss * count for loss, count in losses) / sum(count for _, count in losses)}


def _batches(rows: Sequence[Feature], rng: random.Random) -> Iterator[list[Feature]]:
    """Of rows that lie in the order of their lengths."""
    yield from batches_of(rows, lambda row: filled(int(row["length"]), STEP), BATCH_TOKENS, rng)


def _rows(tokenizer: Any, language: str, pairs: Sequence[Pair]) -> Iterator[Feature]:
    """Of pairs in their order, evenly as many as `DIRECTIONS` says of each direction."""
    for way, share in enumerate(DIRECTIONS[language]):
        source, target = (PIVOT, language) if way == 0 else (language, PIVOT)
        for number, pair in enumerate(pairs):
            if int((number + 1) * share) > int(number * share):
                yield _row(tokenizer, prompt_of_names(source, target, pair[way]), pair[1 - way])


def _row(tokenizer: Any, prompt: str, answer: str) -> Feature:
    asked = tokenizer(prompt)["input_ids"]
    ids = [*asked, *tokenizer(f" {answer}\n", add_special_tokens=False)["input_ids"]]
    return {"input_ids": ids, "length": len(ids), "prompt": len(asked)}


def read(data: Path, language: str) -> Pairs:
    """A language's pairs; of the many, sentences and not names and buttons."""
    rng = random.Random(SEED)
    pairs = read_pairs(data, language, rng)
    least, most = CHARACTERS
    many = [
        pair for pair in pairs.many if least <= len(pair[0]) <= most and " " in pair[0] and "\n" not in "".join(pair)
    ]
    return replace(pairs, many=rng.sample(many, min(MOST_PAIRS, len(many))))


class LowRank(nn.Module):
    """A linear layer whose weight is the base's and a product of low rank. The product is made once a step: on a
    processor that is quicker than to send every token through both factors."""

    def __init__(self, base: nn.Linear) -> None:
        super().__init__()
        self.base = base
        self.lora_A = nn.Parameter(torch.empty(RANK, base.in_features))
        self.lora_B = nn.Parameter(torch.zeros(base.out_features, RANK))
        nn.init.kaiming_uniform_(self.lora_A, a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        """As the layer."""
        return F.linear(x, self.base.weight + (self.lora_B @ self.lora_A).to(self.base.weight.dtype))


@partial(torch.compile, dynamic=True)
def _normed(x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    """Gemma's norm in one pass over the memory instead of eight, forward and back."""
    own = x.float()
    own = own * torch.rsqrt(own.pow(2).mean(-1, keepdim=True) + epsilon)
    return (own * (1.0 + weight.float())).to(x.dtype)


def prepare(module: Any, start: Path | None = None) -> None:
    """Give a model its factors, which do nothing yet or are those of an adapter's folder, and quick norms."""
    for name, part in list(module.named_modules()):
        owner, last = module.get_submodule(name.rpartition(".")[0]), name.rpartition(".")[2]
        if isinstance(part, nn.Linear) and last in ADAPTER["target_modules"]:
            setattr(owner, last, LowRank(part))
        elif type(part).__name__ == "Gemma3RMSNorm":
            part.forward = partial(_normed, weight=part.weight, epsilon=part.eps)
    if start:
        written = {_name(name): value.float() for name, value in load_file(start / "model.safetensors").items()}
        unknown = module.load_state_dict(written, strict=False).unexpected_keys
        if unknown:
            raise ValueError(f"{start} is no adapter of this model: {unknown[0]}")


PREFIX, SUFFIX = "base_model.model.", ".weight"
"""What peft puts around the name of a factor."""


def _name(written: str) -> str:
    return written.removeprefix(PREFIX).removesuffix(SUFFIX)


def export(module: Any, base: Path, folder: Path, keep: Path | None = None) -> None:
    """Write the adapter, or its mean with the one to keep, in peft's format, in float16, beside its base's
    configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        f"{PREFIX}{name}{SUFFIX}": value.detach() for name, value in module.named_parameters() if "lora_" in name
    }
    if keep:
        kept = load_file(keep / "model.safetensors")
        tensors = {name: value.lerp(kept[name].float(), KEPT) for name, value in tensors.items()}
    tensors = {name: value.half().contiguous() for name, value in tensors.items()}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    (folder / "adapter_config.json").write_text(json.dumps(ADAPTER, indent=1) + "\n", encoding="utf-8")
    transformers.AutoConfig.from_pretrained(base).save_pretrained(folder)


def main() -> None:
    """Train, or finish what was trained and write it."""
    options = read_options(
        __doc__, 1.2e6, to="a folder for the adapter, when it is finished", start="an adapter to begin from",
        keep="an adapter whose mean with the new one is written",
    )  # fmt: skip
    module, task = opened(options)
    if options.finish is not None:
        task.share = BEST_SHARE_AT_END
    trainer = run(options, module, task, (RATE, RATE), learns=lambda name: "lora_" in name, collate=task.collate)
    for folder in options.to:
        with trainer.averaged() as averaged:
            export(averaged, options.base, Path(folder), *map(Path, options.keep))


def opened(options: argparse.Namespace) -> tuple[Any, Task]:
    """Gemma with adapters that do nothing yet, and what they are to learn."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(options.base)
    pairs = {language: read(options.data, language) for language in DIRECTIONS}
    module: Any = transformers.AutoModelForCausalLM.from_pretrained(
        options.base, dtype=torch.bfloat16, attn_implementation="eager"
    )
    task = Task(tokenizer, module.lm_head.weight, pairs)
    print(f"{len(task.many)} rows, {len(task.best)} of the best, {len(task.tokens)} known tokens", flush=True)
    prepare(module, *map(Path, options.start))
    return module, task


if __name__ == "__main__":
    main()
