"""What a checkpoint in the layout of transformers is, told from its own files: kind, size, languages, licence."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from engine.errors import UnsupportedError

if TYPE_CHECKING:
    from engine.catalogue.models import Architecture, Model

STUDENT = "marian-student"
"""The kind of a Marian student in our own files, for its runtime alone."""
SEQ2SEQ_TYPES = {"t5", "mt5", "umt5", "longt5", "bart", "mbart", "marian", "m2m_100", "pegasus", "led", "blenderbot"}
TRANSLATION_STYLES = {"t5": "t5", "mt5": "t5", "umt5": "t5", "marian": "pair", "m2m_100": "codes"}
HEADS: tuple[tuple[str, Architecture], ...] = (
    ("ForCausalLM", "causal"),
    ("LMHeadModel", "causal"),
    ("ForSequenceClassification", "classification"),
    ("ForQuestionAnswering", "extraction"),
    ("ForMaskedLM", "masked"),
)
ENCODER_TYPES = {"bert", "distilbert", "roberta", "xlm-roberta", "camembert", "mpnet", "albert", "electra"}
ENCODER_TYPES |= {"deberta", "deberta-v2", "modernbert"}


def architecture_of(repository: str, config: Mapping[str, Any]) -> Architecture:
    """What a model does, by its config.json. Raises UnsupportedError for what the engine has no task for."""
    name = next(iter(config.get("architectures") or []), "")
    if config.get("quantization_config"):
        raise UnsupportedError(
            "{repository} is stored in a quantised format. Choose its plain safetensors version.", repository=repository
        )
    kind = config.get("model_type")
    if kind in SEQ2SEQ_TYPES and name.endswith(("ForConditionalGeneration", "MTModel")):
        return "seq2seq"
    if kind in ENCODER_TYPES and name.endswith("Model") and not name.endswith("LMHeadModel"):
        return "embedding"
    for suffix, architecture in HEADS:
        if name.endswith(suffix) and kind not in SEQ2SEQ_TYPES:
            return architecture
    raise UnsupportedError(
        "{repository} is of the kind {kind}, which Parlance does not run. Choose a model that writes, translates, "
        "summarises, classifies, answers, fills masks or embeds text.",
        repository=repository, kind=name or "unknown",
    )  # fmt: skip


def read_facts(repository: str, plan: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of `Model` that a plan tells. Raises UnsupportedError."""
    config = plan["config"]
    architecture = architecture_of(repository, config)
    size = sum(file["size"] for file in plan["files"])
    style = TRANSLATION_STYLES.get(config.get("model_type"), "") if architecture == "seq2seq" else ""
    codes = re.search(r"opus-mt-(?:tc-big-)?([a-z]{2})-([a-zA-Z]{2})$", repository)
    pair = (codes[1], codes[2].lower()) if style == "pair" and codes else None
    return {
        "architecture": architecture,
        "family": str(config.get("model_type", "Hub")),
        "parameters": plan["parameters"],
        "languages": list(pair or plan["languages"]),
        "licence": plan["licence"],
        "size_bytes": size,
        "memory_bytes": int(max(size, 4 * plan["parameters"]) * 1.25) + 150_000_000,
        "context_tokens": context_tokens(config),
        "is_chat": plan["is_chat"],
        "prompt_style": style,
        "pair": pair,
    }


def context_tokens(config: Mapping[str, Any], default: int = 512) -> int:
    """Positions that a model has for tokens, by its config.json."""
    names = ("max_position_embeddings", "n_positions", "n_ctx")
    tokens = next((config[name] for name in names if isinstance(config.get(name), int)), default)
    # RoBERTa counts two positions that no token takes.
    return tokens - 2 if tokens % 128 == 2 else tokens


def described(model: Model, facts: Mapping[str, Any]) -> Model:
    """The model with what its files told at its installation; facts of another version of Parlance are left out."""
    known = {field.name for field in fields(model)} - {"applications"}
    told: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in facts.items() if name in known
    }
    return replace(model, **told)
