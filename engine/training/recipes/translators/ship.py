"""A trained average becomes a model folder with its card."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from engine.errors import InputError
from engine.training import scratch
from engine.training.recipes.translators import parcels
from engine.training.recipes.translators.learn import AVERAGE, STATE, learned_weights, new_model
from engine.training.recipes.translators.pack import PLAN_FILE, TOKENIZER, Plan, read_plan

MAX_BYTES = 60 * 2**20
"""Of a file that may be shipped."""
CREDITS = """\
| source | licence | languages |
|---|---|---|
| Tatoeba, sentence pairs of tatoeba.org and its contributors | CC BY 2.0 FR | fr de es zh |
| Europarl v7 (Koehn 2005), proceedings of the European Parliament | no known restriction, credited | fr |
| LibreOffice help and user interface | MPL 2.0 | fr de es zh |
| Python's documentation | PSF licence, translations CC0 | fr es zh |
| Battle for Wesnoth, dialogue and help | GPL 2 or later | fr de es zh |
| GNOME's user documentation | CC BY-SA 3.0 | fr de es zh |
| Debian's package descriptions and iso-codes | the packages' own terms; LGPL 2.1 or later | fr de es zh |
"""
CARD = """\
---
license: cc-by-4.0
language: [{languages}]
pipeline_tag: translation
---
# {title}

Translates sentences between English and {names}. A Marian encoder-decoder of {encoder_layers} and
{decoder_layers} layers, width {width} and {vocabulary:,} tokens that all languages share, {parameters:,} parameters,
trained from scratch for Parlance and kept as fp16 safetensors. A source begins with the tag of the wanted language:
{tags}.

## Data and credits
Only these, cleaned (length, language, digits, questions, brackets, code and copies), {pairs:,} pairs, with everyday
sentences read more often. No sentence of FLORES-200 dev is among them, nor any news test, multi30k or chat.

{credits}
The weights are shipped under CC BY 4.0; keep the credits above with them.

## How it was made
```
python -m engine.training.recipes.translators prepare --data DATA --pack PACK
python -m engine.training.recipes.translators learn --pack PACK --run RUN
python -m engine.training.recipes.translators export --pack PACK --run RUN --model MODEL
```
DATA is the folder with the corpora. docs/translators.md has the pieces in which it learned.
{steps:,} steps of up to {batch_tokens:,} tokens a side, AdamW (0.9, 0.98), peak learning rate {learning_rate:g} after
{warmup_steps:,} steps, then falling with the inverse root, and in a line to nothing from step {cool_from:,} on; label
smoothing {label_smoothing:g}, dropout {dropout:g}, a share of {sampling_share:g} of the sentences split at random
(unigram sampling, alpha {sampling_alpha:g}), moving average of the weights ({average_decay:g} a step).

## Figures
{figures}

## Limits
Sentence by sentence, without the sentences around. Pairs without English go through English. Strong in everyday
sentences, software and parliament, whose texts it learned; weaker in news and literature. It can leave out, add or
invent: read what matters again.
"""
NAMES = {"fr": "French", "de": "German", "es": "Spanish", "zh": "Chinese (simplified)"}


def load_translator(pack: Path, run: Path, what: str = AVERAGE) -> tuple[Any, Any, dict[str, Any]]:
    """The model (float32, evaluating) of what a run kept, its tokenizer, and what the parcel says about itself.

    Raises NotFoundError, InputError.
    """
    plan, tokenizer = read_plan(pack / PLAN_FILE), scratch.load_tokenizer(pack / TOKENIZER)
    tensors, about = parcels.read(run / what)
    if about["plan"] != plan.digest:
        raise InputError("The weights are of another plan than the pack's. Take the pack they learned from.", "pack")
    if what == STATE:
        tensors = {name.removeprefix("weight."): t for name, t in tensors.items() if name.startswith("weight.")}
    model = new_model(plan, tokenizer)
    with torch.no_grad():
        for name, weight in learned_weights(model).items():
            weight.copy_(tensors[name])
    return model.eval(), tokenizer, about


def save_model(pack: Path, run: Path, folder: Path, what: str = AVERAGE) -> dict[str, Any]:
    """Write config, fp16 weights and tokenizer of a run into the folder; returns what the weights say about themselves.

    Raises InputError where a file would be too large to ship.
    """
    model, _, about = load_translator(pack, run, what)
    plan = read_plan(pack / PLAN_FILE)
    model.config.update({"prompt_style": "tags", "languages": ["en", *plan.languages]})
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(pack / TOKENIZER, part)
    model.half().save_pretrained(part)
    if (size := (part / "model.safetensors").stat().st_size) > MAX_BYTES:
        shutil.rmtree(part)
        raise InputError(
            f"The weights take {size / 2**20:.0f} MiB; a shipped file may have "
            f"{MAX_BYTES >> 20}. Make the plan smaller.",
            param="width",
        )
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)
    return about


def export(pack: Path, run: Path, folder: Path, evaluation: Path | None = None) -> None:
    """`save_model`, with a card that holds the figures of an evaluation."""
    about = save_model(pack, run, folder)
    plan, report = read_plan(pack / PLAN_FILE), json.loads((pack / "report.json").read_text(encoding="utf-8"))
    found = json.loads(evaluation.read_text(encoding="utf-8")) if evaluation else {}
    card = _card(plan, folder, about, int(report["train"]), found)
    (folder / "README.md").write_text(card, encoding="utf-8")


def _card(plan: Plan, folder: Path, about: Mapping[str, Any], pairs: int, evaluation: Mapping[str, Any]) -> str:
    from safetensors import safe_open

    from engine.backends.languages import TARGET_TAGS

    with safe_open(folder / "model.safetensors", "pt") as file:
        shapes = [file.get_slice(name).get_shape() for name in file.keys()]  # noqa: SIM118
    vocabulary = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    return CARD.format(
        title=folder.name.replace("-", " ").capitalize(),
        languages=", ".join(("en", *plan.languages)),
        names=", ".join(NAMES[language] for language in plan.languages),
        tags=", ".join(f"`{TARGET_TAGS[language]}`" for language in ("en", *plan.languages)),
        parameters=sum(int(torch.Size(shape).numel()) for shape in shapes),
        vocabulary=len(vocabulary),
        pairs=pairs,
        steps=about["step"],
        cool_from=about["cool_from"],
        credits=CREDITS,
        figures=table(evaluation) if evaluation else "Not measured yet.",
        **{
            name: getattr(plan, name)
            for name in (
                "encoder_layers", "decoder_layers", "width", "batch_tokens", "learning_rate", "warmup_steps",
                "label_smoothing", "dropout", "sampling_share", "sampling_alpha", "average_decay",
            )
        },
    )  # fmt: skip


def table(evaluation: Mapping[str, Any]) -> str:
    """The figures of `judge.evaluate` as a Markdown table: a line a direction, a column a measure."""
    columns = [name for name in evaluation["columns"] if any(name in row for row in evaluation["directions"].values())]
    lines = ["| direction | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for direction, row in evaluation["directions"].items():
        cells = [f"{row[name]:.1f}" if name in row else "" for name in columns]
        lines.append("| " + " | ".join([direction, *cells]) + " |")
    return "\n".join([*lines, "", str(evaluation["note"])])
