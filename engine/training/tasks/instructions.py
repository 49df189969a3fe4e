"""Answering instructions: pairs of a prompt and its response."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from engine.applications.write import instruct
from engine.catalogue.models import Model
from engine.messages import Text
from engine.requests import Generate, Sampling
from engine.training.config import TrainingConfig
from engine.training.tasks import SAMPLES, Cells, Sample, lazily
from engine.training.tasks.style import TASK as STYLE


def _finish(row: Cells) -> Cells:
    """A text that the prompt is about is joined to it; a system message begins what stands before it."""
    about, system, before = (row.pop(role, "").strip() for role in ("input", "system", "history"))
    history = _turns(before)
    if before and history is None:  # a text of another kind
        row["prompt"] = f"{before}\n\n{row['prompt']}"
    turns = [*([{"role": "system", "content": system}] if system else []), *(history or [])]
    prompt = {"prompt": f"{row['prompt']}\n\n{about}"} if about else {}
    return row | prompt | ({"history": json.dumps(turns, ensure_ascii=False)} if turns else {})


def _turns(cell: str) -> list[Any] | None:
    """The turns of a history, as `formats` writes them."""
    try:
        turns = json.loads(cell)
    except (ValueError, RecursionError):
        return None
    is_history = isinstance(turns, list) and all(
        isinstance(turn, dict) and set(turn) == {"role", "content"} for turn in turns
    )
    return turns if is_history else None


def _ask(model: Model, config: TrainingConfig, text: str, sampling: Sampling) -> Generate:
    return instruct(model, text, sampling)


TASK = replace(
    STYLE,
    id="instructions",
    title=Text("Answering instructions"),
    summary=Text("Prompts and their responses, or chats: the model learns to respond like that. For the page Write."),
    order=2,
    roles=("prompt", "response"),
    lesson=lazily("causal", "instructions"),
    judge=lazily("causal", "judge_turns"),
    defaults={**STYLE.defaults, "max_length": 256},
    optional_roles=("input", "system", "history"),
    is_running_text=False,
    finish=_finish,
    shown=None,
    ask=_ask,
    inputs={"text": Text("Prompt")},
    prompt_style="instruct",
    description="responds to prompts as the training rows do",
    samples=(
        Sample(
            "cards",
            Text("Cards of four lines"),
            Text("154 questions about things, each answered in the same form: kind, where, known for, in a word."),
            SAMPLES / "cards.jsonl",
            ("Tell me about the fox.", "What should I know about butter?"),
        ),
    ),
)
