"""What of a model learns: all of it, low-rank adapters (Hu et al. 2021), or its last layers."""

from __future__ import annotations

import re
from typing import Any

import torch

from engine.errors import InputError
from engine.training.config import TrainingConfig

HEADS = ("classifier", "pre_classifier", "score", "qa_outputs", "pooler", "classification_head")
"""Names of the modules that stand on top of an encoder."""
DROPOUTS = ("dropout", "attn_dropout", "attention_dropout")
"""How attention modules call the dropout of their weights: a module or a number."""
_LAYER = re.compile(r"(?P<stack>.*\b(?:layers|layer|h|block|blocks|decoder))\.(?P<number>\d+)\.")


def to_train(model: Any, config: TrainingConfig, new_modules: tuple[str, ...] = ()) -> Any:
    """The model with its attention dropout set and only what is to learn learning.

    Raises InputError for lora_targets that it has not.
    """
    _set_attention_dropout(model, config.attention_dropout)
    if config.method == "lora":
        return _with_adapters(model, config, new_modules)
    if config.method == "head":
        names = _head(model)
        for name, weight in model.named_parameters():
            weight.requires_grad = name in names
    return model


def _set_attention_dropout(model: Any, share: float) -> None:
    for module in model.modules():
        if not type(module).__name__.endswith("Attention"):
            continue
        for name in DROPOUTS:
            value = getattr(module, name, None)
            if isinstance(value, torch.nn.Dropout):
                value.p = share
            elif isinstance(value, float):
                setattr(module, name, share)


def _head(model: Any) -> set[str]:
    """Parameters of the head; of a language model, those of the last layer, the last norm and the output."""
    names = [name for name, _ in model.named_parameters()]
    headed = {name for name in names if any(part in HEADS for part in name.split("."))}
    if headed:
        return headed
    stacks = [match for name in names if (match := _LAYER.match(name))]
    last = max(stacks, key=lambda match: ("decoder" in match["stack"], int(match["number"]))).group()
    inside = last.split(".")[0] if "decoder" not in last else last.partition("decoder")[0] + "decoder"
    norms = {
        name
        for name, weight in model.named_parameters()
        if weight.dim() == 1 and not _LAYER.match(name) and name.startswith(inside)
    }
    output = model.get_output_embeddings()
    tied = {id(model.get_input_embeddings().weight)}
    outputs = {
        n for n, w in model.named_parameters() if output is not None and w is output.weight and id(w) not in tied
    }
    return {name for name in names if name.startswith(last)} | norms | outputs


def _with_adapters(model: Any, config: TrainingConfig, new_modules: tuple[str, ...]) -> Any:
    from peft import LoraConfig, get_peft_model

    heads = {name for name, _ in model.named_modules() if name and name.rpartition(".")[2] in HEADS}
    outermost = {name for name in heads if not any(name.startswith(f"{other}.") for other in heads)}
    # A pooler that came with the base stays as it is; a new one must learn with the head.
    learned = {
        name for name in outermost if not name.endswith("pooler") or any(new.startswith(name) for new in new_modules)
    }
    _check_targets(model, config)
    return get_peft_model(
        model,
        LoraConfig(
            r=config.lora_rank,
            lora_alpha=config.lora_alpha,
            lora_dropout=config.lora_dropout,
            target_modules=list(config.lora_targets) or "all-linear",
            modules_to_save=sorted(learned) or None,
        ),
    )


def _check_targets(model: Any, config: TrainingConfig) -> None:
    """Every target must be a layer that can carry an adapter."""
    from transformers.pytorch_utils import Conv1D

    layers = [n for n, m in model.named_modules() if isinstance(m, torch.nn.Linear | torch.nn.Embedding | Conv1D)]
    for target in config.lora_targets:
        if not any(name == target or name.endswith(f".{target}") for name in layers):
            known = sorted({name.rpartition(".")[2] for name in layers})
            raise InputError(
                "lora_targets names {target}, which this base has not. It has {known}.",
                param="lora_targets", target=repr(target), known=known,
            )  # fmt: skip
