"""Answering instructions: pairs of a prompt and its response."""

from __future__ import annotations

from engine.applications.write import instruct
from engine.catalogue.models import Model
from engine.messages import Text
from engine.requests import Generate, Sampling
from engine.training.config import TrainingConfig
from engine.training.tasks import SAMPLES, Cells, Sample, TrainingTask, lazily


def _finish(row: Cells) -> Cells:
    """A text that the prompt is about is joined to it."""
    about = row.pop("input", "").strip()
    return row | {"prompt": f"{row['prompt']}\n\n{about}"} if about else row


def _ask(model: Model, config: TrainingConfig, text: str, sampling: Sampling) -> Generate:
    return instruct(model, text, sampling)


TASK = TrainingTask(
    id="instructions",
    title=Text("Answering instructions"),
    summary=Text("Pairs of a prompt and its response: the model learns to respond like that. For the page Write."),
    order=2,
    roles=("prompt", "response"),
    lesson=lazily("causal", "instructions"),
    judge=lazily("causal", "judge_turns"),
    architecture="causal",
    applications=("write", "explore"),
    bases=("causal",),
    first_base="smollm2-135m-instruct",
    is_lower_better=True,
    compared_rows=40,
    defaults={"method": "lora", "epochs": 3.0, "batch_size": 4, "max_length": 256},
    learning_rates={"full": 3e-5, "lora": 5e-4, "head": 1e-4},
    settings=frozenset({"sample_prompts", "sample_tokens"}),
    optional_roles=("input",),
    finish=_finish,
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
            {"prompt": "prompt", "response": "response"},
            ("Tell me about the fox.", "What should I know about butter?"),
        ),
    ),
)
